"""What a topology says about one service, judged by the filters of its agent: keys, envelope, schema, size.

As strictly as under `enforce`, whatever mode the topology is in today. Keys are made for the moment and never leave
this process. Knows no broker: whether a queue is full, or whether anybody consumes, it cannot say.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from letrade_agent.config import DeclareMode, Undeclared
from letrade_agent.filters.build import build_filters
from letrade_agent.filters.decisions import Approved, Refusal
from letrade_agent.measures import Measures
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from letrade_topo.amqp.basic import encode_publish
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.bus.message import write
from letrade_topo.errors import TopoError
from letrade_topo.keys.keyset import KeySet, load_keyset
from letrade_topo.keys.making import make_keys
from letrade_topo.keys.replay import Replay
from letrade_topo.messages.envelope import Envelope, EnvelopeProperties, check_envelope
from letrade_topo.model.messages import Json, MessageType
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology


class ContractBroken(AssertionError):
    """A service does what its topology does not say; to a test, an assertion that failed.

    Attributes:
        code: AMQP reply code with which the agent would refuse.
        reason: the word for it in logs and metrics.
        text: the refusal in the agent's own words.
    """

    def __init__(self, what: str, *, code: int, reason: str, text: str) -> None:
        super().__init__(f"{what}: {reason} ({code}): {text}")
        self.code = code
        self.reason = reason
        self.text = text


@dataclass(frozen=True, slots=True)
class Published:
    """A message that the service's agent would have sent to the broker.

    Args:
        exchange: where to.
        topic: the routing key.
        message_type: as the topology names it.
        message_id, source: of the envelope.
        payload: what it is about.
        headers: of AMQP, the client's own.
        correlation_id: likewise; "" if there is none.
    """

    exchange: str
    topic: str
    message_type: str
    message_id: str
    source: str
    payload: Mapping[str, Any]
    headers: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str = ""


@dataclass(frozen=True, slots=True)
class _AsEnforced:
    """How the agent is set up: its defaults."""

    service: str
    undeclared: Undeclared = Undeclared.REFUSE
    declares: DeclareMode = DeclareMode.ABSORB


class Contract:
    """What a topology says about one service.

    Args:
        topology: a valid one.
        service: as it is named there.

    Raises:
        TopoError: the topology has no such service.
    """

    def __init__(self, topology: Topology, service: str) -> None:
        if service not in topology.services:
            near = get_close_matches(service, topology.services, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its services: {', '.join(topology.services)}"
            raise TopoError(f"the topology has no service {service!r}", fix=hint)
        self.topology = topology
        self.service = service
        self._types = tuple(topology.messages.values())
        strict = _strict(topology)
        filters = build_filters(strict, _keys(strict, service), _AsEnforced(service), Replay(), Measures())
        self._outbound = filters.outbound

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Basic.Properties | None = None,
    ) -> Published:
        """Judge a message as any client of this service would publish it.

        Args:
            exchange: by name.
            routing_key: in full.
            body: the envelope, as JSON.
            properties: of AMQP, as aio-pika's and pamqp's clients write them.

        Raises:
            ContractBroken: the agent would refuse it.
        """
        given = properties or Basic.Properties(content_type="application/json")
        method = encode_publish(exchange.encode(), routing_key.encode(), mandatory=True)
        whole = (method, ContentHeader(0, len(body), given).marshal(), body)
        now, wire = time.time(), body
        (decision,) = self._outbound.decide([whole], now)
        if isinstance(decision, Approved):
            (sealed,) = self._outbound.seal([decision], now)
            if isinstance(sealed, Refusal):
                raise self._broken(exchange, routing_key, sealed)
            wire = decision.body if decision.completed else body
        elif isinstance(decision, Refusal | AmqpFault):
            raise self._broken(exchange, routing_key, decision)
        envelope = check_envelope(wire, EnvelopeProperties(), self.service)
        kind = self._type_of(exchange, routing_key)
        assert isinstance(envelope, Envelope), "it was approved"  # noqa: S101
        return Published(
            exchange,
            routing_key,
            kind.name,
            envelope.message_id,
            envelope.source,
            json.loads(body)["payload"],  # on the wire its sensitive fields are encrypted
            dict(given.headers or {}),
            given.correlation_id or "",
        )

    def check_publishes(self, exchange: str, routing_key: str, payload: Mapping[str, Json]) -> Published:
        """Judge a payload alone, in an envelope that is right.

        Raises:
            ContractBroken: the agent would refuse it.
        """
        written = write(self.service, payload)
        return self.publish(exchange, routing_key, written.body)

    def _type_of(self, exchange: str, routing_key: str) -> MessageType:
        (found,) = [one for one in self._types if one.exchange == exchange and one.key.matches(routing_key)]
        return found

    def _broken(self, exchange: str, routing_key: str, refusal: Refusal | AmqpFault) -> ContractBroken:
        what = f"{self.service} may not publish this to {routing_key!r} on {exchange!r}"
        if isinstance(refusal, AmqpFault):
            return ContractBroken(what, code=refusal.code, reason="malformed", text=str(refusal))
        return ContractBroken(what, code=refusal.code, reason=refusal.reason, text=refusal.text)


def _strict(topology: Topology) -> Topology:
    """The same with everything enforced."""
    jwt = dataclasses.replace(topology.security.jwt, mode=Enforcement.ENFORCE)
    exchanges = {name: dataclasses.replace(one, mode=None) for name, one in topology.exchanges.items()}
    security = dataclasses.replace(topology.security, jwt=jwt)
    return dataclasses.replace(topology, security=security, exchanges=exchanges)


def _keys(topology: Topology, service: str) -> KeySet:
    """Keys of this moment for every service, as `letrade-topo keys init` makes them."""
    with tempfile.TemporaryDirectory(prefix="letrade-testing-") as folder:
        make_keys(
            Path(folder),
            list(topology.services),
            [],
            algorithm=topology.security.jwt.algorithm,
            now=int(time.time()) - 1,
            valid_for_seconds=None,
        )
        return load_keyset(Path(folder), service)
