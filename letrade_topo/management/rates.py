"""How many messages a second come into and go out of queues, by the broker's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused


@dataclass(frozen=True, slots=True)
class QueueRates:
    """Messages a second, averaged by the broker over its last interval of statistics.

    Args:
        arriving: published to the queue.
        delivered: to consumers, or taken by `basic.get`.
    """

    arriving: float
    delivered: float


def read_queue_rates(client: ManagementClient, vhost: str) -> Mapping[str, QueueRates]:
    """The rates of every queue that had any message yet, in one call; none where statistics are disabled.

    Raises:
        BrokerError: the broker does not answer.
    """
    try:
        found = client.queue_statistics(vhost)
    except BrokerRefused:
        return {}
    return {item["name"]: _rates(item["message_stats"]) for item in found if item.get("message_stats")}


def _rates(statistics: JsonObject) -> QueueRates:
    return QueueRates(*(_rate(statistics.get(f"{name}_details")) for name in ("publish", "deliver_get")))


def _rate(details: JsonObject | None) -> float:
    return float((details or {}).get("rate", 0.0))
