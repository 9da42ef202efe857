"""What there is to say of each node: arguments, policies, permissions, schema; plain values for people and programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from letrade_topo.broker.objects import Permission
from letrade_topo.graph.wiring import Wiring
from letrade_topo.model.messages import Json, MessageType
from letrade_topo.model.names import DEFAULT_EXCHANGE_RESOURCE
from letrade_topo.model.pcre import Matches, matcher
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DeclaredQueue, Topology

Facts = dict[str, Json]


def binding_label(routing_key: str, arguments: Mapping[str, Json]) -> str:
    """A binding as it is written at an edge."""
    if not arguments:
        return routing_key
    given = json.dumps(dict(arguments), ensure_ascii=False)
    return f"{routing_key} {given}" if routing_key else given


def message_facts(message: MessageType) -> Facts:
    """Of a message type."""
    return _said(
        {
            "description": message.description,
            "exchange": message.exchange,
            "routing key": message.key.text,
            "lifetime": str(message.lifetime),
            "priority": message.amqp_priority,
            "encrypted fields": [*message.sensitive],
            "schema": None if message.schema is None else dict(message.schema),
        }
    )


def service_facts(service: Service, wiring: Wiring) -> Facts:
    """Of a service, with the rights of its user."""
    permission = wiring.permissions.get(service.user)
    topics: Facts = {
        exchange: {"write": one.write, "read": one.read}
        for (user, exchange), one in wiring.topic_permissions.items()
        if user == service.user
    }
    return _said(
        {
            "description": service.description,
            "user": service.user,
            "publishes": [*service.publishes],
            "consumes": [*service.consumes, *(pattern.text for pattern in service.patterns)],
            "permissions": None if permission is None else dict(permission.attributes),
            "topic permissions": topics,
        }
    )


@dataclass(frozen=True)  # without slots, for what is found once
class WiringFacts:
    """What there is to say of the exchanges and queues of a wiring."""

    wiring: Wiring
    topology: Topology

    def exchange(self, name: str) -> Facts:
        """Of an exchange; of RabbitMQ's own, that it is."""
        found, declared = self.wiring.exchanges.get(name), self.topology.exchanges.get(name)
        kind = self.wiring.routes.type_of(name)
        if found is None:
            return _said({"type": kind or "not there", "of the broker itself": kind is not None or None})
        policy = self.wiring.exchange_policies.get(name)
        return _said(
            {
                "description": declared.description if declared is not None else "",
                "type": found.type,
                "durable": found.durable,
                "auto-delete": found.auto_delete or None,
                "internal": found.internal or None,
                "arguments": dict(found.arguments),
                "policy": policy,
                "may publish": [] if found.internal else self._users(name or DEFAULT_EXCHANGE_RESOURCE, "write"),
            }
        )

    def queue(self, name: str) -> Facts:
        """Of a queue."""
        found, declared = self.wiring.queues[name], self.topology.queues.get(name)
        policy = self.wiring.queue_policies.get(name)
        in_force = self.wiring.policies.get(policy or "")
        return _said(
            {
                "description": declared.description if declared is not None else "",
                "service": declared.service if declared is not None else None,
                "messages": [*declared.messages] if declared is not None else [],
                "durable": found.durable,
                "auto-delete": found.auto_delete or None,
                "arguments": dict(found.arguments),
                "policy": policy if in_force is None else {in_force.name: dict(in_force.definition)},
                "retries": _retries(declared),
                "may consume": self._users(name, "read"),
            }
        )

    def _users(self, name: str, right: str) -> list[Json]:
        """The users with a right on a name; of what cannot be judged here, none."""
        rights = self._rights[right]
        return [user for user, matches in rights if matches(name)]

    @cached_property
    def _rights(self) -> Mapping[str, list[tuple[str, Matches]]]:
        permissions = sorted(self.wiring.permissions.items())
        return {right: [*_matchers(permissions, right)] for right in ("read", "write")}


def _matchers(permissions: Iterable[tuple[str, Permission]], right: str) -> Iterable[tuple[str, Matches]]:
    for user, permission in permissions:
        expression = permission.read if right == "read" else permission.write
        if expression and (matches := matcher(expression)) is not None:
            yield user, matches


def _retries(queue: DeclaredQueue | None) -> Json:
    if queue is None or queue.retry is None or not queue.has_rejected_queue:
        return None
    return [str(delay) for delay in queue.retry.delays]


def _said(facts: Facts) -> Facts:
    """Those that say something."""
    return {name: value for name, value in facts.items() if value not in (None, "", [], {})}
