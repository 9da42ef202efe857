"""Which users are kept from an exchange until its topic permissions are there. Pure.

A topic exchange without a topic permission is open to its users for every key. With Khepri it has none when it is new:
they went with the one that was deleted, and cannot be there before it (RabbitMQ: `rabbit_db_topic_exchange`, path of a
topic permission; from 4.3.2 the broker refuses one without its exchange). The permission of a user is still there. So
for the moment between the two the permission leaves the exchange out.

With Mnesia the topic permissions outlive their exchange, and still the permission has to leave it out: a binding is not
checked against them while its exchange is missing, and made a moment later, when it may be there again
(`rabbit_channel:binding_action`; of 800 exchanges made under a client that kept binding, 24 let one through).

Not known here: a channel remembers a right that it has used until it is idle for a second (`rabbit_channel`,
`permission_cache`). One that has published to the old exchange, was busy since and has not noticed that it went may
publish to the new one in that moment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import Exchange, Permission, TopicPermission
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import Notice
from letrade_topo.model.routing import escape
from letrade_topo.model.topology import ExchangeType
from letrade_topo.plan.change import Action, Change


@dataclass(frozen=True, slots=True)
class Closing:
    """What a run does beside making topic exchanges.

    Args:
        exchanges: the addresses of those that are made and have, or get, topic permissions.
        shut: of each user the permission as it is, and as it is meanwhile.
        topic_permissions: what is awaited: written directly after the exchanges.
    """

    exchanges: frozenset[Address] = frozenset()
    shut: tuple[tuple[Permission, Permission], ...] = ()
    topic_permissions: tuple[TopicPermission, ...] = ()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a person should know of it."""
        if not self.shut:
            return ()
        names = sorted(address.partition(":")[2] for address in self.exchanges)
        users = [permission.user for permission, _ in self.shut]
        one = len(names) == 1
        text = (
            f"while {_listed('exchange', names)} {'is' if one else 'are'} made, {_listed('user', users)} may not use "
            f"{'it' if one else 'them'}: until {'its' if one else 'their'} topic permissions are in force, directly "
            "afterwards, every key would be allowed"
        )
        return (Notice("closed-meanwhile", text, ("exchanges",)),)


NOTHING_CLOSED = Closing()


def closing_of(changes: Iterable[Change], live: LiveState) -> Closing:
    """What to close, and until when.

    Args:
        changes: all of the plan; topic permissions that are lost with an exchange are among them.
        live: as read.
    """
    changes = tuple(changes)
    made = {
        change.after.name
        for change in changes
        if isinstance(change.after, Exchange)
        and change.after.type == ExchangeType.TOPIC
        and change.action in {Action.CREATE, Action.REPLACE}
    }
    awaited = [
        change.after
        for change in changes
        if isinstance(change.after, TopicPermission) and change.after.exchange in made
    ]
    kept = [thing for thing in live.objects.values() if isinstance(thing, TopicPermission) and thing.exchange in made]
    by_user: dict[str, set[str]] = {}
    for permission in (*awaited, *kept):
        by_user.setdefault(permission.user, set()).add(permission.exchange)
    shut = [
        (thing, without(thing, by_user[thing.user]))
        for thing in live.objects.values()
        if isinstance(thing, Permission) and any(_may_use(thing, name) for name in by_user.get(thing.user, ()))
    ]
    exchanges = frozenset(Exchange(one.exchange, ExchangeType.TOPIC).address for one in (*awaited, *kept))
    return Closing(exchanges, tuple(sorted(shut, key=lambda pair: pair[0].user)), tuple(awaited))


def without(permission: Permission, exchanges: Collection[str]) -> Permission:
    """The same permission, but for some names: nothing is written there, and nothing bound to it."""
    names = "|".join(escape(name) for name in sorted(exchanges))

    def narrowed(expression: str) -> str:
        # The broker searches: what is inside may begin anywhere, and its own anchors still hold.
        return rf"^(?!(?:{names})$)(?=[\s\S]*?(?:{expression}))" if expression else expression

    return replace(permission, write=narrowed(permission.write), read=narrowed(permission.read))


def _may_use(permission: Permission, exchange: str) -> bool:
    return any(_finds(expression, exchange) for expression in (permission.write, permission.read) if expression)


def _finds(expression: str, name: str) -> bool:
    try:
        return re.search(expression, name) is not None
    except re.error:
        return True  # PCRE that Python cannot read: rather shut too much for a moment


def _listed(what: str, names: Collection[str]) -> str:
    return f"{what}{'' if len(names) == 1 else 's'} {', '.join(repr(name) for name in names)}"
