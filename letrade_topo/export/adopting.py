"""A vhost's objects as the topology that declares them: the way back of `expand`. Pure.

What a field says is said by the field, what has none by `arguments`, and nothing is derived: a queue that a retry
ladder of ours feeds is one queue among others. Message types, services and lifetimes nobody can read from a broker.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    OperatorPolicy,
    Parameter,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    VhostLimit,
)
from letrade_topo.export.definitions import DefinedVhost
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE, is_derived_policy
from letrade_topo.model.parameters import DeclaredParameter
from letrade_topo.model.routes import PREDEFINED_TYPES
from letrade_topo.model.services import ConnectionLimits, DeclaredUser, TopicRule
from letrade_topo.model.topology import (
    DeadLettering,
    DeadLetterStrategy,
    DeadLetterTarget,
    DeclaredBinding,
    DeclaredExchange,
    DeclaredPolicy,
    DeclaredQueue,
    DestinationType,
    ExchangeType,
    Overflow,
    Ownership,
    PolicyTarget,
    QueueType,
    Topology,
    TopologyLimits,
)
from letrade_topo.model.units import Duration

Kind = TypeVar("Kind", bound=BrokerObject)
Value = TypeVar("Value", bool, int, str)

_ALTERNATE = "alternate-exchange"
LONGEST_NAME = 63
"""Of a topology."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A vhost as a topology.

    Args:
        topology: declares everything that it can.
        unsaid: what it cannot say, one line each, in words.
    """

    topology: Topology
    unsaid: tuple[str, ...] = ()


def topology_names(vhosts: Iterable[DefinedVhost]) -> Mapping[str, str]:
    """A name for the topology of each vhost, all different: `/` is `default`, `Team A` is `team-a`.

    None is the name of a topology whose policies lie in the vhost already: what was found is not its own.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for one in vhosts:
        vhost, policies = one.name, [policy.name for policy in _of(one.objects, Policy)]
        name = re.sub(r"[^a-z0-9_]+", "-", vhost.lower()).strip("-_0123456789")[:LONGEST_NAME] or "default"
        number, unique = 1, name
        while unique in taken or any(is_derived_policy(unique, policy) for policy in policies):
            number += 1
            unique = f"{name[: LONGEST_NAME - 1 - len(str(number))]}-{number}"
        taken.add(unique)
        names[vhost] = unique
    return names


def adopt(vhost: DefinedVhost, users: Iterable[User | UserLimit], name: str) -> Adopted:
    """The topology of a vhost.

    Args:
        vhost: what is in it.
        users: those that it should declare; the rights of others are left out.
        name: of the topology.
    """
    things = vhost.objects
    declared = {one.name for one in users if isinstance(one, User)}
    unsaid: list[str] = []
    exchanges = _exchanges(_of(things, Exchange))
    queues = _queues(_of(things, Queue), unsaid)
    topology = Topology(
        name=name,
        vhost=vhost.name,
        vhost_settings=vhost.settings,
        ownership=Ownership.SHARED,
        limits=_limits(_of(things, VhostLimit), unsaid),
        exchanges={one.name: one for one in exchanges},
        queues={one.name: one for one in queues},
        users={one.name: one for one in _users(users, things)},
        bindings=tuple(_binding(one) for one in _of(things, Binding)),
        policies={one.name: one for one in _policies(_of(things, Policy), unsaid)},
        operator_policies={one.name: one for one in _policies(_of(things, OperatorPolicy), unsaid)},
        parameters=tuple(DeclaredParameter(one.component, one.name, one.value) for one in _of(things, Parameter)),
    )
    rights = {one.user for one in things if isinstance(one, Permission | TopicPermission)} - declared
    counted = Counter(one.address for one in things if not isinstance(one, Binding))
    unsaid += [f"{address}, but once: it is there {count} times" for address, count in counted.items() if count > 1]
    unsaid += [f"exchange {one!r}: names that begin with `amq.` are the broker's own" for one in vhost.reserved]
    unsaid += [f"the rights of user {user!r}, which is not exported" for user in sorted(rights)]
    return Adopted(topology, tuple(unsaid))


def _of(things: Iterable[BrokerObject], kind: type[Kind]) -> list[Kind]:
    return [one for one in things if isinstance(one, kind)]


def _limits(found: Iterable[VhostLimit], unsaid: list[str]) -> TopologyLimits:
    fields = {"max-connections": "max_connections", "max-queues": "max_queues"}
    known: dict[str, int] = {}
    for limit in found:
        if limit.name in fields:
            known[fields[limit.name]] = limit.value
        else:
            unsaid.append(f"limit {limit.name!r} of the vhost")
    return TopologyLimits(max_connections=known.get("max_connections"), max_queues=known.get("max_queues"))


