"""The graph as a Mermaid flowchart, for pages that draw those by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from letrade_topo.draw.wording import drift_words, kind_words, load_words, name_of
from letrade_topo.graph.graph import EdgeKind, GraphEdge, GraphNode, NodeKind, TopologyGraph

_SHAPES: Final = {
    NodeKind.SERVICE: ("([", "])"),
    NodeKind.MESSAGE: ("[/", "/]"),
    NodeKind.EXCHANGE: ("{{", "}}"),
    NodeKind.QUEUE: ("[(", ")]"),
    NodeKind.RUN_TIME_QUEUES: ("[(", ")]"),
}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/,")


def render_mermaid(graph: TopologyGraph) -> str:
    """The flowchart."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: TopologyGraph) -> Iterator[str]:
    yield "flowchart LR"
    ids = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    for name, node in graph.nodes.items():
        before, after = _SHAPES[node.kind]
        yield f'    {ids[name]}{before}"{_words(node)}"{after}'
    for edge in graph.edges:
        yield f"    {ids[edge.source]} {_arrow(edge)} {ids[edge.target]}"


def _words(node: GraphNode) -> str:
    return escaped(" · ".join([name_of(node), *load_words(node.load), *drift_words(node.drift)]))


def _arrow(edge: GraphEdge) -> str:
    label = edge.label or ("" if edge.kind in (EdgeKind.PUBLISHES, EdgeKind.CONSUMES) else kind_words(edge.kind))
    arrow = "-.->" if edge.is_failure or edge.kind is EdgeKind.ALTERNATE else "-->"
    return f'{arrow}|"{escaped(label)}"|' if label else arrow


def escaped(text: str) -> str:
    """A text in which nothing means anything to Mermaid: letters stay, all else is a character entity of its own."""
    return "".join(letter if letter in _PLAIN else f"#{ord(letter)};" for letter in text)
