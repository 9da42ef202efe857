"""The graph of a topology, and of a broker beside it: nodes, edges, and which message takes which of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from letrade_topo.broker.objects import Address, Binding, Exchange, Queue
from letrade_topo.graph.facts import Facts, WiringFacts, binding_label, message_facts, service_facts
from letrade_topo.graph.graph import (
    EdgeKind,
    GraphEdge,
    GraphNode,
    NodeDrift,
    NodeKind,
    QueueLoad,
    TopologyGraph,
    node_id,
)
from letrade_topo.graph.wiring import Wiring
from letrade_topo.model import names
from letrade_topo.model.messages import MessageType
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.passages import steps_of
from letrade_topo.model.policies_in_force import BUILT_IN_EXCHANGES
from letrade_topo.model.routes import DEFAULT_EXCHANGE, PassedExchange
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DeclaredQueue, DestinationType, Topology

DEFAULT_EXCHANGE_NAME = "(default exchange)"

_EdgeKey = tuple[str, str, EdgeKind, str]


@dataclass(frozen=True, slots=True)
class LiveView:
    """What a broker adds to the graph.

    Args:
        wiring: its exchanges, queues and bindings, as far as they concern the topology.
        drift: how objects differ from what is declared, by address.
        loads: what its queues hold and do, by name.
    """

    wiring: Wiring | None = None
    drift: Mapping[Address, NodeDrift] = field(default_factory=dict)
    loads: Mapping[str, QueueLoad] = field(default_factory=dict)


def graph_of(topology: Topology, wiring: Wiring, live: LiveView | None = None) -> TopologyGraph:
    """Make the graph.

    Args:
        topology: what is declared.
        wiring: what it brings to a broker.
        live: what a broker has and does; None to draw the topology alone.
    """
    builder = _GraphBuilder(topology, wiring, live or LiveView())
    builder.build()
    title = f"{topology.name} · vhost {topology.vhost}"
    return TopologyGraph(title, builder.nodes, builder.edges, builder.flows(), is_live=live is not None)


class _GraphBuilder:
    """Collects nodes and edges, each once."""

    def __init__(self, topology: Topology, wiring: Wiring, live: LiveView) -> None:
        self._topology, self._live = topology, live
        self._wirings = [one for one in (wiring, live.wiring) if one is not None]
        self._ladders = {ladder: queue for queue in topology.queues.values() for ladder in _ladder(queue)}
        self._run_time = {one.name: tuple(self._run_time_bindings(one)) for one in topology.services.values()}
        retries = topology.dead_letter.retry_exchange
        led_to = {one.destination for each in self._wirings for one in each.bindings if one.source == retries}
        self._hidden = retries if led_to <= self._ladders.keys() else None
        """What leads each queue's failures to its own ladder and to nothing else: they are drawn without it."""
        self.nodes: dict[str, GraphNode] = {}
        self._edges: dict[_EdgeKey, GraphEdge] = {}

    @property
    def edges(self) -> tuple[GraphEdge, ...]:
        """All of them, by place."""
        return tuple(self._edges.values())

    def build(self) -> None:
        """Everything, in the order of the file; what only the broker has comes last."""
        for service in self._topology.services.values():
            self._node(NodeKind.SERVICE, service.name, service_facts(service, self._wirings[0]))
        for message in self._topology.messages.values():
            self._node(NodeKind.MESSAGE, message.name, message_facts(message))
        for wiring in self._wirings:
            self._objects(wiring)
        for service in self._topology.services.values():
            self._service_ways(service)
        for message in self._topology.messages.values():
            own = node_id(NodeKind.MESSAGE, message.name)
            self._edge(own, self._exchange(message.exchange), EdgeKind.PUBLISHES, message.key.text)
        for wiring in self._wirings:
            self._ways(wiring)
        for queue in self._topology.queues.values():
            self._queue_ways(queue)

    def flows(self) -> dict[str, frozenset[int]]:
        """Which edges the messages of each type may pass: as the broker has them, where there is one."""
        places = {key: place for place, key in enumerate(self._edges)}
        entering: dict[str, list[int]] = {}
        consumes: dict[str, list[int]] = {}
        for (source, target, kind, _), place in places.items():
            if kind is EdgeKind.PUBLISHES:
                entering.setdefault(target, []).append(place)
            elif kind is EdgeKind.CONSUMES:
                consumes.setdefault(source, []).append(place)
        flows: dict[str, frozenset[int]] = {}
        for message in self._topology.messages.values():
            own = node_id(NodeKind.MESSAGE, message.name)
            passed = [key for key in self._passed(message) if key in places]
            found = [places[key] for key in passed]
            for _, target, _, _ in passed:
                found += consumes.get(target, [])
            found.append(places[own, self._exchange(message.exchange), EdgeKind.PUBLISHES, message.key.text])
            flows[own] = frozenset([*found, *entering.get(own, [])])
        return flows

    def _passed(self, message: MessageType) -> Iterator[_EdgeKey]:
        family = KeyFamily.of_template(message.key)
        yield from self._hops(self._wirings[-1].routes.ways(message.exchange, family))
        source = self._exchange(message.exchange)
        for service, bindings in self._run_time.items():
            for exchange, key in bindings:
                if exchange == message.exchange and KeyFamily.of_template(key).overlaps(family):
                    yield source, node_id(NodeKind.RUN_TIME_QUEUES, service), EdgeKind.BINDING, key.binding_key

    def _hops(self, stops: Iterable[PassedExchange]) -> Iterator[_EdgeKey]:
        for stop in stops:
            source = self._exchange(stop.exchange)
            for bound in stop.matched:
                if bound.destination_type == DestinationType.QUEUE:
                    target = node_id(NodeKind.QUEUE, bound.destination)
                else:
                    target = self._exchange(bound.destination)
                yield source, target, EdgeKind.BINDING, binding_label(bound.routing_key, bound.arguments)
            if stop.alternate is not None:
                yield source, self._exchange(stop.alternate), EdgeKind.ALTERNATE, ""

    def _objects(self, wiring: Wiring) -> None:
        known = WiringFacts(wiring, self._topology)
        for name, exchange in wiring.exchanges.items():
            if name != self._hidden:
                self._node(NodeKind.EXCHANGE, name, known.exchange(name), exchange.address)
        for name, queue in wiring.queues.items():
            self._node(NodeKind.QUEUE, name, known.queue(name), queue.address)

    def _ways(self, wiring: Wiring) -> None:
        for binding in wiring.bindings:
            if binding.source != self._hidden:
                self._binding(binding)
        for name in (*wiring.exchanges, *BUILT_IN_EXCHANGES):
            alternate = wiring.alternate_of(name)
            if alternate is not None:
                self._edge(self._exchange(name), self._exchange(alternate), EdgeKind.ALTERNATE)
        for name in wiring.queues:
            self._dead_letters(name, wiring)

    def _binding(self, binding: Binding) -> None:
        if binding.destination_type == DestinationType.QUEUE:
            target = self._queue(binding.destination)
        else:
            target = self._exchange(binding.destination)
        label = binding_label(binding.routing_key, binding.arguments)
        drift = self._live.drift.get(binding.address)
        self._edge(self._exchange(binding.source), target, EdgeKind.BINDING, label, drift)

    def _dead_letters(self, name: str, wiring: Wiring) -> None:
        passage = wiring.dead_letters_of(name)
        if passage is None:
            return
        own = node_id(NodeKind.QUEUE, name)
        if name in self._ladders and passage.exchange == DEFAULT_EXCHANGE and passage.key is not None:
            lives = wiring.milliseconds_to_live(name)
            label = "" if lives is None else f"after {lives / 1000:g}s"
            self._edge(own, self._queue(passage.key), EdgeKind.RETRIES, label)
        elif passage.exchange == DEFAULT_EXCHANGE and passage.key is not None:
            self._edge(own, self._queue(passage.key), EdgeKind.DEAD_LETTERS, passage.key)
        elif passage.exchange == self._hidden and passage.key in wiring.queues:
            self._edge(own, self._queue(passage.key or ""), EdgeKind.DEAD_LETTERS)
        else:
            self._edge(own, self._exchange(passage.exchange), EdgeKind.DEAD_LETTERS, passage.key or "")

    def _queue_ways(self, queue: DeclaredQueue) -> None:
        """What its service and its service's agent do."""
        own = node_id(NodeKind.QUEUE, queue.name)
        if queue.service is not None:
            self._edge(own, node_id(NodeKind.SERVICE, queue.service), EdgeKind.CONSUMES)
        if not queue.has_rejected_queue:
            return
        rejected = self._queue(names.rejected_queue(queue.name))
        for attempt in range(1, steps_of(queue) + 1):
            step = self._queue(names.retry_queue(queue.name, attempt))
            self._edge(rejected, step, EdgeKind.RETRIES, f"attempt {attempt}")
        dead = self._exchange(self._topology.dead_letter.exchange)
        self._edge(rejected, dead, EdgeKind.DEAD_LETTERS, f"its key + {names.DEAD_KEY_SUFFIX}")

    def _service_ways(self, service: Service) -> None:
        own = node_id(NodeKind.SERVICE, service.name)
        for name in service.publishes:
            if name in self._topology.messages:
                self._edge(own, node_id(NodeKind.MESSAGE, name), EdgeKind.PUBLISHES)
        bindings = self._run_time[service.name]
        if not bindings:
            return
        facts: Facts = {"made by": "instances of the service, at run time", "names": f"{service.name}.sub.…"}
        queues = self._node(NodeKind.RUN_TIME_QUEUES, service.name, facts)
        for exchange, key in bindings:
            self._edge(self._exchange(exchange), queues, EdgeKind.BINDING, key.binding_key)
        self._edge(queues, own, EdgeKind.CONSUMES)

    def _run_time_bindings(self, service: Service) -> Iterator[tuple[str, KeyTemplate]]:
        """What its instances may bind queues of their own to: types that no queue of it lists, and its patterns."""
        messages = self._topology.messages
        own = [queue for queue in self._topology.queues.values() if queue.service == service.name]
        listed = {name for queue in own for name in queue.messages}
        for name in service.consumes:
            if name in messages and name not in listed:
                yield messages[name].exchange, messages[name].key
        for pattern in service.patterns:
            family = KeyFamily.of_template(pattern)
            found = (one.exchange for one in messages.values() if KeyFamily.of_template(one.key).overlaps(family))
            yield from ((exchange, pattern) for exchange in dict.fromkeys(found))

    def _exchange(self, name: str) -> str:
        """The id of an exchange, which may be one of RabbitMQ's own, or not there at all."""
        shown = name or DEFAULT_EXCHANGE_NAME
        own = node_id(NodeKind.EXCHANGE, shown)
        if own not in self.nodes:
            facts = WiringFacts(self._wirings[-1], self._topology).exchange(name)
            self._node(NodeKind.EXCHANGE, shown, facts, Exchange(name, "").address)
        return own

    def _queue(self, name: str) -> str:
        own = node_id(NodeKind.QUEUE, name)
        if own not in self.nodes:
            self._node(NodeKind.QUEUE, name, {"not there": True}, Queue(name).address)
        return own

    def _node(self, kind: NodeKind, name: str, facts: Facts, address: Address | None = None) -> str:
        own = node_id(kind, name)
        if own in self.nodes:
            return own
        dead_letter = self._topology.dead_letter
        ladder_of = self._ladders.get(name) if kind is NodeKind.QUEUE else None
        ends = {NodeKind.QUEUE: {dead_letter.queue}, NodeKind.EXCHANGE: {*self._topology.failure_exchanges}}
        self.nodes[own] = GraphNode(
            own,
            kind,
            name,
            facts,
            None if ladder_of is None else node_id(NodeKind.QUEUE, ladder_of.name),
            ladder_of is not None or (self._topology.has_dead_letters and name in ends.get(kind, ())),
            None if address is None else self._live.drift.get(address),
            self._live.loads.get(name) if kind is NodeKind.QUEUE else None,
        )
        return own

    def _edge(self, source: str, target: str, kind: EdgeKind, label: str = "", drift: NodeDrift | None = None) -> None:
        self._edges.setdefault((source, target, kind, label), GraphEdge(source, target, kind, label, drift))


def _ladder(queue: DeclaredQueue) -> Iterator[str]:
    if queue.has_rejected_queue:
        yield names.rejected_queue(queue.name)
        yield from (names.retry_queue(queue.name, attempt) for attempt in range(1, steps_of(queue) + 1))
