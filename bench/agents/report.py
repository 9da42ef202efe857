"""Measurements of the agent as the page docs/reference/agent-performance.md."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from bench.agents.measure import (
    CONNECTIONS,
    IN_PROCESS_BATCH,
    RATES,
    THROUGH_ROUNDS,
    AgentFigures,
    AtRate,
    LegFigures,
    OfKind,
)
from bench.agents.messages import ENVELOPE_BYTES
from bench.data_path import InProcess
from bench.page import measured_on, table, yes_or_no

TICK_AIMS = (35.0, 45.0)
"""Microseconds of the agent's CPU for a message, published and delivered."""
TRADE_AIMS = (80.0, 100.0)
THROUGH_AIM = 0.6
"""Of the messages a second without agents."""
CPU_RATE, LATENCY_RATE = 1_000, 2_000
CPU_AIM = 2.0
"""Times the plain proxy, plus one signature or verification."""
ADDED_AIM_MS, MEAN_AIM_MS = 1.0, 5.0
IDLE_AIM_MEGABYTES = 45
BACKLOG_AIM_MEGABYTES = 100
BACKLOG = "1,000 messages of 128 KiB on offer to a client that does not read"
PICTURE = "agent-latency.svg"

_PAGE = """\
# What an agent costs

<!-- Written by bench/agents/run --write: change the program, not this page. -->

One run, one machine, the same messages over TLS to a private broker, signed with ES256. Publisher and consumer are
processes: straight at the broker; through a plain TLS proxy each (haproxy, which looks at nothing), the floor of what a
sidecar can cost; and through one agent each. The CPU time for each message is the figure that depends least on the
neighbours; for an agent it includes parsing, schema, signature, both sockets and TLS. Repeat it with
`bench/agents/run`; it is never part of the tests.

## At a glance

{glance}

CPU is that of one agent for a message. At a rate the aim is twice what the plain proxy takes in the same run, and one
bare signature or verification: {signing:.0f} and {verifying:.0f} µs in this run.

{machine} {messages:,} messages in each row, a tenth of that one at a time.

## CPU and throughput

Envelopes of {size} bytes with a JSON Schema, classic queue:

{tick}

The contract's `commands.execute_trade`, of which five fields are encrypted and decrypted, quorum queue:

{trade}

As fast as it goes, an agent signs all that one read brought with one signature; one at a time, each message has its
own. The messages of each deliver row are those of the publish row above it. End to end they are published and consumed
at once, all processes on these cores; the median of {rounds} runs in turns.

## Without sockets

`bench/data_path.py`: bytes of a read in, bytes to write out, in one process, {batch} messages a read, at best. How many
calls a message takes does not depend on the machine.

{data_path}

## At a rate

From publish to delivery, by the monotonic clock that all processes share; CPU of the publisher's and the consumer's
proxy or agent for each message.

{rates}

![Mean latency over messages a second](../images/{picture})

## Memory

{memory}

## What it replaces

The same work in the service itself: pika, PyJWT and jsonschema, CPU of the service for each message.

{rival}

## What was tried and left

Each in turns with what there is, on 1 December 2026, a machine of 2 cores with neighbours.

{tried}
"""

_CALLS_BEFORE = {"publish": (69, 140), "deliver": (110, 198)}
"""Python and C calls for a message, when each was decided by itself."""

