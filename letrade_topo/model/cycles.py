"""Ways on which a message that fails comes back to where it failed, without anybody counting.

A queue passes on what is rejected, expires or is delivered too often; agents pass on what they refuse and what has no
attempt left. Where such ways lead back to the queue, one bad message is delivered as fast as the broker can, for ever.
The retry ladder is no such way: its agent counts the attempts, and each waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from letrade_topo.model import names
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routes import Bound, RoutingTable

_DEAD_WORD = names.DEAD_KEY_SUFFIX.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Passage:
    """One way out of a queue for what fails there.

    Args:
        exchange: where it goes.
        key: under which key; None for its own.
        is_dead: it goes as a dead letter, under its own key + `.dead`.
        meant_for: a queue that it may reach: the step of the ladder, which counts.
    """

    exchange: str
    key: str | None = None
    is_dead: bool = False
    meant_for: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a cycle: from a queue over an exchange to another one.

    Args:
        queue: where the message fails.
        passage: its way out.
        bound: the last binding on the way.
    """

    queue: str
    passage: Passage
    bound: Bound

    def __str__(self) -> str:
        key = f" [{self.bound.routing_key}]" if self.bound.routing_key else ""
        return f"{self.queue!r} → {self.bound.source or 'the default exchange'}{key}"


def in_words(cycle: Sequence[Step]) -> str:
    """A cycle as `'a' → x [k] → 'b' → y → 'a'`."""
    return " → ".join([*map(str, cycle), repr(cycle[0].queue)])


_State: TypeAlias = tuple[str, KeyFamily]


def find_cycles(passages: Mapping[str, Sequence[Passage]], routes: RoutingTable) -> Iterator[list[Step]]:
    """The shortest way back to each queue that has one; of queues on one cycle the first only.

    Args:
        passages: by queue, in the order in which they are reported.
        routes: where an exchange leads.
    """
    ways = _Ways(passages, routes)
    reported: set[str] = set()
    for queue in passages:
        if queue not in reported and (cycle := ways.back_to(queue)) is not None:
            reported.update(step.queue for step in cycle)
            yield cycle


class _Ways:
    """Where messages of some keys go that fail in a queue, found once for each queue and keys."""

    def __init__(self, passages: Mapping[str, Sequence[Passage]], routes: RoutingTable) -> None:
        self._passages = passages
        self._routes = routes
        self._known: dict[_State, list[tuple[Step, _State]]] = {}
        self._fixed: dict[Passage, tuple[KeyFamily, list[tuple[str, Bound]]]] = {}

    def back_to(self, queue: str) -> list[Step] | None:
        """The shortest way from a queue back to itself under the same keys, for any message that it may hold."""
        reached = [(queue, family) for family in self._routes.keys_of(queue)]
        seen = {*reached}
        for state in reached:  # which grows
            if state[0] == queue and (way := self._around(state)) is not None:
                return way
            for _, following in self._from(state):
                if following not in seen:
                    seen.add(following)
                    reached.append(following)
        return None

    def _around(self, start: _State) -> list[Step] | None:
        came_by: dict[_State, tuple[_State, Step]] = {}
        todo = [start]
        for state in todo:  # which grows
            for step, following in self._from(state):
                if following == start:
                    way = [step]
                    while state != start:
                        state, step = came_by[state]
                        way.append(step)
                    return way[::-1]
                if following not in came_by:
                    came_by[following] = (state, step)
                    todo.append(following)
        return None

    def _from(self, state: _State) -> list[tuple[Step, _State]]:
        if state not in self._known:
            self._known[state] = [*self._steps(state)]
        return self._known[state]

    def _steps(self, state: _State) -> Iterator[tuple[Step, _State]]:
        queue, family = state
        for passage in self._passages.get(queue, ()):
            key, reached = self._reached(passage, family)
            for name, bound in reached:
                yield Step(queue, passage, bound), (name, key)

    def _reached(self, passage: Passage, family: KeyFamily) -> tuple[KeyFamily, list[tuple[str, Bound]]]:
        """Under which keys a passage leads where, but to queues from which nothing leads on."""
        if passage in self._fixed:
            return self._fixed[passage]
        key = _key_on(passage, family)
        reached = [
            (name, bound)
            for name, bound in sorted(self._routes.reached(passage.exchange, key).items())
            if name != passage.meant_for and name in self._passages
        ]
        if passage.key is not None:
            self._fixed[passage] = key, reached
        return key, reached


def _key_on(passage: Passage, family: KeyFamily) -> KeyFamily:
    if passage.key is not None:
        return KeyFamily.of_key(passage.key)
    if not passage.is_dead or family.literal_end == _DEAD_WORD:
        return family  # its agent knows under which key it was published first
    return KeyFamily((*family.words, tuple(_DEAD_WORD)))
