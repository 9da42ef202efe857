"""Measurements of the agent as the page docs/reference/agent-performance.md."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from bench.agents.measure import LATENCY_RATE, OFFERED_RATE, Figures, Leg
from bench.agents.messages import ENVELOPE_BYTES
from bench.page import measured_on, table, yes_or_no

PUBLISH_AIM_MICROSECONDS = 60
DELIVER_AIM_MICROSECONDS = 90
LATENCY_AIM_SECONDS = 0.001
RATE_LATENCY_AIM_SECONDS = 0.005
IDLE_AIM_MEGABYTES = 60
BACKLOG_AIM_MEGABYTES = 100

_PAGE = """\
# What an agent costs

<!-- Written by bench/agents/run --write: change the program, not this page. -->

One run, one machine, the same messages: envelopes of {size} bytes with a JSON Schema, signed with ES256, over TLS to a
private broker. Publisher and consumer are processes, first straight at the broker, then through one agent each. The
CPU time of the agent for each message is the figure that does not depend on the neighbours; it includes parsing,
schema, signature, both sockets and TLS. Repeat it with `bench/agents/run`; it is never part of the tests.

{machine} {messages:,} messages in each row, a fifth of that one at a time and in the service.

## CPU and throughput

{legs}

Publishing as fast as it goes, an agent signs all that one read brought with one signature; one at a time, each message
has its own. The messages of each deliver row are those of the publish row above it. A bare ES256 signature took
{signing:.0f} µs in this run, its verification {verifying:.0f} µs.

## What it replaces

The same work in the service itself: pika, PyJWT and jsonschema, CPU of the service for each message.

{rival}

## Latency

From publish to delivery at {rate:,} messages a second, by the monotonic clock that all processes share.

{latency}

{at_rate}

## Memory

{memory}
"""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured.

    Args:
        figures: of the run.
        rabbitmq: the broker's version.
        date: when.
    """

    figures: Figures
    rabbitmq: str
    date: datetime.date

    def to_markdown(self) -> str:
        """The page."""
        figures = self.figures
        return _PAGE.format(
            size=ENVELOPE_BYTES,
            machine=measured_on(self.date, [self.rabbitmq]),
            messages=figures.messages,
            rate=LATENCY_RATE,
            signing=figures.bare_signature[0],
            verifying=figures.bare_signature[1],
            legs=table(
                ("", "direct", "through an agent", "the agent's CPU", "aim", "met"),
                (
                    _leg("publish", figures.publish_direct, figures.publish_agent, PUBLISH_AIM_MICROSECONDS),
                    _leg("deliver", figures.deliver_direct, figures.deliver_agent, DELIVER_AIM_MICROSECONDS),
                    _leg("publish, one at a time", None, figures.publish_agent_single, None),
                    _leg("deliver, signed one by one", None, figures.deliver_agent_single, DELIVER_AIM_MICROSECONDS),
                ),
            ),
            rival=table(
                ("", "pika alone", "with schema and token", "of it schema and token"),
                (
                    _rival("publish", *figures.rival_publish),
                    _rival("consume", *figures.rival_deliver),
                ),
            ),
            latency=self._latency(),
            at_rate=self._at_rate(),
            memory=table(
                ("", "resident", "aim", "met"),
                (
                    _memory("idle", figures.idle_megabytes, IDLE_AIM_MEGABYTES),
                    _memory(
                        "1,000 messages of 128 KiB on offer to a client that does not read",
                        figures.backlog_megabytes,
                        BACKLOG_AIM_MEGABYTES,
                    ),
                ),
            ),
        )

    def _latency(self) -> str:
        direct, agents = self.figures.latency_direct, self.figures.latency_agents
        added = agents[0] - direct[0]
        return table(
            ("", "mean", "99 %"),
            (
                ("direct", _milliseconds(direct[0]), _milliseconds(direct[1])),
                ("through two agents", _milliseconds(agents[0]), _milliseconds(agents[1])),
                (
                    f"added (aim: under {_milliseconds(LATENCY_AIM_SECONDS)}; met: "
                    f"{yes_or_no(added < LATENCY_AIM_SECONDS)})",
                    _milliseconds(added),
                    _milliseconds(agents[1] - direct[1]),
                ),
            ),
        )

    def _at_rate(self) -> str:
        measured = self.figures.at_rate
        if measured is None:
            legs = (self.figures.publish_agent, self.figures.deliver_agent)
            publisher, consumer = (OFFERED_RATE * leg.agent_microseconds / 1e6 for leg in legs)
            return (
                f"{OFFERED_RATE:,} messages a second were not offered: publisher, consumer, two agents and the broker"
                f" need four cores or more. By the CPU for each message, the publisher's agent would take"
                f" {publisher:.2f} cores and the consumer's {consumer:.2f} (aim: less than one each)."
            )
        return (
            f"At {OFFERED_RATE:,} messages a second on offer: {measured['rate']:,.0f} a second came through, mean"
            f" latency {_milliseconds(measured['mean_latency'])} (aim: under"
            f" {_milliseconds(RATE_LATENCY_AIM_SECONDS)}), {measured['publisher_cores']:.2f} and"
            f" {measured['consumer_cores']:.2f} cores for the two agents."
        )


def _leg(name: str, direct: Leg | None, agent: Leg, aim: float | None) -> tuple[str, ...]:
    return (
        name,
        f"{direct.messages_per_second:,.0f} a second" if direct else "",
        f"{agent.messages_per_second:,.0f} a second",
        f"{agent.agent_microseconds:.1f} µs",
        f"{aim} µs" if aim else "",
        yes_or_no(agent.agent_microseconds <= aim) if aim else "",
    )


def _rival(name: str, plain: float, whole: float) -> tuple[str, ...]:
    return (name, f"{plain:.0f} µs", f"{whole:.0f} µs", f"{whole - plain:.0f} µs")


def _memory(name: str, megabytes: float, aim: int) -> tuple[str, ...]:
    return (name, f"{megabytes:.0f} MB", f"{aim} MB", yes_or_no(megabytes < aim))


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
