"""The page that says what was measured."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from importlib.metadata import version

from bench.bus.measure import BEHIND_SECONDS, OFFERED_RATES, OFFERED_SECONDS, PREFETCH, ROUNDS, BusFigures, BusLeg
from bench.page import measured_on, table, yes_or_no
from letrade_topo.bus.publishing import WINDOW

PUBLISH_AIM, CONSUME_AIM = 0.9, 0.8
HEALTH_AIM_SECONDS = 0.05
FILTER_AIM_MICROSECONDS = 2.0

_PAGE = """# What the message bus costs

<!-- Written by bench/bus/run --write: change the program, not this page. -->

{measured_on} aio-pika {aio_pika}.

The same messages (envelopes of 500 bytes) through the same two agents with everything
enforced, by `MessageBus` and by aio-pika alone in turns; {rounds} rounds of {messages:,} messages, medians, and the
slowest and fastest round in brackets. aio-pika alone makes the same envelope, asks for the same confirms with the same
number of unconfirmed messages ({window}), uses the same prefetch ({prefetch}), and reads the payload out of the body.
Everything runs on one machine: client, agent and broker share its cores. Repeat it with `bench/bus/run`; it is never
part of the tests.

{legs}

| | found | aim | met |
| --- | --- | --- | --- |
| `health_check`, median | {health:.1f} ms (slowest {slowest:.1f} ms) | {health_aim:.0f} ms | {health_met} |
| pattern filter, a key seen before | {seen:.2f} µs | {filter_aim:g} µs | {seen_met} |
| pattern filter, a new key | {new:.2f} µs | {filter_aim:g} µs | {new_met} |

Publishing and consuming at once, {seconds} seconds at each rate, `publish_batch` every 10 ms:

{offered}
"""


@dataclass(frozen=True, slots=True)
class BusReport:
    """What was measured, where and when."""

    figures: BusFigures
    rabbitmq: str
    date: datetime.date

    def to_markdown(self) -> str:
        """The whole page."""
        figures = self.figures
        (health, slowest), (seen, new) = figures.health, figures.filter_microseconds
        return _PAGE.format(
            measured_on=measured_on(self.date, [self.rabbitmq]),
            aio_pika=version("aio-pika"),
            rounds=ROUNDS,
            messages=figures.messages,
            window=WINDOW,
            prefetch=PREFETCH,
            legs=table(
                ("", "MessageBus", "aio-pika alone", "ratio", "aim", "met", "CPU of the client"),
                (
                    _row("publish in batches", figures.publish, PUBLISH_AIM),
                    _row("consume", figures.consume, CONSUME_AIM),
                ),
            ),
            health=health * 1e3,
            slowest=slowest * 1e3,
            health_aim=HEALTH_AIM_SECONDS * 1e3,
            health_met=yes_or_no(health < HEALTH_AIM_SECONDS),
            seen=seen,
            seen_met=yes_or_no(seen < FILTER_AIM_MICROSECONDS),
            new=new,
            new_met=yes_or_no(new < FILTER_AIM_MICROSECONDS),
            filter_aim=FILTER_AIM_MICROSECONDS,
            seconds=OFFERED_SECONDS,
            offered=self._offered(),
        )

    def _offered(self) -> str:
        offered = self.figures.offered
        rows = [(f"{rate:,}", _kept_up(behind["bus"]), _kept_up(behind["raw"])) for rate, behind in offered.items()]
        last = max(offered)
        text = table(("messages a second on offer", "MessageBus", "aio-pika alone"), rows)
        if offered[last]["raw"] > BEHIND_SECONDS and last < max(OFFERED_RATES):
            text += (
                f"\n\nHigher rates, up to {max(OFFERED_RATES):,}, were not offered: aio-pika alone does not keep up "
                f"with {last:,} on this machine."
            )
        return text


def _kept_up(behind: float) -> str:
    return "the queue does not grow" if behind <= BEHIND_SECONDS else f"{behind:.1f} s behind at the end"


def _row(name: str, legs: dict[str, BusLeg], aim: float) -> tuple[str, ...]:
    bus, raw = legs["bus"], legs["raw"]
    ratio = bus.per_second / raw.per_second
    return (
        name,
        _rate(bus),
        _rate(raw),
        f"{ratio:.2f}",
        f"{aim:g}",
        yes_or_no(ratio >= aim),
        f"{bus.cpu_microseconds:.0f} and {raw.cpu_microseconds:.0f} µs",
    )


def _rate(leg: BusLeg) -> str:
    return f"{leg.per_second:,.0f} a second ({leg.slowest:,.0f} to {leg.fastest:,.0f})"
