"""The login that a run has: it is not deleted by that run, nor is what it may do. Pure.

A topology that was exported names it, as it names every user of the broker. A run that took its own rights away could
not finish, and nobody could log in so again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from letrade_topo.broker.objects import BrokerObject, Permission, User
from letrade_topo.expand.desired import Notice
from letrade_topo.plan.change import Action, Change


def is_own_login(thing: BrokerObject, username: str) -> bool:
    """Whether an object is the user that runs this, or its permission."""
    match thing:
        case User(name=name) | Permission(user=name):
            return name == username
        case _:
            return False


def without_own_login(changes: Iterable[Change], username: str) -> list[Change]:
    """The changes, but for the deletion of the user that makes them, and of its permission."""
    return [one for one in changes if one.action is not Action.DELETE or not is_own_login(one.object, username)]


def own_login_notices(changes: Collection[Change], username: str) -> Iterator[Notice]:
    """What a person should know of that.

    Args:
        changes: all that there would be.
        username: who makes them.
    """
    if len(without_own_login(changes, username)) < len(changes):
        text = f"user {username!r} stays, with what it may do: this run logs in as it"
        yield Notice("own-login", text, ("users", username))
