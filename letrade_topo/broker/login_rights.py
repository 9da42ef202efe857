"""What works with which management tag: the table of the reference page, which tests hold against real brokers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from letrade_topo.broker.kinds import Kind
from letrade_topo.broker.reach import Access, LoginReach, Tag


class Works(StrEnum):
    """How far something works."""

    YES = "yes"
    READ = "read"
    UNSEEN = "not looked at"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Task:
    """Something that one wants to do.

    Args:
        name: in words.
        kinds: what is planned, applied, looked for in drift and destroyed; none for a command as such.
        needs_api: it takes the management API.
    """

    name: str
    kinds: tuple[Kind, ...] = ()
    needs_api: bool = True


TASKS: Final = (
    Task("`validate`", needs_api=False),
    Task("`dlq`, over AMQP", needs_api=False),
    Task("`plan`, `apply`, `drift`, `destroy`, `watch`"),
    Task("`export`"),
    Task("exchanges, queues, bindings", (Kind.EXCHANGE, Kind.QUEUE, Kind.BINDING)),
    Task("policies", (Kind.POLICY,)),
    Task("operator policies", (Kind.OPERATOR_POLICY,)),
    Task("parameters: shovels, upstreams", (Kind.PARAMETER,)),
    Task("the vhost and its settings", (Kind.VHOST,)),
    Task("limits of the vhost", (Kind.VHOST_LIMIT,)),
    Task("users and their limits", (Kind.USER, Kind.USER_LIMIT)),
    Task("permissions, of topics too", (Kind.PERMISSION, Kind.TOPIC_PERMISSION)),
    Task("global parameters", (Kind.GLOBAL_PARAMETER,)),
)

_OF_ACCESS: Final = {Access.WRITE: Works.YES, Access.READ: Works.READ, Access.NONE: Works.UNSEEN}


def works(task: Task, tag: Tag | None) -> Works:
    """How far something works for a login with one tag, which has all permissions in the vhost.

    Args:
        task: what.
        tag: None for a login without any.
    """
    if not task.needs_api:
        return Works.YES
    if tag is None:
        return Works.NO
    reach = LoginReach.of((tag,))
    if not task.kinds:
        return Works.YES
    return _OF_ACCESS[min(reach.access[kind] for kind in task.kinds)]