_TRIED = """\
- **mypyc** 2.4 of the same source, the packages for AMQP, relay, filters, keys and messages (without the classes of
  methods and the texts of schema errors, which it cannot compile yet): in one process, 100 messages a read, a publish
  took 12.2 µs instead of 13.9 and a delivery 16.3 µs instead of 21.2; one a read, 58 instead of 74 µs and 102 instead
  of 128. That is 1.1 to 1.3 times, and below the 1.5 for which a second form of the program would be built and tested:
  what is left is mostly hashes, JSON, schema and signatures, which are no Python already.
- **uvloop** 0.23 works, and gains nothing: a publish takes as long (24 and 24 µs in medians of three), a delivery a
  quarter longer (47 and 37 µs), one at a time both take as long. What asyncio's own loop costs is little beside the
  work, and there is one call of it for each read, however many messages that holds.
- **The collector** is no cost that could be measured any more: with it and without, the two legs take the same within
  3 %. What lives through the start is frozen, and a message leaves no object that refers to another.
- **A message at a time** costs what memory costs. With 6 MiB read before every call, so that no cache holds anything of
  ours, publish and confirm took 590 µs in one process instead of 130, delivery and ack 680 instead of 214; a
  signature by itself 180 instead of 34, a verification 221 instead of 88, 500 bytes of JSON 42 instead of 3.5. In a
  running agent 9 % of such a message was the kernel's, 59 % the interpreter's, 14 % the signature's, and no function
  had 2 % but the interpreter's loop. So what makes code shorter helps little there: 144 Python calls for a publish
  instead of 157 could not be told from 157 by CPU on a busy machine.
- **Digests for ES256** from `hashlib` instead of OpenSSL's own look-up: 3.5 % of a publish and of a delivery in such
  cold calls. It is built in.
- **Debian's interpreter** (3.11.2, as the image has Debian's, too) instead of pyenv's, compiled without
  profiles: 2, 18 and 39 % less for a publish in three runs in a row, 3 to 4 % less in cold calls.
- **Huge pages** for Python's memory (`PYTHONMALLOC=malloc`, `glibc.malloc.hugetlb=1`): 11 to 15 % less in cold calls,
  of which the other allocator alone had none in one run and 13 % in the other. Left: idle, an agent is 1 MB
  below its limit, and what these pages take was not measured.
- **jiter without its memory of texts**, or with one of names alone: no difference.
- **Claims read in one piece**, without a call for each: half the time in a row in one run, none in the
  other, and none in cold calls.
- **Waiting for more** before a read is worked on: not built. At 1,000 a second the next message is 1 ms away, which is
  all that two agents may add; as fast as it goes, a read had 28 publishes or 19 deliveries, and it was turns that were
  too short, not reads.
"""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """All that was measured.

    Args:
        figures: of the run.
        rabbitmq: the broker's version.
        date: when.
    """

    figures: AgentFigures
    rabbitmq: str
    date: datetime.date

    def to_markdown(self) -> str:
        """The page."""
        figures = self.figures
        return _PAGE.format(
            size=ENVELOPE_BYTES,
            machine=measured_on(self.date, [self.rabbitmq]),
            messages=figures.messages,
            signing=figures.bare_signature[0],
            verifying=figures.bare_signature[1],
            glance=table(("", "measured", "aim", "met"), tuple(self._glance())),
            rounds=THROUGH_ROUNDS,
            tick=_of_kind(figures.tick),
            trade=_of_kind(figures.trade),
            batch=IN_PROCESS_BATCH,
            data_path=table(
                ("", "time", "Python calls", "C calls", "before, Python", "before, C"),
                tuple(_in_process(name, one) for name, one in figures.in_process.items()),
            ),
            rates=table(("a second", "", "mean", "99 %", "publisher's CPU", "consumer's CPU"), tuple(_rates(figures))),
            picture=PICTURE,
            memory=table(
                ("", "resident"),
                (
                    ("idle", _megabytes(figures.idle_megabytes)),
                    (f"{CONNECTIONS} connections that do nothing", _megabytes(figures.connected_megabytes)),
                    (BACKLOG, _megabytes(figures.backlog_megabytes)),
                ),
            ),
            tried=_TRIED.strip(),
            rival=table(
                ("", "pika alone", "with schema and token", "of it schema and token"),
                (
                    _rival("publish", *figures.rival_publish),
                    _rival("consume", *figures.rival_deliver),
                ),
            ),
        )

    def _glance(self) -> Iterator[tuple[str, ...]]:
        """What there are aims for."""
        figures = self.figures
        for kind, one, aims in (("tick", figures.tick, TICK_AIMS), ("execute_trade", figures.trade, TRADE_AIMS)):
            for leg, found, aim in zip(
                ("publish", "deliver"), (one.agents.publish, one.agents.deliver), aims, strict=True
            ):
                yield _aim(f"{kind}, {leg}, as fast as it goes: CPU", found.microseconds, aim, "{:.0f} µs")
        place = RATES.index(CPU_RATE)
        floor, agents = figures.rates_floor[place], figures.rates_agents[place]
        signing, verifying = figures.bare_signature
        for name, ours, theirs, bare in (
            ("publish", agents.publisher, floor.publisher, signing),
            ("deliver", agents.consumer, floor.consumer, verifying),
        ):
            yield _aim(f"tick, {name}, {CPU_RATE:,} a second: CPU", ours, CPU_AIM * theirs + bare, "{:.0f} µs")
        added = agents.mean - figures.rates_direct[place].mean
        yield _aim(f"added to the mean by two agents, {CPU_RATE:,} a second", added * 1e3, ADDED_AIM_MS, "{:.2f} ms")
        mean = figures.rates_agents[RATES.index(LATENCY_RATE)].mean
        yield _aim(f"mean through two agents, {LATENCY_RATE:,} a second", mean * 1e3, MEAN_AIM_MS, "{:.2f} ms")
        for kind, one in (("tick", figures.tick), ("execute_trade", figures.trade)):
            ratio = one.through_agents / one.through_direct
            met = yes_or_no(ratio >= THROUGH_AIM)
            yield (f"{kind}, end to end through two agents", f"{ratio:.2f} × direct", f"{THROUGH_AIM} × or more", met)
        yield _aim("memory, idle", figures.idle_megabytes, IDLE_AIM_MEGABYTES, "{:.0f} MB")
        yield _aim(f"memory, {BACKLOG}", figures.backlog_megabytes, BACKLOG_AIM_MEGABYTES, "{:.0f} MB")


