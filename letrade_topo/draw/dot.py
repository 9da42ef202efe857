"""The graph in Graphviz's language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from letrade_topo.draw.wording import drift_words, kind_words, load_words, name_of
from letrade_topo.graph.graph import EdgeKind, GraphEdge, GraphNode, NodeKind, TopologyGraph

_SHAPES: Final = {
    NodeKind.SERVICE: "box, style=rounded",
    NodeKind.MESSAGE: "note",
    NodeKind.EXCHANGE: "hexagon",
    NodeKind.QUEUE: "cylinder",
    NodeKind.RUN_TIME_QUEUES: "cylinder, style=dashed",
}


def render_dot(graph: TopologyGraph) -> str:
    """The graph, drawn from left to right."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: TopologyGraph) -> Iterator[str]:
    yield f"digraph {quoted(graph.title)} {{"
    yield "    rankdir=LR"
    for name, node in graph.nodes.items():
        colour = ", color=red" if node.drift is not None else ""
        yield f"    {quoted(name)} [label={quoted(_words(node))}, shape={_SHAPES[node.kind]}{colour}]"
    for edge in graph.edges:
        yield f"    {quoted(edge.source)} -> {quoted(edge.target)} [{', '.join(_attributes(edge))}]"
    yield "}"


def _words(node: GraphNode) -> str:
    return "\n".join([name_of(node), *load_words(node.load), *drift_words(node.drift)])


def _attributes(edge: GraphEdge) -> Iterator[str]:
    yield f"label={quoted(edge.label)}"
    yield f"tooltip={quoted(kind_words(edge.kind))}"
    if edge.is_failure or edge.kind is EdgeKind.ALTERNATE:
        yield "style=dashed"
    if edge.drift is not None:
        yield "color=red"


def quoted(text: str) -> str:
    """A text as a quoted string of DOT, in which a backslash is one, and no line ends (Graphviz: the DOT language)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "").replace("\x00", "")
    return f'"{escaped}"'
