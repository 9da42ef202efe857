"""What the agent's data path costs a message, without sockets: bytes of a read in, bytes to write out, in one process.

Publish: a client's publishes go through decoder and relay with the real filters, and the broker's confirms come back.
Deliver: what that wrote comes back as deliveries of a broker, and the client acknowledges. Beside the time, how many
calls of Python and of C a message takes, which does not depend on the machine.

    python bench/data_path.py [--batch N] [--rounds N] [--kind tick|trade] [--traced]

With --traced, rounds with and without tracing take turns, every message being sampled, and the difference is what
tracing costs the event loop; what the thread that sends takes beside it, a message, is measured by itself.
"""

from __future__ import annotations

import argparse
import gc
import secrets
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import yaml
from letrade_agent.config import DeclareMode, TraceSettings, Undeclared
from letrade_agent.filters.build import build_filters
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.measures import Measures
from letrade_agent.otlp.wire import Wire
from letrade_agent.relay.libraries import RefusalForm
from letrade_agent.relay.relay import Relay
from letrade_agent.tracing.contexts import Sampler
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.tracing.spans import Described, Spans

from bench.agents.messages import CONSUMER, PUBLISHER, MessageKind, topology
from letrade_topo.amqp.frames import FrameDecoder
from letrade_topo.keys.jwk import Role
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.replay import Replay
from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.topology import Topology
from tests.keys.world import public_key, signing_key
from tests.messages.world import encryption_key, public_half

FRAME_MAX: Final = 131_072
_FRAME = struct.Struct(">BHI")
_END: Final = b"\xce"
_CONTENT_TYPE: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """The settings that filters need."""

    service: str
    undeclared: Undeclared = Undeclared.REFUSE
    declares: DeclareMode = DeclareMode.ABSORB


def short(text: bytes) -> bytes:
    """A short string."""
    return bytes((len(text),)) + text


def frame(kind: int, payload: bytes) -> bytes:
    """One frame on channel 1."""
    return _FRAME.pack(kind, 1, len(payload)) + payload + _END


class RelayLeg:
    """One relay with an open channel.

    Args:
        model: the topology.
        service: beside which it stands.
        traced: every message that a publisher samples is recorded.
    """

    def __init__(self, model: Topology, service: str, *, traced: bool = False) -> None:
        signing = [public_key(signing_key(name), Role.SERVICE) for name in model.services]
        encryption = [public_half(encryption_key(name, "2")) for name in model.services]
        public = {key.kid: key for key in (*signing, *encryption)}
        own = encryption_key(service, "2")
        keys = KeySet(service, public, (signing_key(service),), {own.kid: own})
        self.measures = Measures()
        sampler = Sampler(TraceSettings("http://127.0.0.1:4318/v1/traces"))
        self.recorder = Recorder(sampler, self.measures, time.time, DEFAULT_LIMITS.traces) if traced else None
        filters = build_filters(model, keys, GivenSettings(service), Replay(), self.measures)
        self.relay = Relay(
            filters,
            self.measures,
            client_frame_max=FRAME_MAX,
            upstream_frame_max=FRAME_MAX,
            client_capabilities=frozenset((b"basic.nack", b"publisher_confirms")),
            broker_counts_nacks=True,
            refusal_form=RefusalForm.RETURN_AND_NACK,
            now=time.time,
            monotonic=time.monotonic,
            log=self._log,
            tracer=None if self.recorder is None else self.recorder.of_connection(("broker.example", 5671)),
        )
        self.client, self.upstream = FrameDecoder(FRAME_MAX), FrameDecoder(FRAME_MAX)
        self.from_client(frame(1, struct.pack(">HH", 20, 10) + b"\0"))
        self.from_upstream(frame(1, struct.pack(">HH", 20, 11) + bytes(4)))

    def _log(self, level: str, event: str, particulars: Any = None) -> None:
        if level in {"warning", "error"}:
            raise SystemExit(f"{event}: {particulars}")

    def from_client(self, data: bytes) -> None:
        """One read of the client."""
        self.relay.from_client(self.client.feed(data))

    def from_upstream(self, data: bytes) -> None:
        """One read of the broker."""
        self.relay.from_upstream(self.upstream.feed(data))


def publishes(kind: MessageKind, count: int, *, contexts: bool = False) -> bytes:
    """What a client writes; with `contexts`, each message is in a trace of its own, which is sampled."""
    method = struct.pack(">HHH", 60, 40, 0) + short(kind.exchange.encode()) + short(kind.key.encode()) + b"\0"
    plain = struct.pack(">H", 1 << 15 | 1 << 12) + short(_CONTENT_TYPE) + b"\x02"
    written = []
    for _ in range(count):
        properties = _in_a_trace() if contexts else plain
        body = kind.body(1.0)
        header = struct.pack(">HHQ", 60, 0, len(body)) + properties
        written.append(frame(1, method) + frame(2, header) + frame(3, body))
    return b"".join(written)


