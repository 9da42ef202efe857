"""Every tenth message on a confirm channel is refused: what the client is told of each, in which order, is right.

The client checks what comes as it comes (`Answers`), so that a wrong confirm is seen at the message it is for.
"""

from __future__ import annotations

import random
import select
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pika
import pika.exceptions
import pytest

from bench.agents.client import BenchClient
from tests.agents import RunningAgent
from tests.brokers import RunningBroker
from tests.soak.agents.frames import Confirm, Events, ReturnFrames, content_header, correlation_of, publish
from tests.soak.agents.world import (
    DEAD,
    EXCHANGE,
    KEY,
    KEY_NOBODY_WANTS,
    QUEUE,
    CampaignWorld,
    envelope,
    order,
    running_world,
    until,
)
from tests.soak.conftest import Summarise

EVERY = 10
WINDOW = 500
LARGEST_WRITE = 60
LIMIT_BYTES = 131_072
PIKA_MESSAGES = 300
NO_ROUTE = 312
SILENCE_SECONDS = 60.0


class RefusalFate(Enum):
    """What is to become of a message."""

    CONSUMED = "consumed"
    UNROUTED = "unrouted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CampaignKind:
    """A kind of message.

    Args:
        reason: the word in the metric of refusals; empty when it is not refused.
        code: of the return, when it is mandatory; 0: there is none.
        body: made from a number.
        exchange, key: where to.
        is_drained: larger than what is kept, so that it comes back without its body.
    """

    reason: str
    code: int
    body: Callable[[int], bytes]
    exchange: str = EXCHANGE
    key: str = KEY
    is_drained: bool = False

    @property
    def fate(self) -> RefusalFate:
        """What is to become of it."""
        if self.reason:
            return RefusalFate.REFUSED
        return RefusalFate.UNROUTED if self.code else RefusalFate.CONSUMED


GOOD = CampaignKind("", 0, order)
UNROUTED = CampaignKind("", NO_ROUTE, order, key=KEY_NOBODY_WANTS)
BAD = (
    CampaignKind("schema", 406, lambda number: envelope(f"number {number}")),
    CampaignKind("envelope", 406, lambda number: b'{"number": %d}' % number),
    CampaignKind("envelope", 406, lambda number: b"\xff\x00 %d" % number),
    CampaignKind("envelope", 406, lambda number: envelope(number, source="clerk")),
    CampaignKind("oversize", 406, lambda number: envelope(number, note="x" * LIMIT_BYTES), is_drained=True),
    CampaignKind("undeclared", 403, order, key="order.unknown"),
    CampaignKind("undeclared", 404, order, exchange="nowhere"),
)


@dataclass(frozen=True, slots=True)
class NumberedMessage:
    """The message of a number."""

    kind: CampaignKind
    mandatory: bool


