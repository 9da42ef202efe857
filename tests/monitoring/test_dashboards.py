"""The dashboards as files: what a Grafana needs, and metrics that exist. test_prometheus.py asks their questions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.monitoring.rules import OURS, dashboards, family
from tests.monitoring.test_alerts import known_metrics

NAMES = ("agents.json", "dead-letters.json", "topology.json")


def targets(name: str) -> Iterator[tuple[str, str]]:
    """Title and expression of every question."""
    for panel in dashboards()[name]["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_which_there_are() -> None:
    """Each has a uid of its own, so that links to it last."""
    assert tuple(dashboards()) == NAMES
    assert len({one["uid"] for one in dashboards().values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_exists(name: str) -> None:
    """A panel on a metric that nobody exports is empty for ever, which looks like good news."""
    named = {family(metric) for _, expression in targets(name) for metric in OURS.findall(expression)}

    assert named <= known_metrics()


@pytest.mark.parametrize("name", NAMES)
def test_panels(name: str) -> None:
    """Titled, on the chosen data source, side by side without overlap."""
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboards()[name]["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"]
        for cell in _cells(panel["gridPos"]):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            assert 0 <= cell[0] < 24
            taken[cell] = panel["title"]


def _cells(place: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
