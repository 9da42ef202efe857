"""The graph as text: pictures are XML, and no name means anything in any language."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.broker.capabilities import for_version
from letrade_topo.draw.document import graph_document
from letrade_topo.draw.dot import quoted, render_dot
from letrade_topo.draw.layers import layered
from letrade_topo.draw.mermaid import escaped, render_mermaid
from letrade_topo.draw.page import render_page
from letrade_topo.draw.svg import ROW, render_svg, spread
from letrade_topo.graph.building import graph_of
from letrade_topo.graph.graph import EdgeKind, GraphEdge, GraphNode, NodeKind, TopologyGraph
from letrade_topo.graph.wiring import declared_wiring
from tests.topologies import expanded, shipped

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def shipped_graph() -> TopologyGraph:
    """Of the topology that the project ships."""
    topology = shipped()
    return graph_of(topology, declared_wiring(expanded(topology), for_version("4.0.5")))


@given(NAMES, NAMES)
def test_no_name_is_markup(name: str, label: str) -> None:
    """The picture is well-formed, the page's data are its data, and a text of DOT ends where it should."""
    nodes = [GraphNode(f"{kind}:{name}", kind, name, {name: label}) for kind in NodeKind]
    edge = GraphEdge(nodes[2].id, nodes[3].id, EdgeKind.BINDING, label)
    found = TopologyGraph(name, {node.id: node for node in nodes}, (edge,))

    ElementTree.fromstring(render_svg(found))  # noqa: S314  # our own
    page = render_page(found)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert {node["name"] for node in json.loads(data)["nodes"]} == {name}
    assert page.count("<script") == 2
    assert re.fullmatch(r'"(?:[^"\\\n]|\\.)*"', quoted(name))
    assert re.fullmatch(r"[\w .\-:/,#;]*", escaped(name), re.ASCII)


def test_messages_travel_from_left_to_right() -> None:
    """Nothing but a retry leads back."""
    drawing = layered(shipped_graph())

    back = [line for line in drawing.lines if drawing.places[line.source].layer >= drawing.places[line.target].layer]
    assert {line.edge.kind for line in back} == {EdgeKind.RETRIES}
    assert all(line.edge.label.startswith("after ") for line in back)


@given(st.lists(st.floats(0, 10_000), max_size=30))
def test_rows_never_overlap(wanted: list[float]) -> None:
    """They keep their order, a row apart, below the heading."""
    tops = spread(sorted(wanted), 50)

    assert all(lower - upper >= ROW - 1e-6 for upper, lower in pairwise(tops))
    assert all(top >= 50 - 1e-6 for top in tops)


def test_every_language_has_every_edge() -> None:
    """Of the shipped topology, with what fails."""
    found = shipped_graph()

    assert len(graph_document(found)["edges"]) == len(found.edges)
    assert render_dot(found).count(" -> ") == len(found.edges)
    assert len(re.findall(r" (?:-->|-\.->)", render_mermaid(found))) == len(found.edges)
    assert render_svg(found).count("<path") == len(found.edges)
