"""The graph as one page for a browser: no network, nothing beside it, and no text of a topology is ever markup.

Where things stand is found by `layers`, what belongs to what by `graph.reach`; the script shows it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any, Final

from letrade_topo.draw.document import edge_document, node_document
from letrade_topo.draw.layers import LayeredDrawing, layered
from letrade_topo.draw.svg import heading
from letrade_topo.draw.wording import drift_words, kind_words, load_words, name_of
from letrade_topo.graph.graph import GraphEdge, GraphNode, TopologyGraph
from letrade_topo.graph.reach import Reach

STYLE: Final = files("letrade_topo.draw").joinpath("page.css").read_text(encoding="utf-8")
SCRIPT: Final = files("letrade_topo.draw").joinpath("page.js").read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY: Final = (
    f"default-src 'none'; script-src {_digest(SCRIPT)}; style-src {_digest(STYLE)}; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: this script and this style sheet, and nothing else from anywhere."""


@dataclass(frozen=True, slots=True)
class PageSection:
    """What else the page says, beside the graph: a title, and lines."""

    title: str
    lines: tuple[str, ...]


def render_page(
    graph: TopologyGraph, *, sections: Sequence[PageSection] = (), refresh_seconds: int | None = None, chosen: str = ""
) -> str:
    """The page.

    Args:
        graph: all of it; what is there for failures is folded away until asked for.
        sections: what else to say.
        refresh_seconds: how often the page is to be loaded again, where somebody serves it.
        chosen: the node that is isolated at first, by id.
    """
    refresh = "" if refresh_seconds is None else f'\n<meta http-equiv="refresh" content="{refresh_seconds}">'
    counted = f"{len(graph.nodes):,} nodes, {len(graph.edges):,} ways"
    state = "as the broker has it" if graph.is_live else "as declared"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=True)}">{refresh}
<title>{escape(graph.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(graph.title)}</h1>
<span class="faint">{state} · {counted}</span>
<span class="search">
<input type="search" id="search" placeholder="Search" aria-label="Search"><ul id="found"></ul>
</span>
<label><input type="checkbox" id="failures"> dead letters and retries</label>
<button id="all" hidden>Show all</button>
<span class="grow"></span>
<button id="farther" aria-label="Smaller">−</button><button id="nearer" aria-label="Larger">+</button>
<button id="theme">Light or dark</button>
</header>
<div id="canvas"></div>
<aside id="panel"></aside>
<script type="application/json" id="data">{_data(graph, sections, chosen)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _data(graph: TopologyGraph, sections: Sequence[PageSection], chosen: str) -> str:
    drawing, reach = layered(graph), Reach(graph)
    numbers = {name: number for number, name in enumerate(graph.nodes)}
    document = {
        "nodes": [_node(node) for node in graph.nodes.values()],
        "edges": [_edge(edge, numbers) for edge in graph.edges],
        "around": [_around(node, reach, numbers) for node in graph.nodes.values()],
        **_drawing(drawing, numbers),
        "sections": [{"title": section.title, "lines": section.lines} for section in sections],
        "chosen": numbers.get(chosen),
    }
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def _around(node: GraphNode, reach: Reach, numbers: Mapping[str, int]) -> list[int] | int:
    """The edges around a node; of a ladder's queue the number of its queue, which has the same."""
    if node.part_of is not None and node.part_of in numbers:
        return numbers[node.part_of]
    return sorted(reach.around(node.id))


def _node(node: GraphNode) -> dict[str, Any]:
    words = [*load_words(node.load), *drift_words(node.drift)]
    return node_document(node) | {"label": name_of(node), "words": words}


def _edge(edge: GraphEdge, numbers: Mapping[str, int]) -> dict[str, Any]:
    ends = {"source": numbers[edge.source], "target": numbers[edge.target]}
    return edge_document(edge) | ends | {"words": kind_words(edge.kind)}


def _drawing(drawing: LayeredDrawing, numbers: Mapping[str, int]) -> dict[str, Any]:
    places = {name: number for number, name in enumerate(drawing.places)}
    return {
        "places": [
            {"node": numbers[place.node.id], "layer": place.layer, "order": place.order, "heading": heading(place)}
            for place in drawing.places.values()
        ],
        "lines": [
            {"source": places[line.source], "target": places[line.target], "edge": line.place} for line in drawing.lines
        ],
    }
