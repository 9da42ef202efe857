"""A publisher and a consumer as threads: they keep their books, and connect again as a service would.

What they know is what any client knows: which publish was confirmed or refused, which was unanswered when a
connection ended, what was delivered how often.
"""

from __future__ import annotations

import json
import select
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable

from bench.agents.client import CHANNEL, BenchClient, OtherSideClosed, Target
from letrade_topo.amqp.basic import ack_frame
from letrade_topo.amqp.connection_commands import ConnectionClose, ConnectionCloseOk
from letrade_topo.amqp.frames import METHOD, encode_method
from tests.soak.agents.frames import Closed, Confirm, Delivered, Event, Events, publish

PREFETCH = 500
_PACE_SECONDS = 0.005
_AGAIN_SECONDS = 0.1
"""Between two attempts to connect, as a client's own back-off."""
_JOIN_SECONDS = 60.0
_MOST_AT_ONCE = 100
_CLOSE_OK = ConnectionCloseOk().encode()

Envelope = Callable[[int], bytes]


class Tally:
    """How often each number was seen, for millions of numbers."""

    def __init__(self) -> None:
        self._counts = bytearray()
        self.different = 0
        self.total = 0

    def add(self, number: int) -> bool:
        """Count a number; whether it is the first time."""
        counts = self._counts
        if number >= len(counts):
            counts.extend(bytes(number + 10_000 - len(counts)))
        first = counts[number] == 0
        counts[number] = min(counts[number] + 1, 255)
        self.different += first
        self.total += 1
        return first

    def __contains__(self, number: int) -> bool:
        return number < len(self._counts) and self._counts[number] > 0

    def numbers(self) -> list[int]:
        """All that were seen."""
        return [number for number, count in enumerate(self._counts) if count]

    def missing(self, other: Tally) -> list[int]:
        """What the other has seen and this has not."""
        return [number for number in other.numbers() if number not in self]


class End(threading.Thread):
    """One end of the load; connects again until it is told to finish.

    Args:
        target: an agent.
        name: of the thread.
        reconnects: whether the end of a connection is not the end.

    Attributes:
        opened: connections that were open.
        ends: why they ended, and why attempts failed: by code or kind.
        fault: what went wrong in this program.
    """

    def __init__(self, target: Target, name: str, *, reconnects: bool = True) -> None:
        super().__init__(name=name, daemon=True)
        self.opened = 0
        self.ends: Counter[str] = Counter()
        self.fault: BaseException | None = None
        self._target = target
        self._reconnects = reconnects
        self._finishing = threading.Event()

    def run(self) -> None:
        """Connect and work, again and again."""
        try:
            while not self._is_over():
                self._connect_once()
                if self.opened and not self._reconnects:
                    break
        except BaseException as fault:  # noqa: BLE001  # it is raised where somebody waits
            self.fault = fault

    def finish(self) -> None:
        """Come to an end: `_is_over` says when."""
        self._finishing.set()

    def wait(self, limit_seconds: float = _JOIN_SECONDS) -> None:
        """Until the thread has ended; raises what went wrong in it."""
        self.join(limit_seconds)
        if self.fault is not None:
            raise self.fault
        assert not self.is_alive(), f"{self.name} has not come to its end within {limit_seconds:g} s: {self}"

    def check(self) -> None:
        """Raise what went wrong in it."""
        if self.fault is not None:
            raise self.fault

    def _connect_once(self) -> None:
        try:
            client = BenchClient(self._target)
        except (OSError, OtherSideClosed) as error:
            self.ends[f"not connected: {_kind(error)}"] += 1
            self._finishing.wait(_AGAIN_SECONDS)
            return
        try:
            self.opened += 1
            self._work(client)
        except (OSError, OtherSideClosed) as error:
            self.ends[_kind(error)] += 1
        finally:
            client.close()

    @abstractmethod
    def _work(self, client: BenchClient) -> None:
        """Use the connection until it ends (OSError, Ended) or the work is done."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Whether nothing is left to do."""

    def _events(self, client: BenchClient, events: Events, wait_seconds: float) -> list[Event]:
        """What has come in; a close is answered and raised, after what came before it."""
        readable, _, _ = select.select([client.socket], [], [], wait_seconds)
        return list(events.of(client.read())) if readable else []

    @staticmethod
    def _closed(client: BenchClient, closed: Closed) -> OtherSideClosed:
        client.socket.sendall(encode_method(0, _CLOSE_OK))
        return OtherSideClosed(f"{closed.code} {closed.text}")

    @staticmethod
    def _leave(client: BenchClient) -> None:
        client.socket.sendall(encode_method(0, ConnectionClose(reply_code=200, reply_text=b"bye").encode()))
        while not any(kind == METHOD and payload == _CLOSE_OK for kind, _, payload in client.read()):
            pass


