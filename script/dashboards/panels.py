"""What dashboards are made of: a panel, and the usual questions in PromQL. Knows nothing of Grafana's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

AGENT = 'namespace=~"$namespace", instance=~"$instance"'
CONTROLLER = 'namespace=~"$namespace"'
RATE = "[$__rate_interval]"
BAD_ABOVE_ZERO = ((0, "green"), (0.000_001, "red"))


@dataclass(frozen=True, slots=True)
class Panel:
    """One question.

    Args:
        title: the question's short form.
        queries: PromQL and, for each, what its series are called.
        unit: Grafana's word for the unit.
        text: what it means, and what is good.
        kind: timeseries, stat or bargauge.
        width, height: of 24 columns; in lines.
        stacked: the areas add up.
        thresholds: from which value on it is which colour.
        mappings: words instead of values.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    text: str = ""
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    stacked: bool = False
    thresholds: Sequence[tuple[float, str]] = ()
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)


Rows = Sequence[tuple[str, Sequence[Panel]]]


def stat(
    title: str,
    query: str,
    unit: str = "short",
    text: str = "",
    thresholds: Sequence[tuple[float, str]] = (),
    mappings: dict[str, tuple[str, str]] | None = None,
    legend: str = "",
) -> Panel:
    """One figure, in a sixth of a row."""
    return Panel(title, [(query, legend)], unit, text, "stat", 4, 4, False, thresholds, mappings or {})


def quantile(share: float, metric: str, by: str, scope: str = AGENT, more: str = "") -> str:
    """The value below which this share of a histogram's observations lies, for each `by`."""
    grouped = ", ".join(filter(None, [by, "le"]))
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({metric}_bucket{{{scope}{more}}}{RATE})))"


def rate(metric: str, by: str, scope: str = AGENT, more: str = "") -> str:
    """How much a counter grows a second, for each `by`."""
    return f"sum by ({by}) (rate({metric}{{{scope}{more}}}{RATE}))"
