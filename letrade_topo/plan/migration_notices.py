"""What a person should know before queues are migrated: how, what waits, how long, what may be there twice. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from letrade_topo.broker.objects import Permission, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import Notice
from letrade_topo.migration.steps import MigrationStep, remaining
from letrade_topo.model import names
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.guards import count
from letrade_topo.plan.migrating import step_of

NOTICE: Final = "migration"

MOVED_AT_ONCE: Final = 1_000
"""Messages that a mover has on their way; so many may be there twice when it is killed."""

_MINUTE: Final = 60


def migration_notices(changes: Iterable[Change], live: LiveState) -> Iterator[Notice]:
    """How queues are migrated, and where migrations stand that are under way.

    Args:
        changes: of a plan.
        live: as read.
    """
    migrations = [change for change in changes if change.action is Action.MIGRATE]
    new = [change for change in migrations if change.reason is not ChangeReason.UNDER_WAY]
    for change in migrations:
        step = step_of(change, live)
        if step is not None:
            left = ", ".join(remaining(step))
            yield _notice(f"the migration of {change.address} is under way, at the step {step}; left are {left}")
    if not new:
        return
    steps = "; ".join(f"{number}. {step}: {step.text('<queue>')}" for number, step in enumerate(MigrationStep, 1))
    yield _notice(f"a queue is migrated in steps, which the next apply goes on with when this one ends early: {steps}")
    yield _notice(
        f"up to {MOVED_AT_ONCE:,} messages of a queue may be there twice for each time that apply is killed while it "
        "moves them, and none else; at the switch back, what was published in the last milliseconds before it may come "
        "behind what was published after"
    )
    yield _notice(
        "consumers get the broker's cancel when their queue is deleted, and have to consume again; beside an agent "
        "they notice a pause alone. The expiration of a moved message begins anew, and its delivery count"
    )
    yield from _straight(new, live)
    for change in new:
        if isinstance(change.object, Queue) and names.retry_queue(change.object.name, 1) in live.queues:
            yield _notice(
                f"what comes due in the delay queues of {change.address} while it is away, the broker holds back until "
                "its next try, within about 3 minutes"
            )


def waiting_notices(changes: Iterable[Change], rates: Mapping[str, float]) -> Iterator[Notice]:
    """What each queue holds, and how long its consumers or the mover will need for it.

    Args:
        changes: of a plan, with live counts.
        rates: messages a second that consumers took of late, by queue name.
    """
    for change in changes:
        if change.action is not Action.MIGRATE or not change.messages or not isinstance(change.object, Queue):
            continue
        held = f"{change.address} holds {count(change.messages, 'message')}"
        if not change.consumers:
            yield _notice(f"{held} and has no consumers: they are moved away and back, as fast as the broker confirms")
            continue
        rate = rates.get(change.object.name, 0.0)
        how_long = (
            f"took {rate:,.0f} a second lately: about {_time(change.messages / rate)}" if rate else "take none now"
        )
        yield _notice(f"{held}, which its consumers take first; they {how_long}. What arrives meanwhile waits")


def _straight(changes: Iterable[Change], live: LiveState) -> Iterator[Notice]:
    """Who publishes past all bindings: what does that cannot be switched."""
    users = sorted(
        thing.user
        for thing in live.objects.values()
        if isinstance(thing, Permission) and thing.user != live.broker.username and _covers(thing.write)
    )
    if users and any(True for _ in changes):
        shown = ", ".join(users[:5]) + (f" and {len(users) - 5:,} more" if len(users) > 5 else "")
        yield _notice(
            f"{shown} may publish to queues by their names (the default exchange), past every switch: what does so in "
            "the moment in which a queue is deleted and made again, reaches no queue"
        )


def _covers(expression: str) -> bool:
    try:
        return bool(expression) and re.search(expression, names.DEFAULT_EXCHANGE_RESOURCE) is not None
    except re.error:
        return False


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTE * 2 else f"{seconds / _MINUTE:,.0f} min"


def _notice(text: str) -> Notice:
    return Notice(NOTICE, text, ())