class LoadPublisher(End):
    """Publishes numbered messages with confirms; what a lost connection left unanswered is published again.

    Args:
        target: an agent.
        exchange, key: where to.
        envelope: the body of a number.
        rate: messages a second; None: as fast as possible.
        window: unanswered ones at most.
        reconnects: whether the end of a connection is not the end.

    Attributes:
        sent: numbers given out.
        confirmed, refused: numbers that were acked, nacked.
        unanswered: numbers that had no answer when the connection was over.
        repeated: publishes that were made again.
        longest_gap: seconds between two answers, lost connections included.
    """

    def __init__(
        self,
        target: Target,
        exchange: str,
        key: str,
        envelope: Envelope,
        *,
        rate: float | None,
        window: int = 1_000,
        reconnects: bool = True,
    ) -> None:
        super().__init__(target, "publisher", reconnects=reconnects)
        self.sent = 0
        self.confirmed, self.refused = Tally(), Tally()
        self.unanswered: list[int] = []
        self.repeated = 0
        self.longest_gap = 0.0
        self._exchange, self._key, self._envelope = exchange, key, envelope
        self._rate, self._window = rate, window
        self._began = 0.0
        self._answered_at = 0.0

    def _is_over(self) -> bool:
        return self._finishing.is_set() and not self.unanswered

    def _work(self, client: BenchClient) -> None:
        client.confirm()
        pending: dict[int, int] = {}  # tag to number, in order
        again, self.unanswered = self.unanswered, []
        try:
            self._publish(client, pending, again)
        finally:
            self.unanswered = [*pending.values(), *again]
        self._leave(client)

    def _publish(self, client: BenchClient, pending: dict[int, int], again: list[int]) -> None:
        events, tag = Events(), 0
        self._began = self._began or time.monotonic()
        while pending or again or not self._finishing.is_set():
            due = self._due(self._window - len(pending), again)
            if due:
                pending.update(enumerate(due, tag + 1))
                tag += len(due)
                pieces = [self._frames(number, client.frame_max) for number in due]
                client.socket.sendall(b"".join(pieces))
            full = len(pending) >= self._window or (self._rate is not None and not due)
            for event in self._events(client, events, _PACE_SECONDS if full or not due else 0.0):
                if isinstance(event, Confirm):
                    self._settle(event, pending)
                elif isinstance(event, Closed):
                    raise self._closed(client, event)

    def _due(self, room: int, again: list[int]) -> list[int]:
        room = min(room, _MOST_AT_ONCE)
        if room <= 0:
            return []
        due = again[:room]
        del again[:room]
        self.repeated += len(due)
        if self._finishing.is_set():
            return due
        until = self.sent + room - len(due)
        if self._rate is not None:
            until = min(until, int((time.monotonic() - self._began) * self._rate) + 1)
        due += range(self.sent, until)
        self.sent = max(self.sent, until)
        return due

    def _frames(self, number: int, frame_max: int) -> bytes:
        return publish(self._exchange, self._key, self._envelope(number), number, frame_max)

    def _settle(self, confirm: Confirm, pending: dict[int, int]) -> None:
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - (self._answered_at or now))
        self._answered_at = now
        tags = [confirm.tag]
        if confirm.multiple:
            tags = []
            for tag in pending:
                if tag > confirm.tag:
                    break
                tags.append(tag)
        assert tags, f"{confirm} answers nothing"
        for tag in tags:
            assert tag in pending, f"{confirm} answers what was answered before"
            (self.confirmed if confirm.acknowledged else self.refused).add(pending.pop(tag))


class LoadConsumer(End):
    """Consumes with acknowledgements, until it is told to finish.

    Attributes:
        seen: numbers, and how often.
        out_of_order: numbers that came for the first time after a higher one.
        redelivered: deliveries that the broker marked as such.
    """

    def __init__(self, target: Target, queue: str) -> None:
        super().__init__(target, "consumer")
        self.seen = Tally()
        self.out_of_order = 0
        self.redelivered = 0
        self._queue = queue
        self._highest = -1

    @property
    def duplicates(self) -> int:
        """Deliveries of what had been delivered before."""
        return self.seen.total - self.seen.different

    def _is_over(self) -> bool:
        return self._finishing.is_set()

    def _work(self, client: BenchClient) -> None:
        client.consume(self._queue, PREFETCH)
        events = Events()
        self._take(client, events.of(next(client.frames())))  # what came with consume-ok
        while not self._finishing.is_set():
            self._take(client, self._events(client, events, 10 * _PACE_SECONDS))
        self._leave(client)

    def _take(self, client: BenchClient, events: Iterable[Event]) -> None:
        tag = 0
        for event in events:
            if isinstance(event, Delivered):
                tag = event.tag
                self.redelivered += event.redelivered
                number = int(json.loads(event.body)["payload"]["number"])
                if self.seen.add(number):
                    self.out_of_order += number < self._highest
                    self._highest = max(self._highest, number)
            elif isinstance(event, Closed):
                raise self._closed(client, event)
        if tag:
            client.socket.sendall(ack_frame(CHANNEL, tag, multiple=True))


def _kind(error: Exception) -> str:
    """The code of a close, else the kind of what happened."""
    word = str(error).partition(" ")[0]
    if isinstance(error, OtherSideClosed):
        return word if word.isdigit() or word.isupper() else str(error)
    return type(error).__name__
