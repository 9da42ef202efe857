"""The graph: services, message types, exchanges and queues, and the ways between them. Values only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from letrade_topo.model.messages import Json


class NodeKind(StrEnum):
    """What a node stands for."""

    SERVICE = "service"
    MESSAGE = "message"
    EXCHANGE = "exchange"
    QUEUE = "queue"
    RUN_TIME_QUEUES = "run-time-queues"
    """Queues that instances of a service make for themselves."""


class EdgeKind(StrEnum):
    """What leads from one node to another."""

    PUBLISHES = "publishes"
    """A service a message type; a message type to its exchange."""
    BINDING = "binding"
    ALTERNATE = "alternate"
    """An exchange, to the one that gets what it routes nowhere."""
    CONSUMES = "consumes"
    """From a queue to the service that reads it."""
    DEAD_LETTERS = "dead-letters"
    RETRIES = "retries"
    """To a queue of the ladder, and back when the time is over."""


class NodeDrift(StrEnum):
    """How something on the broker differs from what is declared."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What a queue holds and does; None where the broker does not say.

    Args:
        messages: ready and unacknowledged.
        consumers: of all connections.
        in_rate: messages a second that arrive.
        out_rate: messages a second that are delivered.
    """

    messages: int | None = None
    consumers: int | None = None
    in_rate: float | None = None
    out_rate: float | None = None


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node.

    Args:
        id: its kind and name; two nodes never have one.
        kind: what it stands for.
        name: its own.
        facts: what there is to say of it: arguments, permissions, schema.
        part_of: the queue whose ladder it belongs to, by id.
        is_failure: it is there for what fails alone, and folded away until asked for.
        drift: how it differs from what is declared.
        load: what a queue holds and does.
    """

    id: str
    kind: NodeKind
    name: str
    facts: Mapping[str, Json] = field(default_factory=dict, hash=False)
    part_of: str | None = None
    is_failure: bool = False
    drift: NodeDrift | None = None
    load: QueueLoad | None = None


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A way from one node to another.

    Args:
        source, target: ids of nodes.
        kind: what leads there.
        label: the binding key, the delay, the arguments.
        drift: how it differs from what is declared.
    """

    source: str
    target: str
    kind: EdgeKind
    label: str = ""
    drift: NodeDrift | None = None

    @property
    def is_failure(self) -> bool:
        """Whether only what fails goes this way."""
        return self.kind in (EdgeKind.DEAD_LETTERS, EdgeKind.RETRIES)


@dataclass(frozen=True)  # without slots, for what is found once
class TopologyGraph:
    """All of it.

    Args:
        title: of the topology.
        nodes: by id, in the order of the file.
        edges: all, by place.
        flows: of each message type, by id: the edges that its messages may pass, by place.
        is_live: drift and loads are those of a broker.
    """

    title: str
    nodes: Mapping[str, GraphNode] = field(default_factory=dict, hash=False)
    edges: tuple[GraphEdge, ...] = ()
    flows: Mapping[str, frozenset[int]] = field(default_factory=dict, hash=False)
    is_live: bool = False

    @cached_property
    def leaving(self) -> Mapping[str, list[int]]:
        """The edges that leave each node, by place."""
        return _places(edge.source for edge in self.edges)

    @cached_property
    def entering(self) -> Mapping[str, list[int]]:
        """The edges that lead to each node, by place."""
        return _places(edge.target for edge in self.edges)

    def part(self, ids: Collection[str], places: Iterable[int]) -> TopologyGraph:
        """The graph with some of its edges, their ends, and some nodes beside."""
        kept = sorted(set(places))
        new = {old: place for place, old in enumerate(kept)}
        edges = tuple(self.edges[place] for place in kept)
        wanted = {*ids, *(edge.source for edge in edges), *(edge.target for edge in edges)}
        flows = {
            name: frozenset(new[place] for place in flow if place in new)
            for name, flow in self.flows.items()
            if name in wanted
        }
        nodes = {name: node for name, node in self.nodes.items() if name in wanted}
        return replace(self, nodes=nodes, edges=edges, flows=flows)

    def folded(self) -> TopologyGraph:
        """Without what is there for failures alone."""
        shown = {name for name, node in self.nodes.items() if not node.is_failure}
        places = (
            place
            for place, edge in enumerate(self.edges)
            if edge.source in shown and edge.target in shown and not edge.is_failure
        )
        return self.part(shown, places)


def node_id(kind: NodeKind, name: str) -> str:
    """How a node is called among all."""
    return f"{kind}:{name}"


def _places(ends: Iterable[str]) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, end in enumerate(ends):
        found[end].append(place)
    return found
