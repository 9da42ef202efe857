"""What this very broker says beyond what it holds, and what it means for people who read a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from letrade_topo.broker.objects import Queue
from letrade_topo.expand.desired import Notice
from letrade_topo.plan.change import Change
from letrade_topo.plan.guards import GuardRefusal

_TRANSIENT = "transient_nonexcl_queues"
"""RabbitMQ's name of the deprecated feature."""

MOST_SHOWN = 5


def denies_transient(deprecated: Iterable[Mapping[str, object]]) -> bool:
    """Whether a broker refuses queues that are neither durable nor exclusive.

    Args:
        deprecated: items of the broker's list of deprecated features.
    """
    return any(one.get("name") == _TRANSIENT and one.get("state") == "denied" for one in deprecated)


def denied_queues(changes: Iterable[Change], deprecated: Iterable[Mapping[str, object]]) -> tuple[GuardRefusal, ...]:
    """Refuse to make queues that this broker denies.

    Args:
        changes: of a plan.
        deprecated: items of the broker's list of deprecated features.
    """
    transient = [one for one in changes if isinstance(one.after, Queue) and not one.after.durable]
    if not transient or not denies_transient(deprecated):
        return ()
    why = (
        "this broker denies queues that are neither durable nor exclusive: make it durable, or permit them "
        f"(deprecated_features.permit.{_TRANSIENT} = true in rabbitmq.conf)"
    )
    return tuple(GuardRefusal(one.address, why, "") for one in transient)


def run_time_notices(deprecated: Iterable[Mapping[str, object]]) -> Iterator[Notice]:
    """What services have to know of the queues that they make for themselves.

    Whether a broker takes transient ones that are not exclusive is a matter of its patch and of its configuration, so
    its own list decides (4.3.0 to 4.3.5 deny them by default, 4.3.6 does not).

    Args:
        deprecated: items of the broker's list of deprecated features.
    """
    if denies_transient(deprecated):
        text = (
            "this broker denies queues that are neither durable nor exclusive: services have to declare their run-time "
            f"queues as exclusive (deprecated_features.permit.{_TRANSIENT} in rabbitmq.conf permits them)"
        )
        yield Notice("transient-queues-denied", text, ("services",))


def rights_elsewhere(users: Iterable[str], permissions: Iterable[Mapping[str, object]], vhost: str) -> Iterator[Notice]:
    """What goes with a user beyond the vhost that is planned for.

    Args:
        users: who would be deleted.
        permissions: items of the broker's list, of all vhosts.
        vhost: that is planned for.
    """
    elsewhere: dict[str, list[str]] = {}
    for one in permissions:
        if one.get("vhost") != vhost:
            elsewhere.setdefault(str(one.get("user")), []).append(str(one.get("vhost")))
    for user in sorted(set(users) & elsewhere.keys()):
        vhosts = sorted(elsewhere[user])
        shown = ", ".join(map(repr, vhosts[:MOST_SHOWN])) + (", …" if len(vhosts) > MOST_SHOWN else "")
        what = "a vhost" if len(vhosts) == 1 else f"{len(vhosts):,} vhosts"
        text = f"user {user!r} has permissions in {what} beyond this one, which go with it: {shown}"
        yield Notice("rights-elsewhere", text, ("users", user))
