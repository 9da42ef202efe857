"""A call to the management API as a value: what is sent, and what to say about it when it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

from letrade_topo.management.errors import ReservedName


class Right(StrEnum):
    """The management tag that a call needs (RabbitMQ: management.md, "Permissions")."""

    MANAGEMENT = "management"
    POLICYMAKER = "policymaker"
    ADMINISTRATOR = "administrator"


INCLUDED_TAGS: Mapping[Right, frozenset[str]] = {
    Right.MANAGEMENT: frozenset({"management", "policymaker", "monitoring", "administrator"}),
    Right.POLICYMAKER: frozenset({"policymaker", "administrator"}),
    Right.ADMINISTRATOR: frozenset({"administrator"}),
}
"""Which tags give a right."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        method: the HTTP method. Every call of ours is idempotent, so each may be sent again: PUT and
            DELETE by nature; POST of a binding finds the existing one; POST of definitions skips
            what exists and writes the same over what may change.
        path: below `/api`, each segment encoded (see `path`).
        doing: completes "the broker refused to …".
        needs: the management tag that the caller needs.
        vhost: the vhost it is about, if any.
        name: the object that it makes or changes, if any; RabbitMQ reserves some.
        body: what is sent as JSON.
        unless_tag: the answer is 304 when what is asked for still has this tag.
        reason: what the clients that it concerns are told.
        answers: statuses of 300 and more that are an answer to what was asked, and no refusal.
    """

    method: str
    path: str
    doing: str
    needs: Right = Right.MANAGEMENT
    vhost: str | None = None
    name: str = ""
    body: Any = field(default=None, repr=False)
    unless_tag: str = ""
    reason: str = ""
    answers: frozenset[int] = frozenset()


def encoded(body: Any) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def path(*segments: str, **query: str) -> str:
    """A path below `/api` from unencoded segments, and unencoded values of a query.

    Raises:
        ReservedName: a segment that no path can hold.
    """
    text = "".join(f"/{_segment(segment)}" for segment in segments)
    return f"{text}?{urlencode(query)}" if query else text


def _segment(name: str) -> str:
    # The broker decodes segments first and then drops '.' and '..' (cowboy_router:split_path): a call
    # about such a name would act on something else.
    if name in {"", ".", ".."}:
        raise ReservedName(
            f"the management API cannot address an object named {name!r}",
            why="the broker drops '.' and '..' from paths, and an empty segment means something else",
            fix="handle this object with rabbitmqctl or an AMQP client",
        )
    return quote(name, safe="")
