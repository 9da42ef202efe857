"""Topologies with queues that change, and what a broker holds of them."""

from __future__ import annotations

from typing import Any

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, write

CLASSIC: dict[str, Any] = {"type": "classic", "overflow": "none"}
AT_LEAST_ONCE: dict[str, Any] = {
    "overflow": "reject-publish",
    "dead_letter": {"exchange": "dead", "strategy": "at-least-once"},
}
LIMITED: dict[str, Any] = {"arguments": {"x-max-length": 1_000_000}}

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "type": (CLASSIC, {"type": "quorum", "overflow": "none"}),
    "target": (AT_LEAST_ONCE, {"overflow": "reject-publish"}),
    "ttl": (CLASSIC | {"message_ttl": "1h"}, CLASSIC | {"message_ttl": "2h"}),
    "overflow": (CLASSIC | LIMITED, CLASSIC | LIMITED | {"overflow": "reject-publish"}),
    "priorities": (CLASSIC | {"max_priority": 9}, CLASSIC),
    "single": (CLASSIC, CLASSIC | {"single_active_consumer": True}),
}
"""What a queue is before and after."""


def topology(vhost: str, queues: dict[str, dict[str, Any]]) -> Document:
    """One exchange, queues with two bindings each, no services."""
    bindings = [
        {"source": "events", "queue": name, "routing_key": key} for name in queues for key in (f"{name}.#", f"*.{name}")
    ]
    return {
        "topology": 1,
        "name": vhost,
        "vhost": vhost,
        "ownership": "exclusive",
        "exchanges": {"events": {}, "dead": {"type": "fanout"}},
        "queues": {**queues, "dead.letters": CLASSIC},
        "bindings": [*bindings, {"source": "dead", "queue": "dead.letters"}],
    }


def apply(tool: Tool, document: Document, *options: str) -> str:
    """Make it so."""
    write(tool.folder / "topology.yaml", document)
    answer = tool.run("apply", "--yes", *options).check(0)
    return answer.out + answer.err


def objects(broker: RunningBroker, vhost: str) -> dict[str, Any]:
    """Queues, exchanges and bindings, as far as somebody declared them."""
    queues = broker.api("GET", f"/api/queues/{vhost}?disable_stats=true").json()
    exchanges = broker.api("GET", f"/api/exchanges/{vhost}?disable_stats=true").json()
    bindings = broker.api("GET", f"/api/bindings/{vhost}").json()
    return {
        "queues": {one["name"]: one["arguments"] for one in queues},
        "exchanges": sorted(one["name"] for one in exchanges),
        "bindings": sorted((one["source"], one["destination"], one["routing_key"]) for one in bindings),
    }
