"""What a good client notices of its neighbours as the page docs/reference/agent-fairness.md."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from bench.fairness.measure import RATE, Fairness, Through, Waits
from bench.fairness.neighbours import CROWD
from bench.page import measured_on, table, yes_or_no

AIM = 2.0
"""Times the good client's own, in the same run."""

_PAGE = """\
# What a client notices of its neighbours

<!-- Written by bench/fairness/run --write: change the program, not this page. -->

One agent serves all clients of its service, and one client must not make the others wait. A good client publishes
{rate} signed messages a second, and the time from each publish to its confirm is taken: alone, and beside one
neighbour after the other through the same agent; then all of it through a plain TLS proxy (haproxy), which looks at
nothing: what is slower there, too, waits for the broker and for the cores, and not for the agent. Repeat it with
`bench/fairness/run`; it is never part of the tests.

Neighbours are processes of the lowest priority (nice 19) that send what was made beforehand, so that they take of the
cores what is left. The aim is 99 % within {aim:g} × the good client's own in the same run.

{machine} {messages:,} messages beside each neighbour.

{waits}

All {crowd:,} connections were open after {floor_crowd:.0f} s through the plain proxy, after {agent_crowd:.0f} s
through the agent, which logs in at the broker for no more than ten of them at once and fifty a second.

What the agent does so that they do not wait: of what one client sends, or the broker sends for it, it works through 96
frames and then serves the others; who waits for the broker's login keeps nobody from being served, as TLS shakes hands
outside the loop; a client that does not read what it is sent is not read either.
"""


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """All that was measured.

    Args:
        fairness: of the run.
        messages: of the good client beside each neighbour.
        rabbitmq: the broker's version.
        date: when.
    """

    fairness: Fairness
    messages: int
    rabbitmq: str
    date: datetime.date

    def to_markdown(self) -> str:
        """The page."""
        floor, agent = self.fairness.floor, self.fairness.agent
        head = ("beside a client that", "plain TLS proxy", "99 %", "× alone", "agent", "99 %", "× alone", "met")
        return _PAGE.format(
            rate=RATE,
            aim=AIM,
            machine=measured_on(self.date, [self.rabbitmq]),
            messages=self.messages,
            waits=table(head, tuple(_rows(floor, agent))),
            crowd=CROWD,
            floor_crowd=floor.crowd_seconds,
            agent_crowd=agent.crowd_seconds,
        )


def _rows(floor: Through, agent: Through) -> Iterator[tuple[str, ...]]:
    yield ("nobody", *_waits(floor.alone), "", *_waits(agent.alone), "", "")
    for neighbour, waits in agent.beside.items():
        yield _row(neighbour.value, floor.beside[neighbour], floor.alone, waits, agent.alone)
    idle = f"holds {CROWD:,} connections that do nothing"
    yield _row(idle, floor.beside_idle, floor.alone, agent.beside_idle, agent.alone)


def _row(name: str, floor: Waits, floor_alone: Waits, agent: Waits, agent_alone: Waits) -> tuple[str, ...]:
    times = agent.p99 / agent_alone.p99
    return (
        name,
        *_waits(floor),
        f"{floor.p99 / floor_alone.p99:.1f}",
        *_waits(agent),
        f"{times:.1f}",
        yes_or_no(times <= AIM),
    )


def _waits(waits: Waits) -> tuple[str, str]:
    return f"{waits.median * 1e3:.1f} ms", f"{waits.p99 * 1e3:.1f} ms"
