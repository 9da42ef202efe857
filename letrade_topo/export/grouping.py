"""What belongs together, together: otherwise the order of a topology is the broker's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain

from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routes import Routes
from letrade_topo.model.topology import DeadLetterTarget, DeclaredBinding, DeclaredQueue, Topology


def grouped(topology: Topology) -> Topology:
    """A topology whose queues stand before those that take their dead letters, and bindings with those of one source.

    Args:
        topology: in the broker's order.
    """
    return replace(topology, queues=_queues(topology), bindings=_bindings(topology.bindings))


def _queues(topology: Topology) -> Mapping[str, DeclaredQueue]:
    """A queue of dead letters stands behind the last queue of which it takes some."""
    targets = _targets(topology)
    sources: dict[str, set[str]] = {}
    for queue, reached in targets.items():
        for target in reached - {queue}:
            sources.setdefault(target, set()).add(queue)
    ordered: dict[str, DeclaredQueue] = {}
    firsts = [name for name in topology.queues if name not in sources]
    for first in chain(firsts, topology.queues):  # the second time what is left: dead letters that go in a circle
        todo = [first]
        while todo:
            name = todo.pop()
            if name in ordered:
                continue
            ordered[name] = topology.queues[name]
            ready = [one for one in targets.get(name, ()) if sources.get(one, set()) <= ordered.keys()]
            todo += sorted(ready, reverse=True)
    return ordered


def _targets(topology: Topology) -> Mapping[str, set[str]]:
    """The queues that take the dead letters of each queue."""
    routes = Routes(topology)
    targets: dict[str, set[str]] = {}
    for queue in topology.queues.values():
        match queue.dead_lettering:
            case DeadLetterTarget(exchange=exchange, routing_key=None):
                families = routes.keys_of(queue.name)
            case DeadLetterTarget(exchange=exchange, routing_key=str() as key):
                families = [KeyFamily.of_key(key)]
            case _:
                continue
        reached = {one for family in families for one in routes.queues(exchange, family)}
        targets[queue.name] = reached & topology.queues.keys()
    return targets


def _bindings(bindings: Iterable[DeclaredBinding]) -> tuple[DeclaredBinding, ...]:
    by_source: dict[str, list[DeclaredBinding]] = {}
    for binding in bindings:
        by_source.setdefault(binding.source, []).append(binding)
    return tuple(chain.from_iterable(by_source.values()))
