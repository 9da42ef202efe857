"""From plain counts to metric families of prometheus_client: names get their prefix, known labels their 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily

from letrade_agent.measures import Histogram

PREFIX: Final = "letrade_agent_"

Labels = tuple[str, ...]
Key = TypeVar("Key", bound=Labels)


def counter(
    name: str, text: str, labels: Sequence[str] = (), counts: Mapping[Key, float] | float = 0
) -> CounterMetricFamily:
    """A counter; its samples get `_total` at the end."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, count in _by_labels(counts).items():
        family.add_metric(key, count)
    return family


def gauge(
    name: str, text: str, labels: Sequence[str] = (), values: Mapping[Key, float] | float = 0
) -> GaugeMetricFamily:
    """A gauge."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in _by_labels(values).items():
        family.add_metric(key, value)
    return family


def histogram(
    name: str,
    text: str,
    bounds: Sequence[float],
    labels: Sequence[str] = (),
    found: Mapping[str, Histogram] | Histogram | None = None,
    known: Iterable[str] = (),
) -> HistogramMetricFamily:
    """A histogram, with at most one label.

    Args:
        name: without the prefix.
        text: what it measures.
        bounds: of the buckets.
        labels: the name of the label, if it has one.
        found: observations, by the label's value if there is one.
        known: values of the label that are there although nothing was observed.
    """
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    if isinstance(found, Histogram):
        family.add_metric((), buckets=_cumulated(found), sum_value=found.total)
        return family
    observed = dict(found or {})
    for value in dict.fromkeys([*known, *observed]):
        one = observed.get(value) or Histogram(tuple(bounds))
        family.add_metric((value,), buckets=_cumulated(one), sum_value=one.total)
    return family


def by_one(counts: Mapping[str, float], known: Iterable[str]) -> dict[Labels, float]:
    """Counts by one label, the known values first and at least 0."""
    return {(name,): 0 for name in known} | {(name,): count for name, count in list(counts.items())}


def _by_labels(values: Mapping[Key, float] | float) -> dict[Labels, float]:
    return dict(values.items()) if isinstance(values, Mapping) else {(): values}


def _cumulated(found: Histogram) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Each bucket's bound and count, and its exemplar where there is one, which only OpenMetrics shows."""
    total = 0
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for place, (bound, count) in enumerate(zip((*found.bounds, float("inf")), found.counts, strict=True)):
        total += count
        text, kept = "+Inf" if bound == float("inf") else str(bound), found.exemplars.get(place)
        if kept is None:
            buckets.append((text, float(total)))
        else:
            exemplar = Exemplar({"trace_id": kept.trace}, kept.value, kept.moment)
            buckets.append((text, float(total), exemplar))
    return buckets