def _in_a_trace() -> bytes:
    """Properties of a message, with a `traceparent`."""
    context = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01".encode()
    table = short(b"traceparent") + b"S" + struct.pack(">I", len(context)) + context
    flags = struct.pack(">H", 1 << 15 | 1 << 13 | 1 << 12)
    return flags + short(_CONTENT_TYPE) + struct.pack(">I", len(table)) + table + b"\x02"


def deliveries(kind: MessageKind, published: bytes, tag: int) -> bytes:
    """What a broker delivers of it, from that delivery tag on."""
    written = []
    for frame_type, _, payload in FrameDecoder(FRAME_MAX).feed(published):
        if frame_type == 1:
            head = struct.pack(">HH", 60, 60) + short(b"ctag1.bench") + struct.pack(">QB", tag, 0)
            payload = head + short(kind.exchange.encode()) + short(kind.key.encode())
            tag += 1
        written.append(frame(frame_type, payload))
    return b"".join(written)


class BothLegs:
    """Both legs, and the messages in between.

    Args:
        kind: of the messages.
        batch: messages of one read.
        traced: both relays are.
        contexts: messages have a `traceparent`.
    """

    def __init__(self, kind: MessageKind, batch: int, *, traced: bool = False, contexts: bool = False) -> None:
        self.contexts = contexts
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "topology.yaml")
            file.write_text(yaml.safe_dump(topology()), encoding="utf-8")
            model = load_topology(file).topology
        self.kind = kind
        self.batch = batch
        self.publisher = RelayLeg(model, PUBLISHER, traced=traced)
        self.consumer = RelayLeg(model, CONSUMER, traced=traced)
        self.model = model
        self.publisher.from_client(frame(1, struct.pack(">HHB", 85, 10, 0)))
        self.publisher.from_upstream(frame(1, struct.pack(">HH", 85, 11)))
        self.consumer.from_client(frame(1, struct.pack(">HHIHB", 60, 10, 0, 1000, 0)))
        consume = struct.pack(">HHH", 60, 20, 0) + short(kind.queue.encode()) + short(b"ctag1.bench") + b"\0" + bytes(4)
        self.consumer.from_client(frame(1, consume))
        sent = FrameDecoder(FRAME_MAX).feed(self.consumer.relay.take_to_upstream())
        for _, _, payload in sent:
            if payload[:4] == struct.pack(">HH", 60, 10):
                self.consumer.from_upstream(frame(1, struct.pack(">HH", 60, 11)))
        self.consumer.from_upstream(frame(1, struct.pack(">HH", 60, 21) + short(b"ctag1.bench")))
        for leg in (self.publisher, self.consumer):
            leg.relay.take_to_client()
            leg.relay.take_to_upstream()
        self._confirmed = self._delivered = 0

    def forget_spans(self) -> int:
        """Take what waits to be sent; how many spans."""
        count = 0
        for recorder in (self.publisher.recorder, self.consumer.recorder):
            while recorder is not None and recorder.waiting:
                batch = recorder.waiting.popleft()
                recorder.taken += batch.weight
                count += len(batch.rows)
        return count

    def prepare_publish(self) -> Callable[[], bytes]:
        """One read of publishes and the broker's confirm of it."""
        data = publishes(self.kind, self.batch, contexts=self.contexts)
        self._confirmed += self.batch
        confirm = frame(1, struct.pack(">HHQB", 60, 80, self._confirmed, 1))
        leg = self.publisher

        def run() -> bytes:
            leg.from_client(data)
            written = leg.relay.take_to_upstream()
            leg.from_upstream(confirm)
            leg.relay.take_to_client()
            return written

        return run

    def prepare_deliver(self, published: bytes) -> Callable[[], bytes]:
        """One read of deliveries and the client's ack of it."""
        data = deliveries(self.kind, published, self._delivered + 1)
        self._delivered += self.batch
        acknowledge = frame(1, struct.pack(">HHQB", 60, 80, self._delivered, 1))
        leg = self.consumer

        def run() -> bytes:
            leg.from_upstream(data)
            shown = leg.relay.take_to_client()
            leg.from_client(acknowledge)
            leg.relay.take_to_upstream()
            return shown

        return run


