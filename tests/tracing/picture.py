"""A trace as a picture, drawn of what a collector wrote: bars in time, below one another, and an arrow for each link.

.venv/bin/python -m tests.tracing.picture SPANS.json TRACE OUT.svg
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from tests.tracing.seen import SeenSpan, spans_of_file

_LEFT, _WIDTH, _ROW, _TOP, _RIGHT = 330, 560, 30, 64, 150
_BAR: Final = 14
_LEAST: Final = 3.0
"""Pixels of a bar: what takes a hundredth of that would not be seen."""
_COLOURS: Final = ("#2a6fbb", "#c2410c", "#15803d", "#7e22ce")
_ERROR: Final = "#b91c1c"
_STYLE: Final = "text{font:12px system-ui,sans-serif;fill:#1f2933}.small{font-size:11px;fill:#5b6770}"


def drawn(spans: Sequence[SeenSpan]) -> str:
    """SVG of the spans of one trace."""
    spans = sorted(spans, key=lambda span: span.began)
    first, last = spans[0].began, max(span.ended for span in spans)
    scale = _WIDTH / max(last - first, 1)
    agents = list(dict.fromkeys(span.agent for span in spans))
    colours = dict(zip(agents, _COLOURS, strict=False))
    height, width = _TOP + _ROW * len(spans) + 12, _LEFT + _WIDTH + _RIGHT
    places = {span.span: row for row, span in enumerate(spans)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img">',
        f"<title>{len(spans)} spans of one trace, by {escape(' and '.join(agents))}</title>",
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
        '<defs><marker id="a" markerWidth="7" markerHeight="7" refX="6" refY="3.5" orient="auto">'
        '<path d="M0,0 7,3.5 0,7z" fill="#5b6770"/></marker></defs>',
    ]
    for number, agent in enumerate(agents):
        at = 12 + 190 * number
        lines.append(f'<rect x="{at}" y="12" width="12" height="12" fill="{colours[agent]}"/>')
        lines.append(f'<text x="{at + 18}" y="22">{escape(agent)}</text>')
    for tick in range(6):
        x = _LEFT + _WIDTH * tick / 5
        milliseconds = (last - first) * tick / 5 / 1e6
        lines.append(f'<path d="M{x:.1f},{_TOP - 8}V{height - 8}" stroke="#e4e7eb"/>')
        lines.append(
            f'<text class="small" x="{x:.1f}" y="{_TOP - 14}" text-anchor="middle">{milliseconds:.0f} ms</text>'
        )
    for row, span in enumerate(spans):
        y = _TOP + _ROW * row
        x, long = _LEFT + (span.began - first) * scale, max((span.ended - span.began) * scale, _LEAST)
        colour = _ERROR if span.is_error else colours[span.agent]
        lines.append(f'<text x="12" y="{y + 12}">{escape(_shortened(span.name))}</text>')
        lines.append(
            f'<rect x="{x:.1f}" y="{y}" width="{long:.1f}" height="{_BAR}" rx="2" fill="{colours[span.agent]}" '
            f'stroke="{colour}" stroke-width="{2 if span.is_error else 0}"/>'
        )
        lines.append(f'<text class="small" x="{x + long + 8:.1f}" y="{y + 11}">{escape(_said(span))}</text>')
        for linked in span.links:
            if linked in places:
                before = spans[places[linked]]
                from_x = _LEFT + (before.ended - first) * scale
                lines.append(
                    f'<path d="M{from_x:.1f},{_TOP + _ROW * places[linked] + _BAR}V{y + _BAR / 2 - 3:.1f}'
                    f'H{max(x - 2, from_x):.1f}" fill="none" stroke="#5b6770" stroke-dasharray="3 2" '
                    'marker-end="url(#a)"/>'
                )
    return "\n".join([*lines, "</svg>", ""])


def _said(span: SeenSpan) -> str:
    milliseconds = f"{(span.ended - span.began) / 1e6:.1f} ms"
    outcome = span.attributes.get("letrade.outcome") or span.attributes.get("letrade.reason")
    return f"{milliseconds}, {outcome}" if outcome else milliseconds


def _shortened(name: str) -> str:
    return name if len(name) <= 48 else name[:47] + "…"


if __name__ == "__main__":
    source, wanted, target = sys.argv[1:]
    Path(target).write_text(drawn([span for span in spans_of_file(Path(source)) if span.trace == wanted]), "utf-8")
