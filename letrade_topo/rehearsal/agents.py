"""Asks agents how they are doing, over their admin ports. Does not know what the answer means."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import requests

from letrade_topo.errors import TopoError

_ANSWER_SECONDS = 10.0
_SCHEMES = ("http", "https")


class InvalidAgentUrl(TopoError):
    """It is no URL of an agent."""


class AgentUnreachable(TopoError):
    """There is no agent, or it says something else than its status."""


def status_of(url: str) -> dict[str, Any]:
    """The status of an agent, as its page `/status` has it.

    Args:
        url: of its admin port.

    Raises:
        InvalidAgentUrl: it is no `http://HOST:PORT`.
        AgentUnreachable: nobody answers there, or no agent.
    """
    _check(url)
    try:
        answer = requests.get(f"{url.rstrip('/')}/status", timeout=_ANSWER_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise AgentUnreachable(
            f"the agent at {url} does not answer",
            why=_reason(error),
            fix="give the URL of its admin port, by default http://127.0.0.1:9464, and see that the agent runs",
        ) from None
    if answer.status_code != requests.codes.ok:
        why = f"it answers {answer.status_code}: {answer.text[:200].strip()}"
        raise AgentUnreachable(f"what answers at {url} is not the status of an agent", why=why, fix=_FIX)
    try:
        status = json.loads(answer.content)
    except ValueError:
        status = None
    if not isinstance(status, dict) or not {"service", "messages", "started_at"} <= status.keys():
        raise AgentUnreachable(f"what answers at {url} is not the status of an agent", fix=_FIX)
    if "rehearsal" not in status:
        why = f"it is letrade-agent {status.get('version')}, which counts by reason alone"
        raise AgentUnreachable(f"the agent at {url} cannot say what would be refused", why=why, fix="update it")
    return status


_FIX = "give the URL of an agent's admin port, by default http://127.0.0.1:9464"


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InvalidAgentUrl(f"{url!r} is no URL of an agent", fix="write http://HOST:PORT, the agent's admin port")


def _reason(error: BaseException) -> str:
    """The innermost of the errors that libraries wrap: the operating system's own words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)
