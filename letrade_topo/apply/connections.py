"""Connections that outlive what let them in: whose they are, and ending them.

RabbitMQ looks at a password when a connection is opened and never again, and a busy channel remembers for a while what
its user may do. Only the deletion of a user ends its connections by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from letrade_topo.apply.outcome import Outcome, Status
from letrade_topo.broker.objects import Kind, Permission, TopicPermission, User
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.plan.change import Action, Change

PASSWORD, TAGS, RIGHTS, DELETED = "password changed", "tags changed", "rights changed", "user deleted"


@dataclass(frozen=True, slots=True)
class ClosedConnections:
    """The connections of one user that were closed.

    Args:
        user: whose.
        reason: why.
        connections: how many there were, in all vhosts.
        failure: why they are still open; empty when they are not.
    """

    user: str
    reason: str
    connections: int
    failure: str = ""


def outlived(changes: Iterable[Change]) -> Mapping[str, str]:
    """The users whose open connections may do what a new one may not any more, each with the reason.

    Args:
        changes: those that were made, or would be.
    """
    found: dict[str, str] = {}
    made = set()
    for change in changes:
        match change.before, change.after:
            case None, User() as user:
                made.add(user.name)
            case User() as user, None:
                found[user.name] = DELETED
            case User() as before, User() as after if before.password_hash != after.password_hash:
                found[after.name] = PASSWORD
            case User() as before, User() as after if set(before.tags) - set(after.tags):
                found[after.name] = TAGS
            case (Permission() | TopicPermission()) as before, _ if change.kind is Kind.PERMISSION or change.after:
                if _had_rights(before):
                    found.setdefault(before.user, RIGHTS)
            case None, TopicPermission() as after if change.action is Action.CREATE:  # until then every key was allowed
                found.setdefault(after.user, RIGHTS)
    return {user: reason for user, reason in found.items() if user not in made}


def _had_rights(thing: Permission | TopicPermission) -> bool:
    return bool(thing.write or thing.read or (isinstance(thing, Permission) and thing.configure))


def end_connections(client: ManagementClient, outcomes: Iterable[Outcome]) -> tuple[ClosedConnections, ...]:
    """Close all connections of the users to whom something was done that open connections do not notice.

    Raises:
        TopoError: the broker cannot be reached any more.
    """
    done = [outcome.change for outcome in outcomes if outcome.status is Status.DONE]
    return tuple(_end(client, user, reason) for user, reason in outlived(done).items())


def _end(client: ManagementClient, user: str, reason: str) -> ClosedConnections:
    count = 0
    try:
        count = len(client.connections_of(user))
        client.close_connections_of(user, reason)
    except TopoError as error:
        return ClosedConnections(user, reason, count, f"{error.what}: {error.why}" if error.why else error.what)
    return ClosedConnections(user, reason, count)
