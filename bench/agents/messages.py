"""The messages that are sent: envelopes of 500 bytes, and the topology that declares them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final

PUBLISHER: Final = "bench_publisher"
CONSUMER: Final = "bench_consumer"
EXCHANGE: Final = "bench.events"
KEY: Final = "events.tick"
QUEUE: Final = f"{CONSUMER}.tick"
VHOST: Final = "bench"
ENVELOPE_BYTES: Final = 500

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["exchange", "symbol", "price", "volume", "side", "sent_at"],
    "properties": {
        "exchange": {"type": "string", "minLength": 1},
        "symbol": {"type": "string", "pattern": "^[A-Z]+-[A-Z]+$"},
        "price": {"type": "number", "exclusiveMinimum": 0},
        "volume": {"type": "number", "minimum": 0},
        "side": {"enum": ["buy", "sell"]},
        "sent_at": {"type": "number"},
        "note": {"type": "string"},
    },
}


def topology() -> dict[str, Any]:
    """One exchange, one type, one classic queue, so that the broker's disk is not what is measured."""
    return {
        "topology": 1,
        "name": "bench",
        "vhost": VHOST,
        "security": {"tls": {"client_certificates": True}},
        "exchanges": {EXCHANGE: {}},
        "messages": {KEY: {"exchange": EXCHANGE, "lifetime": "24h", "schema": _SCHEMA}},
        "services": {PUBLISHER: {"publishes": [KEY]}, CONSUMER: {"consumes": [KEY]}},
        "queues": {
            QUEUE: {"service": CONSUMER, "messages": [KEY], "type": "classic", "retry": "none", "dead_letter": "none"}
        },
    }


def envelope(sent_at: float, size: int = ENVELOPE_BYTES) -> bytes:
    """One message.

    Args:
        sent_at: seconds of the monotonic clock, which all processes of a machine share.
        size: of the whole, in bytes.
    """
    payload = {
        "exchange": "binance",
        "symbol": "BTC-USDT",
        "price": 61234.5,
        "volume": 0.25,
        "side": "buy",
        "sent_at": sent_at,
        "note": "",
    }
    document = {
        "message_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": PUBLISHER,
        "payload": payload,
    }
    missing = size - len(json.dumps(document))
    payload["note"] = "x" * max(0, missing)
    return json.dumps(document).encode()
