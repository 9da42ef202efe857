"""What fails comes to rest: no way leads it back to where it failed, but the retry ladder, which counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from letrade_topo.model.cycles import Passage, Step, find_cycles, in_words
from letrade_topo.model.passages import passages_of
from letrade_topo.model.routes import Routes, bound_of
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import DeadLetterTarget, Topology

LEADING_KEYS = frozenset({"dead-letter-exchange", "alternate-exchange"})
"""Of policies: where messages go."""


@rule(
    "dead-letter-cycle",
    "dead letters that go round in a circle",
    "A queue whose dead letters come back to it, maybe over others, rejects the same message for ever, as fast as the "
    "broker can: hundreds of deliveries in seconds. What leads away from the exchanges of `dead_letter` counts, and so "
    "do dead-letter and alternate exchanges by policy. For delayed retries use `retry`, which counts attempts. A "
    "warning where no queue on the way has a service or message types, as in retries that somebody made by hand.",
    needs_whole=True,
)
def dead_letter_cycle(topology: Topology) -> Iterator[Breach]:
    """Circles of dead letters, over declared targets, the ladder, and whatever is bound to its exchanges."""
    passages = passages_of(topology)
    for cycle in find_cycles(passages, Routes(topology)) if _may_circle(topology, passages) else ():
        path, fix = _culprit(cycle, topology)
        is_ours = any(_is_on_bus(step.queue, topology) for step in cycle)
        severity = None if is_ours else Severity.WARNING
        at_key = path[0] == "queues"
        yield Breach(path, f"What fails travels {in_words(cycle)}.", fix, at_key=at_key, severity=severity)


def _is_on_bus(name: str, topology: Topology) -> bool:
    """Queues that follow from others are, too."""
    queue = topology.queues.get(name)
    return queue is None or queue.is_on_bus


def _may_circle(topology: Topology, passages: Mapping[str, Sequence[Passage]]) -> bool:
    """Whether anything leads further than the ladder does by itself; with thousands of queues that is worth asking."""
    ends = topology.failure_exchanges
    if any(isinstance(queue.dead_lettering, DeadLetterTarget) for queue in topology.queues.values()):
        return True
    if any(policy.definition.keys() & LEADING_KEYS for policy in topology.policies.values()):
        return True
    return any(binding.source in ends for binding in topology.bindings)


def _culprit(cycle: Sequence[Step], topology: Topology) -> tuple[Path, str]:
    """Where to break a circle: a declared target on it, else a binding that leads away from the ladder."""
    for step in cycle:
        queue = topology.queues.get(step.queue)
        if queue is not None and isinstance(queue.dead_lettering, DeadLetterTarget):
            return ("queues", queue.name, "dead_letter"), "Lead one of them elsewhere."
    bounds = [step.bound for step in cycle]
    ends = topology.failure_exchanges
    for index, binding in enumerate(topology.bindings):
        if binding.source in ends and (bound_of(binding) in bounds or binding.destination_type == "exchange"):
            return ("bindings", index), "Remove this binding, or let it lead to a queue that nobody rejects from."
    for name, policy in topology.policies.items():
        if policy.definition.keys() & LEADING_KEYS:
            return ("policies", name, "definition"), "Let this policy lead elsewhere, or narrow its pattern."
    return ("queues", cycle[0].queue), "Lead one of its dead letters elsewhere."


RULES: tuple[Rule, ...] = (dead_letter_cycle,)
