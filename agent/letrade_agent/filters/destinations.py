"""What is decided about a publish by its exchange and routing key alone; decided once, then remembered."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from letrade_agent.config import Undeclared
from letrade_agent.filters.decisions import Refusal
from letrade_agent.filters.declared import DIRECT_REPLY_TO, KEPT_NAMES, OTHER_LABEL, Declared
from letrade_agent.filters.words import Word, shown
from letrade_topo.amqp.faults import ReplyCode
from letrade_topo.keys.policy import Route, TopologyPolicy
from letrade_topo.messages.schema import PayloadSchema
from letrade_topo.messages.spans import FieldSet, field_set
from letrade_topo.model.security import Enforcement


class DestinationRules(NamedTuple):
    """What becomes of what is published there.

    Attributes:
        label: of metrics: the declared exchange, or "_other".
        mode: how strictly it is judged; OFF: it passes unsigned.
        refusal: nothing may be published there; in mode WARN it passes unsigned and is counted.
        route: what the topology says about it, when it is judged.
        schema: of the message type, likewise.
        sensitive: its fields that are to be encrypted; None: it has none.
        unverified_as: why it passes unsigned: "off" or "undeclared"; empty when it is judged.
        priority: of AMQP, that the message type asks for; None: the default.
        completes: what an envelope lacks is put in.
        message_type: that the topology has there, whoever publishes it; empty: none, or it is not judged.
    """

    label: str
    mode: Enforcement
    refusal: Refusal | None = None
    route: Route | None = None
    schema: PayloadSchema | None = None
    sensitive: FieldSet | None = None
    unverified_as: str = ""
    priority: int | None = None
    completes: bool = False
    message_type: str = ""


class Destinations:
    """The destinations of one service.

    Args:
        declared: the topology's names.
        policy: what it says about exchange and routing key.
        schemas: of every message type.
        undeclared: what becomes of what it does not know.
    """

    def __init__(
        self, declared: Declared, policy: TopologyPolicy, schemas: dict[str, PayloadSchema], undeclared: Undeclared
    ) -> None:
        self._declared = declared
        self._policy = policy
        self._schemas = schemas
        self._passes = undeclared is Undeclared.PASS
        self.find = lru_cache(maxsize=KEPT_NAMES)(self._find)

    def _find(self, exchange: bytes, routing_key: bytes) -> DestinationRules:
        name, key = exchange.decode(errors="replace"), routing_key.decode(errors="replace")
        if self._declared.is_internal(name):
            return _refused(self._forbidden(exchange, routing_key, "only agents publish there"))
        mode = self._declared.mode_of_exchange(name)
        if mode is None:
            return self._outside(exchange, key)
        if mode is Enforcement.OFF:
            return DestinationRules(name, mode, unverified_as="off")
        route = self._policy.route(exchange, routing_key)
        if route is None:
            if self._passes:
                return DestinationRules(name, Enforcement.OFF, unverified_as="undeclared")
            why = f"no message type has this key{self._suggestion(name, key)}"
            return DestinationRules(name, mode, self._forbidden(exchange, routing_key, why, Word.UNDECLARED))
        service = self._declared.service.name
        if service not in route.publishers:
            why = f"{service} does not publish {route.message_type}"
            refusal = self._forbidden(exchange, routing_key, why)
            return DestinationRules(name, mode, refusal, message_type=route.message_type)
        message = self._declared.topology.messages[route.message_type]
        fields = field_set(message.sensitive) if message.sensitive else None
        return DestinationRules(
            name,
            mode,
            None,
            route,
            self._schemas[route.message_type],
            fields,
            priority=message.amqp_priority,
            completes=self._declared.completes(name),
            message_type=route.message_type,
        )

    def _outside(self, exchange: bytes, key: str) -> DestinationRules:
        """An exchange that the topology does not have; the default exchange among them."""
        if self._passes or (exchange == b"" and self._may_answer(key)):
            return DestinationRules(OTHER_LABEL, Enforcement.OFF, unverified_as="undeclared")
        vhost = self._declared.topology.vhost
        if exchange == b"":
            user = self._declared.service.user
            why = f"access to exchange 'amq.default' in vhost '{vhost}' refused for user '{user}'"
            return _refused(Refusal(ReplyCode.ACCESS_REFUSED, Word.UNDECLARED, f"{why}: it reaches every queue"))
        why = f"no exchange {shown(exchange)} in vhost '{vhost}': the topology does not declare it"
        return _refused(Refusal(ReplyCode.NOT_FOUND, Word.UNDECLARED, why))

    def _may_answer(self, key: str) -> bool:
        """Whether the topology lets this service answer a request there, through the default exchange."""
        if not self._declared.service.direct_reply_to:
            return False
        if key.startswith(f"{DIRECT_REPLY_TO}."):
            return True
        published = set(self._declared.service.publishes)
        return any(
            key.startswith(f"{service.name}.reply.") and not published.isdisjoint(service.consumes)
            for service in self._declared.topology.services.values()
        )

    def _suggestion(self, exchange: str, key: str) -> str:
        messages = self._declared.topology.messages.values()
        keys = [message.key.text for message in messages if message.exchange == exchange]
        near = get_close_matches(key, keys, n=1)
        return f"; did you mean '{near[0]}'?" if near else ""

    def _forbidden(self, exchange: bytes, key: bytes, why: str, word: Word = Word.NOT_ALLOWED) -> Refusal:
        """In the broker's words, and then the reason."""
        vhost, user = self._declared.topology.vhost, self._declared.service.user
        text = (
            f"access to topic {shown(key)} in exchange {shown(exchange)} in vhost '{vhost}' refused for user '{user}'"
        )
        return Refusal(ReplyCode.ACCESS_REFUSED, word, f"{text}: {why}")


def _refused(refusal: Refusal) -> DestinationRules:
    return DestinationRules(OTHER_LABEL, Enforcement.ENFORCE, refusal)