def timed(run: Callable[[], bytes]) -> tuple[float, bytes]:
    """Seconds of CPU, and what it gave."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def calls(run: Callable[[], bytes]) -> Counter[str]:
    """How many calls of Python and of C."""
    counted: Counter[str] = Counter()

    def profile(_: FrameType, event: str, __: object) -> None:
        counted[event] += 1

    sys.setprofile(profile)
    run()
    sys.setprofile(None)
    return counted


@dataclass(frozen=True, slots=True)
class InProcess:
    """What one leg took.

    Args:
        microseconds, median: CPU for a message, at best and in the middle.
        python_calls, c_calls: for a message.
    """

    microseconds: float
    median: float
    python_calls: float
    c_calls: float


def measure(kind: MessageKind, batch: int, rounds: int, *, traced: bool = False) -> dict[str, InProcess]:
    """Both legs, by name.

    Args:
        kind: of the messages.
        batch: messages of one read.
        rounds: how often.
        traced: every message is recorded.
    """
    legs = BothLegs(kind, batch, traced=traced)
    publishing, delivering = [], []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        seconds, written = timed(legs.prepare_publish())
        publishing.append(seconds)
        seconds, shown = timed(legs.prepare_deliver(written))
        delivering.append(seconds)
        legs.forget_spans()
    assert shown.count(kind.exchange.encode()) == batch, "everything was shown"
    run = legs.prepare_publish()
    published: list[bytes] = []
    publish_calls = calls(lambda: published.append(run()) or b"")  # type: ignore[func-returns-value]  # both
    deliver_calls = calls(legs.prepare_deliver(published[0]))
    gc.unfreeze()
    return {
        name: InProcess(
            min(taken) / batch * 1e6,
            sorted(taken)[len(taken) // 2] / batch * 1e6,
            counted["call"] / batch,
            counted["c_call"] / batch,
        )
        for name, taken, counted in (("publish", publishing, publish_calls), ("deliver", delivering, deliver_calls))
    }


def compare_tracing(kind: MessageKind, batch: int, rounds: int, *, contexts: bool) -> None:
    """Print what tracing costs a message: of the event loop on each leg, and of the thread that sends."""
    off, on = BothLegs(kind, batch, contexts=contexts), BothLegs(kind, batch, traced=True, contexts=contexts)
    taken: dict[tuple[str, bool], list[float]] = {}
    wire = Wire((("service.name", "bench-agent"),), ("bench", "0"))
    spans = Spans(lambda _, __: Described(kind.name.lower(), kind.key), frozenset((kind.queue,)))
    sending: list[float] = []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for legs, is_on in ((off, False), (on, True)):
            seconds, written = timed(legs.prepare_publish())
            taken.setdefault(("publish", is_on), []).append(seconds)
            seconds, _shown = timed(legs.prepare_deliver(written))
            taken.setdefault(("deliver", is_on), []).append(seconds)
        start, count = time.process_time(), 0
        for leg in (on.publisher, on.consumer):
            assert leg.recorder is not None
            found = [span for one in leg.recorder.waiting for span in spans.of(one)]
            wire.request(found)
            count += len(found)
        sending.append((time.process_time() - start) / count)
        assert on.forget_spans() == count == 2 * batch
    gc.unfreeze()
    for name in ("publish", "deliver"):
        for what, at in (("median", rounds // 2), ("best", 0)):
            off_on = [sorted(taken[name, is_on])[at] / batch * 1e6 for is_on in (False, True)]
            added = off_on[1] - off_on[0]
            print(f"{name:8} {what:6} {off_on[0]:6.1f} µs without spans, {off_on[1]:6.1f} µs with: {added:+.1f} µs")
    print(f"a span   {sorted(sending)[rounds // 2] * 1e6:6.1f} µs in the thread that sends")


def main() -> int:
    """Measure; the exit code says nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=100, help="messages of one read")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kind", choices=[kind.name.lower() for kind in MessageKind], default="tick")
    parser.add_argument("--traced", action="store_true", help="what tracing costs")
    options = parser.parse_args()
    if options.traced:
        for contexts in (False, True):
            print(f"messages {'with' if contexts else 'without'} a traceparent, {options.batch} a read:")
            compare_tracing(MessageKind[options.kind.upper()], options.batch, options.rounds, contexts=contexts)
        return 0
    for name, one in measure(MessageKind[options.kind.upper()], options.batch, options.rounds).items():
        figures = f"{one.microseconds:6.1f} µs at best, {one.median:6.1f} µs median"
        print(f"{name:8} {figures}; {one.python_calls:.1f} Python and {one.c_calls:.1f} C calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