def _aim(what: str, measured: float, aim: float, form: str) -> tuple[str, ...]:
    return (what, form.format(measured), form.format(aim), yes_or_no(measured <= aim))


def _in_process(name: str, one: InProcess) -> tuple[str, ...]:
    before = _CALLS_BEFORE.get(name, ("", ""))
    return (name, f"{one.microseconds:.1f} µs", f"{one.python_calls:.0f}", f"{one.c_calls:.0f}", *map(str, before))


def _of_kind(one: OfKind) -> str:
    return table(
        ("", "direct", "plain TLS proxy", "through an agent", "the proxy's CPU", "the agent's CPU"),
        (
            _leg("publish", one.direct.publish, one.floor.publish, one.agents.publish),
            _leg("deliver", one.direct.deliver, one.floor.deliver, one.agents.deliver),
            _leg(
                "publish, one at a time", one.direct.publish_single, one.floor.publish_single, one.agents.publish_single
            ),
            _leg("deliver of these", one.direct.deliver_single, one.floor.deliver_single, one.agents.deliver_single),
            ("end to end", _per_second(one.through_direct), "", _per_second(one.through_agents), "", ""),
        ),
    )


def _leg(name: str, direct: LegFigures, floor: LegFigures, agent: LegFigures) -> tuple[str, ...]:
    return (
        name,
        _per_second(direct.messages_per_second),
        _per_second(floor.messages_per_second),
        _per_second(agent.messages_per_second),
        f"{floor.microseconds:.1f} µs",
        f"{agent.microseconds:.1f} µs",
    )


def _rates(figures: AgentFigures) -> Iterator[tuple[str, ...]]:
    for direct, floor, agents in zip(figures.rates_direct, figures.rates_floor, figures.rates_agents, strict=True):
        for name, one in (("direct", direct), ("plain TLS proxies", floor), ("agents", agents)):
            yield (f"{one.rate:,}", name, _milliseconds(one.mean), _milliseconds(one.p99), *_cpu(one))


def _cpu(one: AtRate) -> tuple[str, str]:
    return (f"{one.publisher:.0f} µs", f"{one.consumer:.0f} µs") if one.publisher else ("", "")


def _per_second(messages: float) -> str:
    return f"{messages:,.0f} a second"


def _rival(name: str, plain: float, whole: float) -> tuple[str, ...]:
    return (name, f"{plain:.0f} µs", f"{whole:.0f} µs", f"{whole - plain:.0f} µs")


def _megabytes(megabytes: float) -> str:
    return f"{megabytes:.0f} MB"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
