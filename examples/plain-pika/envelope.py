"""What every message of the bus looks like: an envelope with who sent it and when, around the payload."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any


def now() -> str:
    """This moment as the bus writes it: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wrap(source: str, payload: dict[str, Any]) -> bytes:
    """The body of a message."""
    envelope = {"message_id": str(uuid.uuid4()), "timestamp": now(), "source": source, "payload": payload}
    return json.dumps(envelope).encode()


def unwrap(body: bytes) -> dict[str, Any]:
    """The payload of a message. That it is complete and from whom it says, the agent has checked."""
    payload: dict[str, Any] = json.loads(body)["payload"]
    return payload
