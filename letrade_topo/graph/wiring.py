"""What leads messages on: exchanges, queues, bindings, the policies in force, and who may publish.

One shape for what a topology declares and for what a broker holds, so that both are asked the same questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from letrade_topo.broker.capabilities import Capabilities, for_version
from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Permission, Policy, Queue, TopicPermission
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.cycles import Passage
from letrade_topo.model.messages import Json
from letrade_topo.model.names import DEFAULT_EXCHANGE_RESOURCE
from letrade_topo.model.pcre import matcher
from letrade_topo.model.policies_in_force import BUILT_IN_EXCHANGES
from letrade_topo.model.policy_keys import targets_exchanges
from letrade_topo.model.routes import DEFAULT_EXCHANGE, Bound, RoutingTable
from letrade_topo.model.topology import DestinationType, ExchangeType

_DESTINATIONS = {str(kind): kind for kind in DestinationType}


@dataclass(frozen=True)  # without slots, for what is found once
class Wiring:
    """Exchanges, queues and bindings of one vhost.

    Args:
        exchanges: by name; RabbitMQ's own are not among them.
        queues: by name.
        bindings: all but those of the default exchange.
        policies: by name.
        exchange_policies: the policy in force, by the exchange's name; also of RabbitMQ's own.
        queue_policies: likewise, by the queue's.
        permissions: by user.
        topic_permissions: by user and exchange.
        capabilities: of the broker.
    """

    capabilities: Capabilities

    exchanges: Mapping[str, Exchange] = field(default_factory=dict, hash=False)
    queues: Mapping[str, Queue] = field(default_factory=dict, hash=False)
    bindings: tuple[Binding, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict, hash=False)
    exchange_policies: Mapping[str, str] = field(default_factory=dict, hash=False)
    queue_policies: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    permissions: Mapping[str, Permission] = field(default_factory=dict, hash=False)
    topic_permissions: Mapping[tuple[str, str], TopicPermission] = field(default_factory=dict, hash=False)

    @cached_property
    def routes(self) -> RoutingTable:
        """Where its exchanges lead."""
        alternates = {name: self.alternate_of(name) for name in (*self.exchanges, *BUILT_IN_EXCHANGES)}
        types = {name: exchange.type for name, exchange in self.exchanges.items()}
        return RoutingTable(
            types,
            alternates,
            self.queues.keys(),
            map(bound_of, self.bindings),
            numbers_typed=self.capabilities.header_numbers_typed,
        )

    def alternate_of(self, exchange: str) -> str | None:
        """The exchange that gets what this one routes nowhere: the argument's word goes before the policy's."""
        found = self.exchanges.get(exchange)
        named = found.arguments.get("alternate-exchange") if found is not None else None
        if named is None:
            named = self._definition(self.exchange_policies.get(exchange)).get("alternate-exchange")
        return named if isinstance(named, str) else None

    def dead_letters_of(self, queue: str) -> Passage | None:
        """Where the broker sends what is rejected, expires or is delivered too often; None: it is dropped."""
        exchange = self._setting(queue, "dead-letter-exchange")
        key = self._setting(queue, "dead-letter-routing-key")
        if not isinstance(exchange, str):
            return None
        return Passage(exchange, key if isinstance(key, str) else None)

    def milliseconds_to_live(self, queue: str) -> int | None:
        """After which time a message in a queue expires, by the shorter of its argument and its policy."""
        argument = self.queues[queue].arguments.get("x-message-ttl")
        policy = self._definition(self.queue_policies.get(queue)).get("message-ttl")
        found = [value for value in (argument, policy) if isinstance(value, int) and not isinstance(value, bool)]
        return min(found, default=None)

    def may_publish(self, exchange: str, key: str) -> Iterator[tuple[str, bool]]:
        """The users with the right to publish under a key; with each, whether that could be judged here.

        Args:
            exchange: where; to an internal one nobody may.
            key: of the message, which counts on a topic exchange where the user has a topic permission.
        """
        found = self.exchanges.get(exchange)
        if found is not None and found.internal:
            return
        is_topic = self.routes.type_of(exchange) == ExchangeType.TOPIC
        for user, permission in sorted(self.permissions.items()):
            rights = [(permission.write, exchange or DEFAULT_EXCHANGE_RESOURCE)]
            if is_topic and (topic := self.topic_permissions.get((user, exchange))) is not None:
                rights.append((topic.write, key))
            judged = [_is_allowed(expression, text) for expression, text in rights]
            if False not in judged:
                yield user, None not in judged

    def _setting(self, queue: str, name: str) -> Json:
        found = self.queues.get(queue)
        if found is None:
            return None
        argument = found.arguments.get(f"x-{name}")
        return self._definition(self.queue_policies.get(queue)).get(name) if argument is None else argument

    def _definition(self, policy: str | None) -> Mapping[str, Json]:
        found = self.policies.get(policy or "")
        return found.definition if found is not None else {}


def declared_wiring(desired: DesiredState, capabilities: Capabilities) -> Wiring:
    """What a topology brings to a broker; of policies whose patterns cannot be judged here nothing."""
    objects = [one.object for one in desired.objects.values()]
    policies = {one.name: one for one in objects if isinstance(one, Policy)}
    exchanges = (*(one.name for one in objects if isinstance(one, Exchange)), *BUILT_IN_EXCHANGES)
    return _wiring(capabilities, objects, policies, _in_force(policies.values(), exchanges), desired.policies)


def live_wiring(live: LiveState) -> Wiring:
    """What a broker holds."""
    policies = {one.name: one for one in live.objects.values() if isinstance(one, Policy)}
    in_force = {name: status.policy for name, status in live.queues.items()}
    return _wiring(for_version(live.broker.version), live.objects.values(), policies, live.exchange_policies, in_force)


def bound_of(binding: Binding) -> Bound:
    """A binding as routing sees it."""
    destination = _DESTINATIONS[binding.destination_type]
    return Bound(binding.source, destination, binding.destination, binding.routing_key, binding.arguments)


def _wiring(
    capabilities: Capabilities,
    objects: Iterable[BrokerObject],
    policies: Mapping[str, Policy],
    exchange_policies: Mapping[str, str],
    queue_policies: Mapping[str, str | None],
) -> Wiring:
    exchanges: dict[str, Exchange] = {}
    queues: dict[str, Queue] = {}
    bindings: list[Binding] = []
    permissions: dict[str, Permission] = {}
    topics: dict[tuple[str, str], TopicPermission] = {}
    for thing in objects:
        match thing:
            case Exchange():
                exchanges[thing.name] = thing
            case Queue():
                queues[thing.name] = thing
            case Binding() if thing.source != DEFAULT_EXCHANGE:
                bindings.append(thing)
            case Permission():
                permissions[thing.user] = thing
            case TopicPermission():
                topics[thing.user, thing.exchange] = thing
    return Wiring(
        capabilities,
        exchanges,
        queues,
        tuple(bindings),
        policies,
        exchange_policies,
        queue_policies,
        permissions,
        topics,
    )


def _in_force(policies: Iterable[Policy], exchanges: Iterable[str]) -> dict[str, str]:
    """The policy of each exchange: the one of the highest priority that matches."""
    applicable = [
        (policy.name, matches)
        for policy in sorted(policies, key=lambda policy: policy.priority, reverse=True)
        if targets_exchanges(policy.apply_to) and (matches := matcher(policy.pattern)) is not None
    ]
    found = ((name, next((policy for policy, matches in applicable if matches(name)), None)) for name in exchanges)
    return {name: policy for name, policy in found if policy is not None}


def _is_allowed(expression: str, text: str) -> bool | None:
    """Whether a permission admits a name or key; None where its expression cannot be judged here."""
    if not expression:
        return not text  # RabbitMQ reads it as ^$
    matches = matcher(expression)
    return None if matches is None else matches(text)
