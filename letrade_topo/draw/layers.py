"""Where things stand in a drawing: layers from publishers to consumers, and in each an order with few crossings.

Messages travel from left to right, so a layer follows from what a node is: publishers, message types, exchanges,
queues, consumers, and beyond them what is there for failures. A service that publishes and consumes stands on both
sides. The order within layers is found by barycentres (Sugiyama, Tagawa, Toda 1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from letrade_topo.graph.graph import EdgeKind, GraphEdge, GraphNode, NodeKind, TopologyGraph
from letrade_topo.model.names import is_delay_queue

_CONSUMER: Final = "consumer "
"""Before the id of a service; no kind of node begins so."""
SWEEPS: Final = 6
MOST_EXCHANGE_LAYERS: Final = 8


@dataclass(frozen=True, slots=True)
class DrawnPlace:
    """A node in the drawing.

    Args:
        id: of its own; a service has two.
        node: whose place it is.
        layer: from the left, from 0.
        order: within the layer, from 0.
    """

    id: str
    node: GraphNode
    layer: int
    order: int

    @property
    def is_consumer(self) -> bool:
        """Whether it is that of a service as one that consumes."""
        return self.id.startswith(_CONSUMER)


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """An edge in the drawing, between two places by their ids; `place` is that of the edge in its graph."""

    source: str
    target: str
    edge: GraphEdge
    place: int


@dataclass(frozen=True, slots=True)
class LayeredDrawing:
    """All places and lines.

    Args:
        places: by id.
        lines: between them.
    """

    places: Mapping[str, DrawnPlace]
    lines: tuple[DrawnLine, ...]

    @property
    def layers(self) -> list[list[DrawnPlace]]:
        """The places of each layer, in order."""
        found: list[list[DrawnPlace]] = [
            [] for _ in range(max((one.layer for one in self.places.values()), default=-1) + 1)
        ]
        for place in sorted(self.places.values(), key=lambda one: one.order):
            found[place.layer].append(place)
        return found


def layered(graph: TopologyGraph) -> LayeredDrawing:
    """Find layers and orders."""
    lines = tuple(_line(edge, place) for place, edge in enumerate(graph.edges))
    ends = {end for line in lines for end in (line.source, line.target)}
    nodes = {id_: graph.nodes[id_.removeprefix(_CONSUMER)] for id_ in _place_ids(graph, ends)}
    layers = _layers_of(nodes, lines)
    ordered = _ordered(layers, lines)
    places = {
        id_: DrawnPlace(id_, nodes[id_], layer, order)
        for layer, ids in enumerate(ordered)
        for order, id_ in enumerate(ids)
    }
    return LayeredDrawing(places, lines)


def _line(edge: GraphEdge, place: int) -> DrawnLine:
    source, target = edge.source, edge.target
    if edge.kind is EdgeKind.CONSUMES:
        target = f"{_CONSUMER}{target}"
    return DrawnLine(source, target, edge, place)


def _place_ids(graph: TopologyGraph, ends: set[str]) -> Iterable[str]:
    """In the order of the graph; a service without a line stands on the left."""
    for id_, node in graph.nodes.items():
        consumer = f"{_CONSUMER}{id_}"
        if node.kind is not NodeKind.SERVICE or id_ in ends or consumer not in ends:
            yield id_
        if consumer in ends:
            yield consumer


def _layers_of(nodes: Mapping[str, GraphNode], lines: Sequence[DrawnLine]) -> list[list[str]]:
    depths = _exchange_depths(nodes, lines)
    deepest = max(depths.values(), default=0)
    ranks = {id_: _rank(id_, node, depths, deepest) for id_, node in nodes.items()}
    used = {rank: layer for layer, rank in enumerate(sorted(set(ranks.values())))}
    layers: list[list[str]] = [[] for _ in used]
    for id_, rank in ranks.items():
        layers[used[rank]].append(id_)
    return layers


def _rank(id_: str, node: GraphNode, depths: Mapping[str, int], deepest: int) -> int:
    queues = 3 + deepest
    match node.kind:
        case NodeKind.SERVICE:
            return queues + 1 if id_.startswith(_CONSUMER) else 0
        case NodeKind.MESSAGE:
            return 1
        case NodeKind.EXCHANGE:
            return queues + 4 if node.is_failure else 2 + depths[id_]
        case NodeKind.QUEUE | NodeKind.RUN_TIME_QUEUES:
            if not node.is_failure:
                return queues
            if node.part_of is None:
                return queues + 5
            return queues + (3 if is_delay_queue(node.name) else 2)


def _exchange_depths(nodes: Mapping[str, GraphNode], lines: Sequence[DrawnLine]) -> dict[str, int]:
    """How many exchanges are before each on its longest way; a circle of them ends somewhere."""
    depths = {id_: 0 for id_, node in nodes.items() if node.kind is NodeKind.EXCHANGE and not node.is_failure}
    between = [(line.source, line.target) for line in lines if line.source in depths and line.target in depths]
    for _ in range(MOST_EXCHANGE_LAYERS):
        moved = False
        for source, target in between:
            if source != target and depths[target] <= depths[source] < MOST_EXCHANGE_LAYERS:
                depths[target] = depths[source] + 1
                moved = True
        if not moved:
            break
    return depths


def _ordered(layers: list[list[str]], lines: Sequence[DrawnLine]) -> list[list[str]]:
    neighbours: dict[str, list[str]] = {}
    for line in lines:
        neighbours.setdefault(line.source, []).append(line.target)
        neighbours.setdefault(line.target, []).append(line.source)
    at = {id_: position / max(len(ids), 1) for ids in layers for position, id_ in enumerate(ids)}
    for sweep in range(SWEEPS):
        for ids in layers if sweep % 2 == 0 else reversed(layers):
            centres = {id_: _mean([at[one] for one in neighbours.get(id_, ())], at[id_]) for id_ in ids}
            ids.sort(key=lambda id_: (centres[id_], id_))
            at.update((id_, position / len(ids)) for position, id_ in enumerate(ids))
    return layers


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