def _exchanges(found: Iterable[Exchange]) -> Iterator[DeclaredExchange]:
    """One that an alternate exchange names and that is not there stays an argument: a field names what is declared."""
    found = tuple(found)
    known = {*PREDEFINED_TYPES, *(one.name for one in found)}
    for one in found:
        arguments = dict(one.arguments)
        alternate = arguments.get(_ALTERNATE)
        if isinstance(alternate, str) and alternate in known:
            del arguments[_ALTERNATE]
        else:
            alternate = None
        yield DeclaredExchange(
            one.name,
            ExchangeType(one.type) if one.type in set(ExchangeType) else one.type,
            durable=one.durable,
            auto_delete=one.auto_delete,
            internal=one.internal,
            alternate_exchange=alternate,
            arguments=arguments,
        )


def _queues(found: Iterable[Queue], unsaid: list[str]) -> Iterator[DeclaredQueue]:
    for one in found:
        arguments = dict(one.arguments)
        named = arguments.pop(ARGUMENT_QUEUE_TYPE, str(QueueType.CLASSIC))
        if named not in list(QueueType):  # which may be anything in a file
            unsaid.append(f"queue {one.name!r}, of the type {named!r}")
            continue
        yield _queue(one, QueueType(str(named)), arguments)


def _queue(one: Queue, queue_type: QueueType, arguments: dict[str, Json]) -> DeclaredQueue:
    """A queue; what it takes out of `arguments` has a field."""
    return DeclaredQueue(
        one.name,
        type=queue_type,
        durable=one.durable,
        auto_delete=one.auto_delete,
        overflow=_overflow(queue_type, arguments),
        dead_lettering=_dead_lettering(queue_type, arguments),
        message_ttl=_duration(arguments, "x-message-ttl"),
        single_active_consumer=_taken(arguments, "x-single-active-consumer", bool),
        max_priority=_taken(arguments, "x-max-priority", int),
        arguments=arguments,
    )


def _overflow(queue_type: QueueType, arguments: dict[str, Json]) -> Overflow | None:
    """In RabbitMQ's words, unless a queue without any words would say the same."""
    by_itself = Overflow.NONE if queue_type is QueueType.STREAM else Overflow.REJECT_PUBLISH
    overflow = Overflow(_word(arguments, "x-overflow", Overflow) or Overflow.NONE)
    return None if overflow is by_itself else overflow


def _dead_lettering(queue_type: QueueType, arguments: dict[str, Json]) -> DeadLettering | DeadLetterTarget:
    exchange = _taken(arguments, "x-dead-letter-exchange", str)
    if exchange is None:
        return DeadLettering.NONE
    key = _taken(arguments, "x-dead-letter-routing-key", str)
    by_itself = DeadLetterStrategy.AT_LEAST_ONCE if queue_type is QueueType.QUORUM else DeadLetterStrategy.NONE
    said = _word(arguments, "x-dead-letter-strategy", DeadLetterStrategy)
    strategy = DeadLetterStrategy(said or DeadLetterStrategy.NONE)
    return DeadLetterTarget(exchange, key, None if strategy is by_itself else strategy)


def _duration(arguments: dict[str, Json], name: str) -> Duration | None:
    milliseconds = _taken(arguments, name, int)
    return None if milliseconds is None else Duration(milliseconds)


def _word(arguments: dict[str, Json], name: str, words: type[StrEnum]) -> str | None:
    """Likewise, of one of some words; another one stays an argument, which the rules then judge."""
    return _taken(arguments, name, str) if arguments.get(name) in [word for word in words if word != "none"] else None


def _taken(arguments: dict[str, Json], name: str, kind: type[Value]) -> Value | None:
    """The value of an argument that has a field, if the field can say it; it is then no argument any more."""
    value = arguments.get(name)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        del arguments[name]
        return value
    return None


def _binding(one: Binding) -> DeclaredBinding:
    return DeclaredBinding(
        one.source, one.destination, DestinationType(one.destination_type), one.routing_key, dict(one.arguments)
    )


def _policies(found: Iterable[Policy | OperatorPolicy], unsaid: list[str]) -> Iterator[DeclaredPolicy]:
    for one in found:
        if one.apply_to not in set(PolicyTarget):
            unsaid.append(f"policy {one.name!r}, which applies to {one.apply_to!r}")
            continue
        yield DeclaredPolicy(one.name, one.pattern, PolicyTarget(one.apply_to), dict(one.definition), one.priority)


def _users(users: Iterable[User | UserLimit], things: Iterable[BrokerObject]) -> Iterator[DeclaredUser]:
    things = tuple(things)
    rights = {one.user: one for one in _of(things, Permission)}
    topics = _of(things, TopicPermission)
    limits = [one for one in users if isinstance(one, UserLimit)]
    for one in users:
        if isinstance(one, User):
            right = rights.get(one.name, Permission(one.name, "", "", ""))
            own = {limit.name: limit.value for limit in limits if limit.user == one.name}
            yield DeclaredUser(
                one.name,
                tags=one.tags,
                configure=right.configure,
                write=right.write,
                read=right.read,
                topic_permissions=tuple(
                    TopicRule(topic.exchange, topic.write, topic.read) for topic in topics if topic.user == one.name
                ),
                limits=ConnectionLimits(own.get("max-connections"), own.get("max-channels")),
            )
