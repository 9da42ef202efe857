"""Which step comes next, by what is on the broker and nothing else: so any run can go on where another one ended.

    the queue is not as it is to be                     the queue is as it is to be
      no junction                     PREPARE             no junction, rests of a migration     CLEAR
      bound to other exchanges        REROUTE             junction, the queue not bound to it   RETURN
      the junction leads to it        DIVERT              bindings at the junction alone        REBIND
      otherwise                       EMPTY, then swap    junction                              CLEAR
      not there                       CREATE              nothing of all that                   FORGET

Going back is the same with another goal: the queue as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Queue
from letrade_topo.migration.layout import names_of
from letrade_topo.model import names


class MigrationStep(StrEnum):
    """The steps, in their order."""

    PREPARE = "prepare"
    REROUTE = "reroute"
    DIVERT = "divert"
    EMPTY = "empty"
    CREATE = "create"
    RETURN = "return"
    REBIND = "rebind"
    CLEAR = "clear"
    FORGET = "forget"

    def text(self, queue: str) -> str:
        """What it does, in words."""
        side, kept = names.side_queue(queue), names.kept_queue(queue)
        return {
            "prepare": f"make {side}, which holds what arrives meanwhile, and {kept}",
            "reroute": "lead its bindings over an exchange that can switch; messages still reach the queue",
            "divert": f"switch: what arrives waits in {side}",
            "empty": f"let consumers take what the queue holds, without consumers move it to {kept}; delete the queue "
            "when it holds nothing, ready or unacknowledged",
            "create": "make it as declared",
            "return": "bring back what was kept, then what has arrived, oldest first; switch back",
            "rebind": "bind it to its exchanges again",
            "clear": "delete what was made for the move, when it is empty",
            "forget": "clear the record",
        }[self]


@dataclass(frozen=True, slots=True)
class Situation:
    """What is on the broker of one queue and its migration.

    Args:
        queue: None while it is deleted.
        has_junction: the exchange that switches is there.
        is_open: it leads to the queue.
        direct: bindings of the queue to other exchanges.
        detoured: bindings of the junction to other exchanges.
        rests: names of all queues and exchanges of the migration that are there.
        leads_back: what was kept may be brought back: the queue is bound to the exchange for that.
    """

    queue: Queue | None
    has_junction: bool
    is_open: bool
    direct: tuple[Binding, ...]
    detoured: tuple[Binding, ...]
    rests: frozenset[str]
    leads_back: bool = False

    @classmethod
    def of(cls, queue: str, things: Iterable[BrokerObject]) -> Situation:
        """Find it among live objects."""
        made, junction = names_of(queue), names.side_queue(queue)
        found: Queue | None = None
        rests: set[str] = set()
        direct: list[Binding] = []
        detoured: list[Binding] = []
        has_junction = is_open = leads_back = False
        for thing in things:
            match thing:
                case Queue(name=name) if name == queue:
                    found = thing
                case Queue(name=name) | Exchange(name=name) if name in made:
                    rests.add(name)
                    has_junction = has_junction or (isinstance(thing, Exchange) and name == junction)
                case Binding(source=source, destination_type="queue", destination=name) if name == queue:
                    if source == junction:
                        is_open = True
                    elif source not in made:
                        direct.append(thing)
                    leads_back = leads_back or source == names.return_exchange(queue)
                case Binding(destination_type="exchange", destination=name) if name == junction:
                    detoured.append(thing)
                case _:
                    pass
        return cls(found, has_junction, is_open, tuple(direct), tuple(detoured), frozenset(rests), leads_back)

    @property
    def unbound(self) -> tuple[Binding, ...]:
        """The bindings that the queue has only by way of the junction, as its own."""
        own = {binding.address for binding in self.direct}
        wanted = [
            rebound(binding, "queue", binding.destination.removesuffix(names.MIGRATING_SUFFIX))
            for binding in self.detoured
        ]
        return tuple(binding for binding in wanted if binding.address not in own)


def rebound(binding: Binding, kind: str, destination: str) -> Binding:
    """The same binding of something else."""
    return Binding(binding.source, kind, destination, binding.routing_key, binding.arguments)


def next_step(situation: Situation, *, is_as_wanted: bool) -> MigrationStep:
    """The next step.

    Args:
        situation: what is on the broker.
        is_as_wanted: the queue that is there is as it is to be.
    """
    if situation.queue is None:
        return MigrationStep.CREATE
    if is_as_wanted:
        return _after(situation)
    if not situation.has_junction:
        return MigrationStep.PREPARE
    if situation.direct:
        return MigrationStep.REROUTE
    return MigrationStep.DIVERT if situation.is_open else MigrationStep.EMPTY


def _after(situation: Situation) -> MigrationStep:
    if not situation.has_junction:
        return MigrationStep.CLEAR if situation.rests else MigrationStep.FORGET
    if not situation.is_open:
        return MigrationStep.RETURN
    return MigrationStep.REBIND if situation.unbound else MigrationStep.CLEAR


def remaining(step: MigrationStep) -> tuple[MigrationStep, ...]:
    """A step and all that come behind it."""
    steps = tuple(MigrationStep)
    return steps[steps.index(step) :]
