"""Asking an agent how it is doing, over its admin port's page `/status`. Does not know what the answer means."""

from __future__ import annotations

import json
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from letrade_topo.errors import TopoError

ANSWER_SECONDS: Final = 10.0
LARGEST_ANSWER_BYTES: Final = 16 * 2**20
_CHUNK_BYTES: Final = 2**16
_FIX: Final = "give the URL of an agent's admin port, by default http://127.0.0.1:9464, and see that the agent runs"


class InvalidAgentUrl(TopoError):
    """It is no URL of an agent."""


class AgentUnreachable(TopoError):
    """There is no agent, or it says something else than its status."""


def agent_status(url: str, *, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """The status of an agent, as its page `/status` has it: with its service, version and state, at least.

    No proxy of the environment is asked, and no redirection followed: the agent is next door.

    Args:
        url: of its admin port; `http://` may be left out.
        seconds: until the whole answer is there.

    Raises:
        InvalidAgentUrl: it is no `http://HOST:PORT`.
        AgentUnreachable: nobody answers there, or no agent.
    """
    base = _checked(url)
    until = time.monotonic() + seconds
    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.get(f"{base}/status", timeout=seconds, allow_redirects=False, stream=True) as answer:
                content = bytearray()
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    content += chunk
                    if len(content) > LARGEST_ANSWER_BYTES or time.monotonic() > until:
                        raise AgentUnreachable(f"what answers at {url} does not come to an end", fix=_FIX)
    except requests.RequestException as error:
        raise AgentUnreachable(f"no agent answers at {url}", why=_reason(error), fix=_FIX) from None
    if answer.status_code != requests.codes.ok:
        why = f"it answers {answer.status_code}: {content[:200].decode(errors='replace').strip()}"
        raise AgentUnreachable(f"what answers at {url} is no agent", why=why, fix=_FIX)
    try:
        status = json.loads(content)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, dict) or not {"service", "version", "state"} <= status.keys():
        raise AgentUnreachable(f"what answers at {url} is no agent", why="its /status names no service", fix=_FIX)
    return status


def _checked(url: str) -> str:
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        has_login = "@" in parts.netloc
    except ValueError:
        good, has_login = False, "@" in url
    if has_login:
        raise InvalidAgentUrl("the URL of an agent has no login", fix="write http://HOST:PORT, the agent's admin port")
    if not good:
        raise InvalidAgentUrl(f"{url!r} is no URL of an agent", fix="write http://HOST:PORT, the agent's admin port")
    return full.rstrip("/")


def _reason(error: BaseException) -> str:
    """The innermost of the errors that libraries wrap: the operating system's own words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
