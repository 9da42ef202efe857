"""The controller's page: the topology as the broker has it, with its drift, and what was done about it lately."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from letrade_topo.broker.capabilities import NEWEST, for_version
from letrade_topo.draw.page import PageSection, render_page
from letrade_topo.expand.expansion import expand
from letrade_topo.graph.building import graph_of
from letrade_topo.graph.graph import QueueLoad, TopologyGraph
from letrade_topo.graph.wiring import declared_wiring
from letrade_topo.model.topology import Topology
from letrade_topo.plan.graph_view import planned_view
from letrade_topo.watch.drift import differences
from letrade_topo.watch.journal import EndedPass, Journal, JournalEntry, LookedAt
from letrade_topo.watch.source import Watched

REFRESH_SECONDS: Final = 30
MOST_LINES: Final = 50


@dataclass(frozen=True, slots=True)
class ControllerFacts:
    """What does not change while it runs.

    Args:
        name: of the machine or pod.
        mode: `detect` or `repair`.
        interval_seconds: from one look to the next.
        version: of this program.
    """

    name: str
    mode: str
    interval_seconds: float
    version: str


class ControllerPage:
    """Draws the page, once for each pass.

    Args:
        facts: of the controller.
        journal: what it remembers.
        current: the topology in force.
    """

    def __init__(self, facts: ControllerFacts, journal: Journal, current: Callable[[], Watched]) -> None:
        self._facts = facts
        self._journal = journal
        self._current = current
        self._lock = threading.Lock()
        self._drawn: tuple[tuple[object, ...], str] | None = None

    def render(self) -> str:
        """The page as HTML."""
        look, ended, entries, watched = (
            self._journal.last_look,
            self._journal.last_pass,
            self._journal.entries,
            self._current(),
        )
        seen = (look, ended, entries[:1], watched)
        with self._lock:
            if self._drawn is None or not _are_same(self._drawn[0], seen):
                self._drawn = (seen, self._render(look, ended, entries, watched))
            return self._drawn[1]

    def _render(
        self, look: LookedAt | None, ended: EndedPass | None, entries: Sequence[JournalEntry], watched: Watched
    ) -> str:
        sections = [
            PageSection("Controller", tuple(self._state(look, ended, watched))),
            PageSection("Drift", tuple(_drift(look))),
            PageSection("Lately", tuple(_lately(entries, self._facts.name))),
        ]
        return render_page(_graph(look, watched), sections=sections, refresh_seconds=REFRESH_SECONDS)

    def _state(self, look: LookedAt | None, ended: EndedPass | None, watched: Watched) -> Iterator[str]:
        yield f"{self._facts.name}, mode {self._facts.mode}, every {self._facts.interval_seconds:g} s"
        yield f"letrade-topo {self._facts.version}, topology {watched.sha}"
        if look is not None:
            yield f"looked at {_moment(look.at)}: RabbitMQ {look.look.plan.broker.version}"
        if ended is not None:
            yield f"last pass ended {_moment(ended.at)}: {ended.outcome.name.lower()}"
            yield from ended.problem.splitlines()


def _are_same(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether nothing has happened since: by identity, as plans are long."""
    return all(a is b or (isinstance(a, tuple) and a == b) for a, b in zip(one, other, strict=True))


def _graph(look: LookedAt | None, watched: Watched) -> TopologyGraph:
    if look is None or look.watched.topology is None:
        return _declared(watched.topology) if watched.topology is not None else TopologyGraph("letrade-topo")
    plan, topology = look.look.plan, look.watched.topology
    loads = {str(item["name"]): QueueLoad(messages=item.get("messages")) for item in look.look.totals}
    wiring = declared_wiring(plan.desired, for_version(plan.broker.version))
    return graph_of(topology, wiring, planned_view(plan, loads))


def _declared(topology: Topology) -> TopologyGraph:
    newest = for_version(NEWEST)
    return graph_of(topology, declared_wiring(expand(topology, newest), newest))


def _drift(look: LookedAt | None) -> Iterator[str]:
    if look is None:
        yield "not looked yet, or another controller leads"
        return
    found = differences(look.look.plan)
    if not found:
        yield f"none: {len(look.look.plan.desired.objects):,} objects are as declared"
    yield from found[:MOST_LINES]
    if len(found) > MOST_LINES:
        yield f"… and {len(found) - MOST_LINES:,} more"


def _lately(entries: Sequence[JournalEntry], name: str) -> Iterator[str]:
    if not entries:
        yield "nothing yet"
    for entry in entries:
        yield f"{_moment(entry.at)} {name}: {entry.event.replace('_', ' ')}{_words(entry.fields)}"


def _words(fields: Mapping[str, Any]) -> str:
    said = [_word(name, value) for name, value in fields.items()]
    return f": {'; '.join(said)}" if said else ""


def _word(name: str, value: object) -> str:
    match value:
        case list():
            return ", ".join(map(str, value))
        case int():
            return f"{value:,} {name}"
        case _:
            return str(value)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
