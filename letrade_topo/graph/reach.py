"""What a node reaches and what reaches it, by the ways that messages really take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from letrade_topo.graph.graph import EdgeKind, GraphEdge, NodeKind, TopologyGraph

_BY_BROKER = (EdgeKind.BINDING, EdgeKind.ALTERNATE)


class Reach:
    """Answers for one graph.

    Args:
        graph: any.
    """

    def __init__(self, graph: TopologyGraph) -> None:
        self._graph = graph

    def around(self, node: str) -> frozenset[int]:
        """The edges, by place, that lead to a node and on from it.

        Of an exchange, all its bindings; of a queue, the messages that arrive there and only the ways they take; of a
        ladder's queue, what its queue has.
        """
        found = self._graph.nodes[node]
        if found.part_of is not None:
            return self.around(found.part_of)
        match found.kind:
            case NodeKind.MESSAGE:
                return self._graph.flows.get(node, frozenset())
            case NodeKind.SERVICE:
                return self._of_service(node)
            case NodeKind.EXCHANGE:
                return self._of_exchange(node)
            case NodeKind.QUEUE | NodeKind.RUN_TIME_QUEUES:
                return self._of_queue(node)

    def part(self, node: str) -> TopologyGraph:
        """The graph around a node."""
        return self._graph.part([node], self.around(node))

    def _of_service(self, node: str) -> frozenset[int]:
        edges = self._graph.edges
        published = (edges[place].target for place in self._graph.leaving.get(node, ()))
        queues = (edges[place].source for place in self._graph.entering.get(node, ()))
        parts = [*map(self.around, published), *(self._of_queue(queue, service=node) for queue in queues)]
        own = (edge for edge in self._graph.entering.get(node, ()))
        return frozenset(own).union(*parts)

    def _of_exchange(self, node: str) -> frozenset[int]:
        found = {
            *self._closure(node, self._graph.leaving, lambda edge: edge.target, _BY_BROKER),
            *self._closure(node, self._graph.entering, lambda edge: edge.source, _BY_BROKER),
            *self._graph.entering.get(node, ()),
        }
        for ends in {edge.target for edge in self._picked(found)}:
            found.update(self._of_kind(self._graph.leaving.get(ends, ()), EdgeKind.CONSUMES))
        for message, flow in self._graph.flows.items():
            if not found.isdisjoint(flow) and self._passes(flow, node):
                found.update(self._of_kind(self._graph.entering.get(message, ()), EdgeKind.PUBLISHES))
        return frozenset(found)

    def _of_queue(self, node: str, service: str | None = None) -> frozenset[int]:
        edges = self._graph.edges
        entering = self._graph.entering.get(node, ())
        found = {*self._closure(node, self._graph.entering, lambda edge: edge.source, _BY_BROKER)}
        for place in self._of_kind(self._graph.leaving.get(node, ()), EdgeKind.CONSUMES):
            if service is None or edges[place].target == service:
                found.add(place)
        for message in self._messages_at.get(node, ()):
            flow = self._graph.flows[message]
            found.update(found_place for found_place in flow if edges[found_place].kind is EdgeKind.PUBLISHES)
        found.update(place for place in entering if edges[place].is_failure)
        found.update(self._failing(node))
        return frozenset(found)

    def _failing(self, node: str) -> set[int]:
        """What fails in a queue, up to where it rests."""
        kinds = (EdgeKind.DEAD_LETTERS, EdgeKind.RETRIES)
        found = self._closure(node, self._graph.leaving, lambda edge: edge.target, kinds)
        for exchange in {edge.target for edge in self._picked(found)}:
            if self._graph.nodes[exchange].kind is NodeKind.EXCHANGE:
                found |= self._closure(exchange, self._graph.leaving, lambda edge: edge.target, _BY_BROKER)
        return found

    def _closure(
        self,
        start: str,
        places: Mapping[str, list[int]],
        onward: Callable[[GraphEdge], str],
        kinds: Iterable[EdgeKind],
    ) -> set[int]:
        wanted = frozenset(kinds)
        found: set[int] = set()
        todo, seen = [start], {start}
        while todo:
            for place in places.get(todo.pop(), ()):
                edge = self._graph.edges[place]
                if edge.kind in wanted:
                    found.add(place)
                    if onward(edge) not in seen:
                        seen.add(onward(edge))
                        todo.append(onward(edge))
        return found

    def _passes(self, flow: Iterable[int], node: str) -> bool:
        return any(node in (edge.source, edge.target) for edge in self._picked(flow))

    def _picked(self, places: Iterable[int]) -> Iterable[GraphEdge]:
        return [self._graph.edges[place] for place in places]

    def _of_kind(self, places: Iterable[int], kind: EdgeKind) -> list[int]:
        return [place for place in places if self._graph.edges[place].kind is kind]

    @cached_property
    def _messages_at(self) -> Mapping[str, list[str]]:
        """The message types that arrive at each queue."""
        found: dict[str, list[str]] = {}
        for message, flow in self._graph.flows.items():
            for edge in self._picked(flow):
                if edge.kind is EdgeKind.BINDING:
                    found.setdefault(edge.target, []).append(message)
        return found
