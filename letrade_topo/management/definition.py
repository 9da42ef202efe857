"""Objects as the management API and definitions files spell them: the way back of `parsing`. Pure."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from letrade_topo.broker.objects import (
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
)
from letrade_topo.broker.passwords import HASHING_ALGORITHM
from letrade_topo.model.messages import Json

Definable: TypeAlias = User | Exchange | Queue | Binding | Policy | Permission | TopicPermission
"""What a definitions import makes just as single calls do."""


def body_of(thing: Definable) -> dict[str, Json]:
    """An object without its name, in the management API's spelling; every field written."""
    match thing:
        case User():
            # Both always: a user written without a hash loses the password, and with an empty one has none.
            algorithm = thing.hashing_algorithm or HASHING_ALGORITHM
            tags: list[Json] = list(thing.tags)
            return {"password_hash": thing.password_hash, "hashing_algorithm": algorithm, "tags": tags}
        case Binding():
            return {"routing_key": thing.routing_key, "arguments": dict(thing.arguments)}
        case TopicPermission():
            return {"exchange": thing.exchange, **thing.attributes}
        case _:
            return thing.attributes


def category_of(thing: Definable) -> str:
    """The list of a definitions file in which an object stands."""
    match thing:
        case User():
            return "users"
        case Exchange():
            return "exchanges"
        case Queue():
            return "queues"
        case Binding():
            return "bindings"
        case Policy():
            return "policies"
        case Permission():
            return "permissions"
        case TopicPermission():
            return "topic_permissions"
        case _:
            assert_never(thing)


def definition_of(thing: Definable, vhost: str) -> dict[str, Json]:
    """An object as definitions files spell it."""
    match thing:
        case User(name=name):
            return {"name": name, **body_of(thing)}
        case Exchange(name=name) | Queue(name=name) | Policy(name=name):
            return {"vhost": vhost, "name": name, **body_of(thing)}
        case Binding():
            return {"vhost": vhost, **thing.attributes}
        case Permission(user=user) | TopicPermission(user=user):
            return {"vhost": vhost, "user": user, **body_of(thing)}
        case _:
            assert_never(thing)
