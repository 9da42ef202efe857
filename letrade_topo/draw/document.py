"""The graph as JSON: for programs, and for the page that draws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from letrade_topo.graph.graph import GraphEdge, GraphNode, QueueLoad, TopologyGraph

FORMAT_VERSION = 1


def graph_document(graph: TopologyGraph) -> dict[str, Any]:
    """One object: nodes, edges, and of each message type the edges, by place, that its messages may pass."""
    return {
        "format_version": FORMAT_VERSION,
        "title": graph.title,
        "live": graph.is_live,
        "nodes": [node_document(node) for node in graph.nodes.values()],
        "edges": [edge_document(edge) for edge in graph.edges],
        "flows": {name: sorted(flow) for name, flow in graph.flows.items()},
    }


def node_document(node: GraphNode) -> dict[str, Any]:
    """A node."""
    document: dict[str, Any] = {
        "id": node.id,
        "kind": str(node.kind),
        "name": node.name,
        "facts": dict(node.facts),
        "part_of": node.part_of,
        "is_failure": node.is_failure,
        "drift": None if node.drift is None else str(node.drift),
    }
    return document | {"load": None if node.load is None else _load(node.load)}


def edge_document(edge: GraphEdge) -> dict[str, Any]:
    """An edge."""
    return {
        "source": edge.source,
        "target": edge.target,
        "kind": str(edge.kind),
        "label": edge.label,
        "drift": None if edge.drift is None else str(edge.drift),
    }


def _load(load: QueueLoad) -> Mapping[str, float | None]:
    return {
        "messages": load.messages,
        "consumers": load.consumers,
        "in_rate": load.in_rate,
        "out_rate": load.out_rate,
    }