def message(number: int) -> NumberedMessage:
    """Which one it is: every tenth refused, of each kind with and without mandatory; every eleventh unrouted."""
    if number % EVERY == EVERY - 1:
        tenth = number // EVERY
        return NumberedMessage(BAD[tenth % len(BAD)], mandatory=bool(tenth // len(BAD) % 2))
    return NumberedMessage(UNROUTED if number % 11 == 5 else GOOD, mandatory=number % 3 == 0)


class Answers:
    """What the client is told, checked as it comes. Numbers begin with 0, delivery tags with 1."""

    def __init__(self) -> None:
        self.pending: dict[int, bytes] = {}
        """The body of each unanswered number, in order."""
        self.acked = self.nacked = self.multiples = 0
        self.returns: Counter[int] = Counter()
        self._returned: set[int] = set()
        self._last: ReturnFrames | None = None
        self._last_nack = -1
        self._last_unrouted = -1

    def returned(self, event: ReturnFrames) -> None:
        """It names a mandatory message that is unanswered, with the right code, content and destination."""
        assert self._last is None, f"{event} after the return of a refusal, which has no answer yet"
        number = correlation_of(event.header)
        assert number in self.pending, f"return of {number}, which is answered"
        assert number not in self._returned, f"second return of {number}"
        expected, kind = message(number), message(number).kind
        assert expected.mandatory, f"return of {number}, which was not mandatory"
        assert (event.code, event.exchange, event.key) == (kind.code, kind.exchange, kind.key), f"{number}: {event}"
        body = b"" if kind.is_drained else self.pending[number]
        assert event.body == body, f"return of {number} with another body"
        assert event.header[12:] == content_header(number, 0)[12:], f"return of {number} with other properties"
        self._returned.add(number)
        self.returns[event.code] += 1
        if kind.fate is RefusalFate.REFUSED:
            self._last = event
        else:
            assert number > self._last_unrouted, f"return of {number} after that of {self._last_unrouted}"
            self._last_unrouted = number

    def confirmed(self, event: Confirm) -> None:
        """It answers what is unanswered, and each as is due to it, after its return."""
        if not event.acknowledged:
            self._refused(event)
            return
        assert self._last is None, f"{event} between the return of a refusal and its nack"
        highest = event.tag - 1
        numbers = [highest]
        if event.multiple:
            self.multiples += 1
            numbers = []
            for number in self.pending:
                if number > highest:
                    break
                numbers.append(number)
        assert numbers, f"{event} answers nothing"
        for number in numbers:
            assert number in self.pending, f"{event} answers {number} again"
            expected = message(number)
            assert expected.kind.fate is not RefusalFate.REFUSED, (
                f"{event} acknowledges {number}, which was to be refused"
            )
            is_returned = expected.kind.fate is RefusalFate.UNROUTED and expected.mandatory
            assert is_returned == (number in self._returned), f"{event} of {number}: returned or not?"
            del self.pending[number]
        self.acked += len(numbers)

    def _refused(self, event: Confirm) -> None:
        """One alone, in the order of publishing, directly after its return if that was asked for."""
        number = event.tag - 1
        assert not event.multiple, f"{event} refuses more than one"
        assert number in self.pending, f"{event} answers {number} again"
        expected = message(number)
        assert expected.kind.fate is RefusalFate.REFUSED, f"{event} refuses {number}, which is good"
        assert number > self._last_nack, f"{event} after that of {self._last_nack}"
        last, self._last = self._last, None
        assert (last is not None) == expected.mandatory, f"{number}: returned or not?"
        assert last is None or correlation_of(last.header) == number, f"{event} after the return of another: {last}"
        self._last_nack = number
        del self.pending[number]
        self.nacked += 1


def test_every_tenth_is_refused(
    broker: RunningBroker, tmp_path: Path, pytestconfig: pytest.Config, moments: random.Random, summarise: Summarise
) -> None:
    """Kinds of refusals mixed with good and unroutable messages: each answer is right, each good one arrives once."""
    count = pytestconfig.getoption("messages")
    with running_world(broker, tmp_path) as world:
        shop, clerk = world.agent("shop"), world.agent("clerk")
        consumer = world.consumer(clerk)
        with closing(BenchClient(world.target(shop))) as client:
            begin = time.monotonic()
            answers = _publish(client, count, moments)
            seconds = time.monotonic() - begin
        good = [number for number in range(count) if message(number).kind.fate is RefusalFate.CONSUMED]
        until(lambda: consumer.seen.total >= len(good), "the good ones have come")
        consumer.finish()
        consumer.wait()

        bad = [message(number) for number in range(count) if message(number).kind.fate is RefusalFate.REFUSED]
        assert not answers.pending
        assert (answers.nacked, answers.acked) == (len(bad), count - len(bad))
        assert answers.returns == Counter(
            one.kind.code for one in map(message, range(count)) if one.mandatory and one.kind.code
        )
        assert consumer.seen.total == len(good)
        assert all(number in consumer.seen for number in good)
        assert consumer.out_of_order == 0
        assert consumer.opened == 1
        _check_metrics(shop, Counter(one.kind.reason for one in bad))
        assert world.is_empty(QUEUE, DEAD)
        summarise(
            "every tenth refused",
            broker.version,
            f"{count} messages in {seconds:.0f} s ({count / seconds:.0f} a second): {answers.acked} acks"
            f" ({answers.multiples} with multiple), {answers.nacked} nacks, returns "
            + ", ".join(f"{code}: {number}" for code, number in sorted(answers.returns.items()))
            + "; each right and in order; the good ones arrived once, in order",
        )


def test_every_tenth_is_refused_to_pika(world: CampaignWorld) -> None:
    """The same messages as pika sees them: nothing, NackError or UnroutableError, each with what was returned."""
    shop = world.agent("shop")
    with pika.BlockingConnection(pika.URLParameters(shop.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in range(PIKA_MESSAGES):
            expected = message(number)
            kind = expected.kind
            properties = pika.BasicProperties(content_type="application/json", correlation_id=str(number))
            codes = []
            fate = RefusalFate.CONSUMED
            try:
                channel.basic_publish(kind.exchange, kind.key, kind.body(number), properties, expected.mandatory)
            except pika.exceptions.NackError as nack:
                fate, codes = RefusalFate.REFUSED, [_returned_to_pika(one, number) for one in nack.messages]
            except pika.exceptions.UnroutableError as unroutable:
                fate, codes = RefusalFate.UNROUTED, [_returned_to_pika(one, number) for one in unroutable.messages]
            assert codes == ([kind.code] if expected.mandatory and kind.code else []), number
            silent = kind.fate is RefusalFate.UNROUTED and not expected.mandatory
            assert fate is (RefusalFate.CONSUMED if silent else kind.fate), number


def _returned_to_pika(returned: pika.adapters.blocking_connection.ReturnedMessage, number: int) -> int:
    assert returned.properties.correlation_id == str(number)
    return int(returned.method.reply_code)


def _publish(client: BenchClient, count: int, moments: random.Random) -> Answers:
    """Publish in writes of random sizes, so that refusals lie anywhere in what the agent reads at once."""
    answers, events, sent = Answers(), Events(), 0
    client.confirm()
    while sent < count or answers.pending:
        room = min(count - sent, WINDOW - len(answers.pending), moments.randint(1, LARGEST_WRITE))
        pieces = []
        for number in range(sent, sent + room):
            one = message(number)
            body = one.kind.body(number)
            answers.pending[number] = body
            where = one.kind.exchange, one.kind.key
            pieces.append(publish(*where, body, number, client.frame_max, mandatory=one.mandatory))
        sent += max(room, 0)
        if pieces:
            data = b"".join(pieces)
            cut = moments.randrange(len(data))
            client.socket.sendall(data[:cut])
            client.socket.sendall(data[cut:])
        patience = 0.0 if room > 0 and len(answers.pending) < WINDOW and sent < count else SILENCE_SECONDS
        readable, _, _ = select.select([client.socket], [], [], patience)
        assert readable or not patience, f"no answer for {SILENCE_SECONDS:g} s: {list(answers.pending)[:10]}…"
        for event in events.of(client.read()) if readable else ():
            match event:
                case ReturnFrames():
                    answers.returned(event)
                case Confirm():
                    answers.confirmed(event)
                case _:
                    raise AssertionError(f"the client was told {event}")
    return answers


def _check_metrics(shop: RunningAgent, reasons: Counter[str]) -> None:
    for reason, number in reasons.items():
        seen = shop.metric("messages_rejected_total", direction="publish", reason=reason)
        assert seen == number, f"{reason}: {seen} counted, {number} refused"
