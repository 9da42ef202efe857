"""The plot of latency over rate, of the page of what an agent costs."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from bench.agents.measure import AgentFigures, AtRate

_SERIES = (
    ("straight to the broker", "#5b6770"),
    ("through two plain TLS proxies", "#2a6fbb"),
    ("through two agents", "#c2410c"),
)


def draw(figures: AgentFigures, file: Path) -> None:
    """Draw it.

    Args:
        figures: of one run.
        file: SVG.
    """
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "letrade-topo"  # the same figures, the same bytes
    from matplotlib import pyplot as plt

    shown, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    rows: tuple[tuple[AtRate, ...], ...] = (figures.rates_direct, figures.rates_floor, figures.rates_agents)
    for (name, colour), points in zip(_SERIES, rows, strict=True):
        rates = [point.rate for point in points]
        axes.plot(rates, [point.mean * 1e3 for point in points], marker="o", color=colour, label=f"{name}, mean")
        p99 = [point.p99 * 1e3 for point in points]
        axes.plot(rates, p99, marker=".", linestyle=":", color=colour, label=f"{name}, 99 %")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(rates, [f"{rate:,}" for rate in rates])
    axes.minorticks_off()
    axes.set_xlabel("messages a second")
    axes.set_ylabel("milliseconds from publish to delivery")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    shown.savefig(file, metadata={"Date": None})
    plt.close(shown)
