"""Publishing with confirms: one message, or many at once; what did not make it is an error with the reason.

Every publish is mandatory. So a refusal of the agent comes back as a returned message with its reason and a nack, a
message that no queue takes as a returned one and an ack.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sized
from enum import StrEnum
from typing import Any, Final, NamedTuple

from aio_pika.abc import AbstractRobustChannel
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelInvalidStateError,
    DeliveryError,
)
from aio_pika.exceptions import (
    PublishError as Returned,
)
from pamqp.commands import Basic

from letrade_topo.bus.addresses import MessageAddress
from letrade_topo.bus.errors import (
    BatchFailed,
    BusError,
    DestinationRefused,
    PublishError,
    PublishRefused,
    QueueFull,
    SchemaRefused,
    TooLarge,
    Unconfirmed,
    Unroutable,
)
from letrade_topo.bus.link import Link, closed, down

NO_ROUTE: Final = 312
WINDOW: Final = 512
"""Messages of a batch that are unconfirmed at once."""

DRAIN_EVERY: Final = 64
"""After so many messages one waits until the socket has taken everything, so that what is unsent stays bounded."""

_LARGE_BYTES: Final = 16_384
_GRACE_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.02


class OnLoss(StrEnum):
    """What becomes of a publish whose confirm is lost with the connection."""

    RAISE = "raise"
    """`Unconfirmed` is raised, and the caller decides."""
    REPUBLISH = "republish"
    """It is published once more, with the same message_id: it may then arrive twice."""


class Outgoing(NamedTuple):
    """A message that is ready to be published.

    Args:
        address: where to.
        message_id: of the envelope.
        body: the envelope.
        properties: AMQP properties.
    """

    address: MessageAddress
    message_id: str
    body: bytes
    properties: Basic.Properties


class _Batch:
    """Messages by number, for several workers; ends at a mistake of the caller's.

    Attributes:
        broken: what it raised.
    """

    def __init__(self, messages: Iterable[Callable[[], Outgoing]]) -> None:
        self._numbered = enumerate(messages)
        self.broken: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, Callable[[], Outgoing]]]:
        return self

    def __next__(self) -> tuple[int, Callable[[], Outgoing]]:
        if self.broken is None:
            try:
                return next(self._numbered)
            except StopIteration:
                pass
            except Exception as error:  # noqa: BLE001  # whatever it is: the caller's own
                self.broken = error
        raise StopIteration


class _Lost(Exception):
    """The connection went while a confirm was awaited."""


class Publisher:
    """Publishes on a channel of its own.

    Args:
        link: the connection.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractRobustChannel | None = None
        self._waiting: set[asyncio.Timeout] = set()
        self._given_up: set[asyncio.Timeout] = set()
        self._count = 0
        link.when_lost(self._when_lost)

    async def open(self) -> None:
        """Open the channel."""
        self._channel = await self._link.channel(confirms=True)

    async def publish(self, outgoing: Outgoing, timeout_seconds: float, on_loss: OnLoss) -> str:
        """Publish one message, and return its id when the broker has it.

        Raises:
            NotConnected: it was not sent.
            PublishError: it was sent, and is not known to be on the broker.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        was_sent = False
        while True:
            channel = self._channel
            if channel is None or not self._link.is_open:
                raise _unconfirmed(outgoing, "the bus was closed") if was_sent else closed()
            try:
                await self._attempt(channel, outgoing, deadline)
            except ChannelInvalidStateError:
                pass  # it was not sent
            except _Lost as lost:
                if on_loss is OnLoss.RAISE:
                    raise _unconfirmed(outgoing, str(lost)) from lost
                was_sent = True
            else:
                return outgoing.message_id
            await self._wait_until_ready(channel, outgoing, deadline, was_sent=was_sent)

    async def publish_all(
        self,
        messages: Iterable[Callable[[], Outgoing]],
        timeout_seconds: float,
        on_loss: OnLoss,
        *,
        window: int = WINDOW,
    ) -> list[str]:
        """Publish many messages in their order, with so many unconfirmed at once.

        Args:
            messages: each makes one when its turn has come; a BusError that it raises is that message's failure.
            timeout_seconds: for each message, from the moment it is sent.
            on_loss: see `OnLoss`.
            window: unconfirmed messages at once.

        Raises:
            BatchFailed: some of them; the others are confirmed.
            Exception: what `messages` raised, or making one; when everything before it has its end.
        """
        confirmed: dict[int, str] = {}
        failures: dict[int, BusError] = {}
        batch = _Batch(messages)

        async def work() -> None:
            for index, make in batch:
                try:
                    confirmed[index] = await self.publish(make(), timeout_seconds, on_loss)
                except BusError as failure:
                    failures[index] = failure
                except Exception as error:  # noqa: BLE001  # the caller's own mistake goes to the caller
                    batch.broken = error

        workers = min(window, len(messages)) if isinstance(messages, Sized) else window
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
        if batch.broken is not None:
            raise batch.broken
        if failures:
            raise BatchFailed(failures, confirmed)
        return [confirmed[index] for index in range(len(confirmed))]

    async def _attempt(self, channel: AbstractRobustChannel, outgoing: Outgoing, deadline: float) -> None:
        """Publish once, and wait for the confirm."""
        if not self._link.is_up or channel.is_closed:
            raise ChannelInvalidStateError
        underlay: Any = await channel.get_underlay_channel()
        self._count += 1
        guard = asyncio.timeout_at(deadline)
        self._waiting.add(guard)
        try:
            async with guard:
                await underlay.basic_publish(
                    outgoing.body,
                    exchange=outgoing.address.exchange,
                    routing_key=outgoing.address.routing_key,
                    properties=outgoing.properties,
                    mandatory=True,
                    wait=self._count % DRAIN_EVERY == 0 or len(outgoing.body) > _LARGE_BYTES,
                )
        except TimeoutError as error:
            if guard in self._given_up:
                raise _Lost("the connection was lost") from error
            raise _unconfirmed(outgoing, "no confirm came in time") from error
        except Returned as error:
            delivery = getattr(error.message, "delivery", None)
            code, text = int(getattr(delivery, "reply_code", 0)), str(getattr(delivery, "reply_text", ""))
            raise returned(outgoing, code, text) from None
        except DeliveryError:
            raise _full(outgoing) from None
        except ChannelInvalidStateError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _Lost("the connection was lost") from error  # the library cancels what waits for confirms
        except CONNECTION_EXCEPTIONS as error:
            raise _Lost(str(error) or "the connection was lost") from error
        finally:
            self._waiting.discard(guard)
            self._given_up.discard(guard)

    async def _wait_until_ready(
        self, channel: AbstractRobustChannel, outgoing: Outgoing, deadline: float, *, was_sent: bool
    ) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(_PAUSE_SECONDS)
                while self._link.is_open and not self._link.is_up:
                    await asyncio.sleep(_PAUSE_SECONDS)
                if self._link.is_open:
                    await channel.ready()
        except TimeoutError as error:
            if was_sent:
                raise _unconfirmed(outgoing, "the connection was lost, and did not come back in time") from error
            raise down(f"{_named(outgoing)} was not sent") from error

    def _when_lost(self) -> None:
        """Give up waiting for confirms that cannot come, should the library go on waiting for its own writer."""
        waiting = set(self._waiting)
        if waiting:
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._give_up, waiting)

    def _give_up(self, waiting: set[asyncio.Timeout]) -> None:
        now = asyncio.get_running_loop().time()
        for guard in waiting & self._waiting:
            self._given_up.add(guard)
            guard.reschedule(now)


def _named(outgoing: Outgoing) -> str:
    return f"{outgoing.address.routing_key} (message {outgoing.message_id})"


def _unconfirmed(outgoing: Outgoing, why: str) -> Unconfirmed:
    return Unconfirmed(
        f"nobody confirmed {_named(outgoing)}",
        why=f"{why}: it may be on the broker, or not",
        fix="publish it again if twice is better than never, or ask for on_loss='republish'",
    )


def _full(outgoing: Outgoing) -> QueueFull:
    return QueueFull(
        f"{_named(outgoing)} was refused by a queue",
        why="a queue that receives it is full",
        fix="its consumers are too slow or away: see the queues' depths; publish it again later",
    )


def returned(outgoing: Outgoing, code: int, text: str) -> PublishError:
    """What a returned message says.

    Args:
        outgoing: the message.
        code: AMQP reply code.
        text: the reply text, with the code's name before it or without.
    """
    if code == NO_ROUTE:
        return Unroutable(
            f"no queue receives {_named(outgoing)}",
            why="the broker has no binding for it: nobody consumes this type",
            fix="declare a queue for it in topology.yaml and apply, or start who subscribes to it",
        )
    what = f"{_named(outgoing)} was refused"
    said = text.partition(" - ")[2] or text
    kinds: tuple[tuple[bool, type[PublishRefused], str], ...] = (
        (
            "message size" in text,
            TooLarge,
            "send less, or configure a claim store: see `claim_check` in topology.yaml",
        ),
        ("not a payload of" in text, SchemaRefused, "see the message type's schema in topology.yaml"),
        (
            code in (403, 404),
            DestinationRefused,
            "add the type to the service's `publishes` in topology.yaml, and apply",
        ),
    )
    for applies, kind, fix in kinds:
        if applies:
            return kind(what, code=code, text=said, fix=fix)
    return PublishRefused(what, code=code, text=said)
