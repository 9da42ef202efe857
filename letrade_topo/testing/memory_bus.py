"""A message bus without a broker: what it publishes is judged and kept, what it is to receive a test delivers.

Everything but the connection is `MessageBus` itself: addresses, envelopes, patterns, errors. Both directions are held
to the topology: a message that no declared publisher could send is not delivered either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pamqp.commands import Basic

from letrade_topo.bus import MessageBus
from letrade_topo.bus.addresses import AddressBook, MessageAddress
from letrade_topo.bus.asking import REQUEST_ID, request_id_of
from letrade_topo.bus.errors import ConfigurationError, DestinationError
from letrade_topo.bus.health import Health
from letrade_topo.bus.message import Message, NoEnvelope, read, write
from letrade_topo.bus.opened import OpenBus, Responder
from letrade_topo.bus.publishing import NO_ROUTE, Outgoing, returned
from letrade_topo.model.topology import Topology
from letrade_topo.testing.contract import Contract, ContractBroken, Published
from letrade_topo.testing.unconnected import MemoryOpenBus

_Answering = Callable[[Published], Awaitable[None]]


class MemoryBus(MessageBus):
    """The bus of one service in a test.

    Args:
        topology: a valid one.
        service: as it is named there.

    Attributes:
        published: what the service has published, in its order.
    """

    def __init__(self, topology: Topology, service: str) -> None:
        super().__init__(service=service, topology=Path("topology.yaml"))
        self._topology = topology
        self._contract_of = lru_cache(maxsize=None)(lambda name: Contract(topology, name))
        self._contract_of(service)  # so that a service that is unknown is an error here
        self._book = AddressBook(topology)
        self._answers: dict[tuple[str, str], _Answering] = {}
        self.published: list[Published] = []

    @property
    def topology(self) -> Topology:
        """By which it judges."""
        return self._topology

    async def connect(self, timeout: float = 0.0) -> Self:
        """Nothing is connected; kept so that a program that does so runs."""
        self._opened()
        return self

    async def health_check(self) -> Health:
        """All is well, as nothing can be otherwise here."""
        return {
            "status": "ok",
            "queue_depth": 0,
            "queues": {},
            "agent": None,
            "broker": {"up": True, "product": "in memory"},
            "problems": [],
        }

    async def deliver(
        self,
        key: str,
        payload: Mapping[str, Any],
        *,
        exchange: str = "",
        source: str = "",
        headers: Mapping[str, Any] | None = None,
        correlation_id: str = "",
    ) -> None:
        """Let a message arrive: every subscription that matches it gets it, and its handlers have run afterwards.

        Args:
            key: the routing key, in full or short, as for `publish`.
            payload: a JSON object.
            exchange: where it was published; needed only where a key is on several.
            source: the service that published it; by default, the first that the topology names for its type.
            headers, correlation_id: of AMQP.

        Raises:
            ContractBroken: that service could not publish it, or nothing here is subscribed to it.
            DestinationError: no message type has this key.
            Exception: what a handler raised.
        """
        address = self._address(key, exchange)
        sender = source or self._publisher_of(address.message.name)
        written = write(sender, payload)
        properties = _properties(sender, written.message_id, headers, correlation_id)
        sent = self._contract_of(sender).publish(address.exchange, address.routing_key, written.body, properties)
        wanted = [one for one in self._memory().memories if not one.is_closed and one.wants(address.routing_key)]
        if not wanted:
            raise ContractBroken(
                f"{self.service} is not subscribed to {address.routing_key!r}",
                code=NO_ROUTE,
                reason="no_subscription",
                text="subscribe before the message is delivered",
            )
        for one in wanted:
            await one.take(_message(written.body, sent))

    def answer(self, key: str, responder: Responder, *, response: str | None = None, source: str = "") -> None:
        """Have requests of this service answered, as another service of the topology would.

        Args:
            key: of the requests, in full or short.
            responder: called with topic and request; returns the payload of the response.
            response: the key of the response, if it is not that of the request with `response` for `request`.
            source: the service that answers; by default, the first that the topology names for the response's type.
        """
        asked = self._address(key, "")
        opened_at = self._book.response_to(asked) if response is None else self._address(response, asked.exchange)

        async def respond(request: Published) -> None:
            message = _message(write(request.source, request.payload).body, request)
            result = responder(request.topic, message)
            payload = await result if isinstance(result, Awaitable) else result
            sender = source or self._publisher_of(opened_at.message.name)
            request_id = request_id_of(message)
            written = write(sender, {**payload, REQUEST_ID: request_id})
            properties = _properties(sender, written.message_id, None, request_id)
            sent = self._contract_of(sender).publish(
                opened_at.exchange, opened_at.routing_key, written.body, properties
            )
            self._memory().memory_responses.arrived(request_id, _message(written.body, sent))

        self._answers[asked.exchange, asked.routing_key] = respond

    async def _take(self, outgoing: Outgoing) -> None:
        """Judge and keep what is published, and answer it where it is a request that a test has an answer to.

        Raises:
            PublishRefused: as the bus raises it where an agent refuses.
        """
        try:
            sent = self._contract_of(self.service).publish(
                outgoing.address.exchange, outgoing.address.routing_key, outgoing.body, outgoing.properties
            )
        except ContractBroken as broken:
            raise returned(outgoing, broken.code, broken.text) from broken
        self.published.append(sent)
        answering = self._answers.get((sent.exchange, sent.topic))
        if answering is not None:
            await answering(sent)

    def _opened(self) -> OpenBus:
        if self._open is None:
            self._open = MemoryOpenBus(self._settings, self._topology, self._take)
        return super()._opened()

    def _memory(self) -> MemoryOpenBus:
        opened = self._opened()
        assert isinstance(opened, MemoryOpenBus)  # noqa: S101  # made above
        return opened

    def _address(self, key: str, exchange: str) -> MessageAddress:
        names = [exchange] if exchange else list(self._topology.exchanges)
        found: list[MessageAddress] = []
        for name in names:
            try:
                found.append(self._book.find(name, key))
            except DestinationError:
                if exchange:
                    raise
        if len(found) != 1:
            places = ", ".join(repr(one.exchange) for one in found)
            raise DestinationError(
                f"the key {key!r} is on {places}" if found else f"no message type of the topology has the key {key!r}",
                fix="name the exchange, or write the key in full",
            )
        return found[0]

    def _publisher_of(self, message_type: str) -> str:
        services = self._topology.services.values()
        found = next((one.name for one in services if message_type in one.publishes), "")
        if not found:
            raise ConfigurationError(
                f"no service of the topology publishes {message_type}", fix="say which: source='…'"
            )
        return found


def _properties(
    source: str, message_id: str, headers: Mapping[str, Any] | None, correlation_id: str
) -> Basic.Properties:
    return Basic.Properties(
        content_type="application/json",
        message_id=message_id,
        app_id=source,
        headers=dict(headers) if headers else None,
        correlation_id=correlation_id or None,
    )


def _message(body: bytes, sent: Published) -> Message:
    """A message as a service has it."""
    message = read(body)
    assert not isinstance(message, NoEnvelope)  # noqa: S101  # it was judged
    message.topic, message.exchange = sent.topic, sent.exchange
    message.headers, message.correlation_id = dict(sent.headers), sent.correlation_id
    message.redelivered, message.attempt, message._settle = False, 0, _settled
    return message


async def _settled(_succeeded: bool) -> None:
    """Nobody waits for it."""
