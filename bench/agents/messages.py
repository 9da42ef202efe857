"""The messages that are sent, ticks of 500 bytes and trade commands of the contract, and their topology."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import yaml

PUBLISHER: Final = "bench_publisher"
CONSUMER: Final = "bench_consumer"
EXCHANGE: Final = "bench.events"
KEY: Final = "events.tick"
QUEUE: Final = f"{CONSUMER}.tick"
TRADE_EXCHANGE: Final = "bench.commands"
TRADE_KEY: Final = "commands.execute_trade"
TRADE_QUEUE: Final = f"{CONSUMER}.execute_trade"
NEIGHBOURS: Final = "bench_neighbours"
"""A service whose clients publish and consume through one agent."""
PULSE_KEY: Final = "events.pulse"
PULSE_QUEUE: Final = f"{NEIGHBOURS}.pulse"
NOISE_KEY: Final = "events.noise"
NOISE_QUEUE: Final = f"{NEIGHBOURS}.noise"
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


class MessageKind(Enum):
    """What is sent: exchange, routing key, queue."""

    TICK = (EXCHANGE, KEY, QUEUE)
    """500 bytes with a schema, nothing encrypted; a classic queue: the broker's disk is not what is measured."""
    TRADE = (TRADE_EXCHANGE, TRADE_KEY, TRADE_QUEUE)
    """The contract's own `commands.execute_trade`: five encrypted fields, a quorum queue."""
    PULSE = (EXCHANGE, PULSE_KEY, PULSE_QUEUE)
    """A tick of the good client among neighbours."""
    NOISE = (EXCHANGE, NOISE_KEY, NOISE_QUEUE)
    """A tick of one of its neighbours, with a queue of its own."""

    @property
    def exchange(self) -> str:
        """Where it is published."""
        return self.value[0]

    @property
    def key(self) -> str:
        """With which routing key."""
        return self.value[1]

    @property
    def queue(self) -> str:
        """Where it arrives."""
        return self.value[2]

    def body(self, sent_at: float) -> bytes:
        """One message.

        Args:
            sent_at: seconds of the monotonic clock, which all processes of a machine share.
        """
        match self:
            case MessageKind.TICK:
                return envelope(sent_at)
            case MessageKind.TRADE:
                return trade(sent_at)
            case MessageKind.PULSE | MessageKind.NOISE:
                return envelope(sent_at, source=NEIGHBOURS)


def topology() -> dict[str, Any]:
    """All kinds; the trade command as in the shipped topology, but for who sends and takes it."""
    shipped = yaml.safe_load((Path(__file__).parents[2] / "topology.yaml").read_text(encoding="utf-8"))
    command = dict(shipped["messages"][TRADE_KEY]) | {"exchange": TRADE_EXCHANGE, "lifetime": "24h"}
    types = [KEY, TRADE_KEY]
    plain = {"type": "classic", "retry": "none", "dead_letter": "none"}
    return {
        "topology": 1,
        "name": "bench",
        "vhost": VHOST,
        "security": {"tls": {"client_certificates": True}},
        "exchanges": {EXCHANGE: {}, TRADE_EXCHANGE: {}},
        "messages": {
            KEY: {"exchange": EXCHANGE, "lifetime": "24h", "schema": _SCHEMA},
            TRADE_KEY: command,
            PULSE_KEY: {"exchange": EXCHANGE, "lifetime": "24h", "schema": _SCHEMA},
            NOISE_KEY: {"exchange": EXCHANGE, "lifetime": "24h", "schema": _SCHEMA},
        },
        "services": {
            PUBLISHER: {"publishes": types},
            CONSUMER: {"consumes": types},
            NEIGHBOURS: {"publishes": [PULSE_KEY, NOISE_KEY], "consumes": [PULSE_KEY, NOISE_KEY]},
        },
        "queues": {
            QUEUE: {"service": CONSUMER, "messages": [KEY]} | plain,
            TRADE_QUEUE: {"service": CONSUMER, "messages": [TRADE_KEY]},
            PULSE_QUEUE: {"service": NEIGHBOURS, "messages": [PULSE_KEY]} | plain,
            NOISE_QUEUE: {"service": NEIGHBOURS, "messages": [NOISE_KEY]} | plain,
        },
    }


def envelope(sent_at: float, size: int = ENVELOPE_BYTES, source: str = PUBLISHER) -> bytes:
    """A tick.

    Args:
        sent_at: as of `MessageKind.body`.
        size: of the whole, in bytes.
        source: who says to have sent it.
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
    document = _document(payload, source)
    missing = size - len(json.dumps(document))
    payload["note"] = "x" * max(0, missing)
    return json.dumps(document).encode()


def trade(sent_at: float) -> bytes:
    """A trade command, as in the contract; when it was sent stands where the contract lets one write freely."""
    payload = {
        "strategy_id": 123,
        "request_id": f"{sent_at!r}",
        "exchange": "binance",
        "symbol": "BTC/USDT",
        "order_type": "limit",
        "side": "buy",
        "amount": 0.01,
        "price": 50000.0,
        "stop_loss": 49000.0,
        "take_profit": 52000.0,
        "client_order_id": "strategy_123_order_1",
    }
    return json.dumps(_document(payload, PUBLISHER)).encode()


def sent_at(body: bytes) -> float:
    """When a message was sent."""
    payload = json.loads(body)["payload"]
    return float(payload["sent_at"] if "sent_at" in payload else payload["request_id"])


def _document(payload: dict[str, Any], source: str) -> dict[str, Any]:
    return {
        "message_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "source": source,
        "payload": payload,
    }
