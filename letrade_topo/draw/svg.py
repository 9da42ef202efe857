"""The graph as one SVG picture that needs nothing beside itself, in the colours of whoever looks: light or dark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from letrade_topo.draw.layers import DrawnLine, DrawnPlace, LayeredDrawing, layered
from letrade_topo.draw.wording import drift_words, kind_words, load_words, name_of, shown_text
from letrade_topo.graph.graph import TopologyGraph
from letrade_topo.model.names import is_delay_queue

ROW: Final = 30
HEIGHT: Final = 22
GAP: Final = 90
MARGIN: Final = 24
HEADING: Final = 34
LETTER: Final = 6.7
LONGEST_LABEL: Final = 44

STYLE: Final = """
svg { --ground: #ffffff; --ink: #1c2330; --faint: #5f6b7c; --line: #9aa5b4; --service: #e4ecfb; --service-line: #2463c9;
  --message: #f1e8fb; --message-line: #7a3fc0; --exchange: #fdf0d8; --exchange-line: #9a6200; --queue: #e2f3ea;
  --queue-line: #1a7f4b; --failure: #fbe4e2; --failure-line: #c0362c; background: var(--ground); }
@media (prefers-color-scheme: dark) { svg { --ground: #12161d; --ink: #e6eaf0; --faint: #98a3b3; --line: #5b6675;
  --service: #1b2b47; --service-line: #78a9ff; --message: #2e2140; --message-line: #bf94f2; --exchange: #3a2e14;
  --exchange-line: #e3b341; --queue: #16331f; --queue-line: #4cc38a; --failure: #43201f; --failure-line: #ff7b72; } }
text { font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
text.title { font-weight: 600; font-size: 15px; } text.layer { fill: var(--faint); font-size: 11px; }
rect { stroke-width: 1.2; } path { fill: none; stroke: var(--line); stroke-width: 1.2; }
.service rect { fill: var(--service); stroke: var(--service-line); }
.message rect { fill: var(--message); stroke: var(--message-line); }
.exchange rect { fill: var(--exchange); stroke: var(--exchange-line); }
.queue rect, .run-time-queues rect { fill: var(--queue); stroke: var(--queue-line); }
.run-time-queues rect { stroke-dasharray: 4 3; }
.failure rect { fill: var(--failure); stroke: var(--failure-line); }
.dead-letters, .retries { stroke: var(--failure-line); stroke-dasharray: 5 3; } .alternate { stroke-dasharray: 2 3; }
.missing rect, .extra rect, .different rect { stroke: var(--failure-line); stroke-width: 2.6; }
path.missing, path.extra, path.different { stroke: var(--failure-line); stroke-width: 2.4; }
"""

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float


def render_svg(graph: TopologyGraph) -> str:
    """The picture."""
    drawing = layered(graph)
    boxes = _boxes(drawing)
    width = max((box.x + box.width for box in boxes.values()), default=300) + MARGIN
    height = max((box.y for box in boxes.values()), default=0) + HEIGHT + MARGIN
    body = "\n".join(
        [
            *(_path(line, boxes) for line in drawing.lines),
            *(_node(place, boxes[place.id]) for place in drawing.places.values()),
            *_headings(drawing, boxes),
        ]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">\n'
        f"<title>{_text(graph.title)}</title>\n<style>{STYLE}</style>\n"
        f'<text class="title" x="{MARGIN}" y="{MARGIN}">{_text(graph.title)}</text>\n{body}\n</svg>\n'
    )


def label_of(place: DrawnPlace) -> str:
    """What stands in a place."""
    node = place.node
    return " · ".join([shown_text(name_of(node), LONGEST_LABEL), *load_words(node.load), *drift_words(node.drift)])


def _boxes(drawing: LayeredDrawing) -> dict[str, _Box]:
    layers = drawing.layers
    widths = [max(len(label_of(place)) for place in layer) * LETTER + 20 for layer in layers]
    tops = _tops(layers, drawing.lines)
    boxes: dict[str, _Box] = {}
    left = float(MARGIN)
    for layer, width in zip(layers, widths, strict=True):
        boxes.update((place.id, _Box(left, tops[place.id], width)) for place in layer)
        left += width + GAP
    return boxes


def _tops(layers: Sequence[Sequence[DrawnPlace]], lines: Sequence[DrawnLine]) -> dict[str, float]:
    """The longest layer one below the other; every other place beside the middle of what it is tied to."""
    neighbours: dict[str, list[str]] = {}
    for line in lines:
        neighbours.setdefault(line.source, []).append(line.target)
        neighbours.setdefault(line.target, []).append(line.source)
    top = MARGIN + HEADING
    tops = {place.id: float(top + ROW * place.order) for layer in layers for place in layer}
    longest = max(range(len(layers)), key=lambda index: len(layers[index]), default=0)
    for index in sorted(range(len(layers)), key=lambda index: abs(index - longest)):
        if index == longest:
            continue
        wanted = []
        for place in layers[index]:
            beside = [tops[one] for one in neighbours.get(place.id, ())]
            wanted.append(sum(beside) / len(beside) if beside else tops[place.id])
        tops.update(zip((place.id for place in layers[index]), spread(wanted, top), strict=True))
    return tops


def spread(wanted: Sequence[float], top: float) -> list[float]:
    """The nearest tops to those that are wanted, in their order, a row apart and not above the top."""
    down: list[float] = []
    for value in wanted:
        down.append(max(value, down[-1] + ROW if down else top))
    up: list[float] = []
    for value in reversed(wanted):
        up.append(min(value, up[-1] - ROW) if up else value)
    middle = [(one + other) / 2 for one, other in zip(down, reversed(up), strict=True)]
    lift = max(top - min(middle, default=top), 0)
    return [value + lift for value in middle]


def _path(line: DrawnLine, boxes: Mapping[str, _Box]) -> str:
    source, target = boxes[line.source], boxes[line.target]
    forward = target.x > source.x
    x1, x2 = (source.x + source.width, target.x) if forward else (source.x, target.x + target.width)
    y1, y2 = source.y + HEIGHT / 2, target.y + HEIGHT / 2
    bend = max(abs(x2 - x1) / 2, 40) * (1 if forward else -1)
    edge = line.edge
    name = f"{edge.kind} {edge.drift or ''}".strip()
    words = f"{kind_words(edge.kind)}{': ' if edge.label else ''}{edge.label}"
    curve = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return f'<path class="{name}" d="{curve}"><title>{_text(words)}</title></path>'


def _node(place: DrawnPlace, box: _Box) -> str:
    node = place.node
    name = " ".join(filter(None, [str(node.kind), "failure" if node.is_failure else "", str(node.drift or "")]))
    radius = HEIGHT / 2 if node.kind in ("service", "message") else 3
    return (
        f'<g class="{name}"><title>{_text(node.id)}</title>'
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT}" rx="{radius}"/>'
        f'<text x="{box.x + 10:.1f}" y="{box.y + 15:.1f}">{_text(label_of(place))}</text></g>'
    )


def _headings(drawing: LayeredDrawing, boxes: Mapping[str, _Box]) -> Iterator[str]:
    for layer in drawing.layers:
        box = boxes[layer[0].id]
        words = heading(layer[0])
        yield f'<text class="layer" x="{box.x:.1f}" y="{MARGIN + HEADING - 10}">{_text(words)}</text>'


def heading(place: DrawnPlace) -> str:
    """What a layer is called, by any of its places."""
    node = place.node
    if node.kind == "service":
        return "consumers" if place.is_consumer else "publishers"
    if node.is_failure:
        if node.part_of is None:
            return "dead letters"
        return "retries" if is_delay_queue(node.name) else "rejected"
    return {"message": "message types", "exchange": "exchanges"}.get(node.kind, "queues")


def _text(text: str) -> str:
    return escape(_UNFIT.sub("\ufffd", text), quote=True)
