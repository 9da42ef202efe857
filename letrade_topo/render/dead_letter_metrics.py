"""What a look at dead letters found, as a file that Prometheus' node exporter reads (its textfile collector).

All of it is as of the last look: alerts need its moment, which is there, too. Labels have no other values than the
topology's name, the queue's and the words of reasons; what a publisher could make up is `_other`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from letrade_topo import files
from letrade_topo.keys.reasons import Reason
from letrade_topo.queues.sessions import Looked
from letrade_topo.queues.summary import Summary

BROKERS_REASONS: Final = ("rejected", "expired", "maxlen", "delivery_limit", "unknown")
"""What brokers write, and what an agent says of a death that nobody recorded."""
OTHER: Final = "_other"
_FOR_EVERYONE: Final = 0o644
"""The node exporter is another user."""
_REASONS = (*BROKERS_REASONS, *(reason.value for reason in Reason if reason.value not in BROKERS_REASONS))


def write_metrics(path: Path, topology: str, queue: str, looked: Looked, summary: Summary, now: float) -> None:
    """Write the file, at once and whole.

    Args:
        path: ends with `.prom`, or the node exporter does not read it.
        topology: its name.
        queue: that was looked into.
        looked: what could be seen.
        summary: of what filters chose.
        now: seconds since the epoch.

    Raises:
        CannotWrite: it cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    labels = ("topology", "queue")

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(f"letrade_topo_dead_letters_{name}", text, labels, registry=registry).labels(topology, queue).set(value)

    reasons: Counter[str] = Counter(dict.fromkeys((*_REASONS, OTHER), 0))
    for reason, count in summary.reasons.items():
        reasons[reason if reason in reasons else OTHER] += count
    counts = Gauge(
        "letrade_topo_dead_letters", "Dead letters, by the word for why.", (*labels, "reason"), registry=registry
    )
    for reason, count in reasons.items():
        counts.labels(topology, queue, reason).set(count)
    gauge("oldest_age_seconds", "Since when the oldest is dead; 0: there is none.", summary.oldest or 0.0)
    gauge("unseen", "Messages that could not be looked at, because others held them.", looked.unseen)
    gauge("last_scan_timestamp_seconds", "When this was so.", now)
    files.write(path, generate_latest(registry), mode=_FOR_EVERYONE)
