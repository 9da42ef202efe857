"""The suite's client by aio-pika, whose event loop runs in a thread beside the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPChannelError, AMQPError, ChannelInvalidStateError
from pamqp.commands import Basic

from tests.interop.client import (
    LIMIT_SECONDS,
    ChannelClosed,
    Endpoint,
    PublishOutcome,
    QueueDeclared,
    ReturnedMessage,
    ShownMessage,
)
from tests.loops import end_all

Result = TypeVar("Result")

_CODES = {"ChannelAccessRefused": 403, "ChannelNotFoundEntity": 404, "ChannelLockedResource": 405}
_CODES |= {"ChannelPreconditionFailed": 406}
_PROPERTIES = (
    "content_type",
    "content_encoding",
    "headers",
    "priority",
    "correlation_id",
    "reply_to",
    "message_id",
    "type",
    "app_id",
)


class AioPikaChannel:
    """See `client.Channel`."""

    def __init__(self, library: AioPika, channel: AbstractChannel) -> None:
        self._library = library
        self._channel = channel
        self._deliveries: asyncio.Queue[ShownMessage] = asyncio.Queue()
        self._returned: asyncio.Queue[ReturnedMessage] = asyncio.Queue()
        self._open: dict[int, AbstractIncomingMessage] = {}
        self._consumers: dict[str, str] = {}
        self._why: asyncio.Future[BaseException | None] = library.loop.create_future()
        channel.close_callbacks.add(self._on_close)

    def declare_exchange(self, name: str, kind: str = "topic", *, durable: bool = False) -> None:
        self._call(self._channel.declare_exchange(name, kind, durable=durable))

    def declare_queue(
        self,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        declaring = self._channel.declare_queue(
            name or None,
            passive=passive,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            arguments=dict(arguments or {}),
        )
        ok = self._call(declaring).declaration_result
        return QueueDeclared(str(ok.queue), int(ok.message_count or 0), int(ok.consumer_count or 0))

    def bind(self, queue: str, exchange: str, key: str) -> None:
        self._call(self._on_queue(queue, "bind", exchange, key))

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        self._call(self._on_queue(queue, "unbind", exchange, key))

    def purge(self, queue: str) -> int:
        return int(self._call(self._on_queue(queue, "purge")).message_count)

    def delete_queue(self, queue: str) -> None:
        self._call(self._channel.queue_delete(queue))

    def delete_exchange(self, name: str) -> None:
        self._call(self._channel.exchange_delete(name))

    def publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any] | None = None, *, mandatory: bool
    ) -> PublishOutcome:
        return self._call(self._publish(exchange, key, body, properties or {}, mandatory))

    async def _publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any], mandatory: bool
    ) -> PublishOutcome:
        named = await self._channel.get_exchange(exchange, ensure=False) if exchange else self._channel.default_exchange
        try:
            result = await named.publish(aio_pika.Message(body, **properties), key, mandatory=mandatory)
        except aio_pika.exceptions.DeliveryError as refused:
            if refused.message is not None:
                self._returned.put_nowait(_returned(refused.message))
            return PublishOutcome.REFUSED
        if result is None:
            return PublishOutcome.SENT
        return PublishOutcome.RETURNED if hasattr(result, "delivery") else PublishOutcome.CONFIRMED

    def returned(self) -> ReturnedMessage:
        return self._call(self._returned.get())

    def qos(self, count: int) -> None:
        self._call(self._channel.set_qos(count))

    def consume(self, queue: str, *, no_ack: bool = False, exclusive: bool = False) -> str:
        tag = str(self._call(self._on_queue(queue, "consume", self._on_delivery, no_ack=no_ack, exclusive=exclusive)))
        self._consumers[tag] = queue
        return tag

    def cancel(self, consumer: str) -> None:
        self._call(self._on_queue(self._consumers.pop(consumer), "cancel", consumer))

    def next(self, limit_seconds: float = LIMIT_SECONDS) -> ShownMessage | None:
        async def take() -> ShownMessage | None:
            try:
                async with asyncio.timeout(limit_seconds):
                    return await self._deliveries.get()
            except TimeoutError:
                return None

        return self._library.run(take())

    def get(self, queue: str, *, no_ack: bool = False) -> ShownMessage | None:
        found = self._call(self._on_queue(queue, "get", no_ack=no_ack, fail=False))
        return None if found is None else self._received(found)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self._call(self._open.pop(tag).ack(multiple))

    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        self._call(self._open.pop(tag).nack(multiple, requeue))

    def reject(self, tag: int, *, requeue: bool = True) -> None:
        self._call(self._open.pop(tag).reject(requeue))

    def recover(self) -> None:
        async def recover() -> None:
            await (await self._channel.get_underlay_channel()).basic_recover(requeue=True)

        self._call(recover())

    def closed(self) -> ChannelClosed:
        async def why() -> BaseException | None:
            return await asyncio.shield(self._why)

        found = self._library.run(why())
        assert found is not None, "the channel was closed by us"
        return _closed(found)

    def close(self) -> None:
        if not self._channel.is_closed:

            async def close() -> None:
                await self._channel.close()

            self._library.run(close())

    async def _on_queue(self, queue: str, verb: str, *arguments: Any, **options: Any) -> Any:
        found = await self._channel.get_queue(queue, ensure=False)
        return await getattr(found, verb)(*arguments, **options)

    def _call(self, calling: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._library.run(calling)
        except ChannelInvalidStateError:
            raise self.closed() from None
        except AMQPChannelError as closed:
            raise _closed(closed) from closed

    async def _on_delivery(self, message: AbstractIncomingMessage) -> None:
        self._deliveries.put_nowait(self._received(message))

    def _received(self, message: AbstractIncomingMessage) -> ShownMessage:
        tag = message.delivery_tag or 0
        self._open[tag] = message
        return ShownMessage(
            message.body,
            message.exchange or "",
            message.routing_key or "",
            tag,
            bool(message.redelivered),
            _properties(message),
        )

    def on_return(self, message: DeliveredMessage) -> None:
        """Told by the library below aio-pika."""
        self._returned.put_nowait(_returned(message))

    def _on_close(self, _: Any, why: BaseException | None) -> None:
        if not self._why.done():
            self._why.set_result(why)


def _closed(error: BaseException) -> ChannelClosed:
    code = _CODES.get(type(error).__name__) or next((one for one in error.args if isinstance(one, int)), 0)
    return ChannelClosed(code, str(error))


def _returned(message: DeliveredMessage) -> ReturnedMessage:
    frame = message.delivery
    assert isinstance(frame, Basic.Return)
    properties = _properties(message.header.properties)
    returned = ShownMessage(message.body, frame.exchange or "", frame.routing_key or "", properties=properties)
    return ReturnedMessage(int(frame.reply_code or 0), frame.reply_text or "", returned)


def _properties(source: object) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(source, name, None) for name in _PROPERTIES}
    found["type"] = found["type"] or getattr(source, "message_type", None)  # as pamqp calls it
    return {name: value for name, value in found.items() if value is not None}


class AioPikaConnection:
    """See `client.Connection`."""

    def __init__(self, library: AioPika, connection: AbstractConnection) -> None:
        self._library = library
        self._connection = connection

    def channel(self, *, confirms: bool = False) -> AioPikaChannel:
        async def opened() -> AbstractChannel:
            return await self._connection.channel(publisher_confirms=confirms)

        async def opened_with_returns() -> AioPikaChannel:
            channel = await opened()
            adapted = AioPikaChannel(self._library, channel)
            # aio-pika's own callback leaves the reply code out
            (await channel.get_underlay_channel()).on_return_callbacks.add(adapted.on_return)
            return adapted

        return self._library.run(opened_with_returns())

    def close(self) -> None:
        async def close() -> None:
            with suppress(AMQPError):  # the peer was quicker
                await self._connection.close()

        self._library.run(close())


class AioPika:
    """See `client.Client`."""

    name = "aio-pika"
    knows_floats = True
    tells_returns_without_confirms = False  # it matches them to confirms
    writes_message_ids = True
    is_told_why = False  # a return would hide it from the program
    frame_sizes: tuple[int | None, ...] = (None,)  # it takes what the peer proposes

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever, name="aio-pika", daemon=True)
        self._thread.start()

    def run(self, calling: Coroutine[Any, Any, Result]) -> Result:
        """Run on the loop and wait for the result."""
        running = asyncio.run_coroutine_threadsafe(calling, self.loop)
        try:
            return running.result(LIMIT_SECONDS + 5)
        except TimeoutError:
            running.cancel()
            raise

    def connect(self, endpoint: Endpoint, *, frame_max: int | None = None) -> AioPikaConnection:
        connecting = aio_pika.connect(
            host=endpoint.host,
            port=endpoint.port,
            login=endpoint.username,
            password=endpoint.password,
            virtualhost=endpoint.vhost,
            ssl=endpoint.ca_file is not None,
            ssl_context=ssl.create_default_context(cafile=str(endpoint.ca_file)) if endpoint.ca_file else None,
        )
        return AioPikaConnection(self, self.run(connecting))

    def close(self) -> None:
        self.run(end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(LIMIT_SECONDS)
        self.loop.close()
