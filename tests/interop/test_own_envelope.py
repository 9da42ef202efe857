"""A service whose own message-bus code writes an envelope of its own, on aio-pika by its defaults, under `enforce`."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from letrade_topo.messages.envelope import Envelope, EnvelopeProperties, check_envelope
from tests.brokers import RunningBroker
from tests.interop.bus import QUEUE, running_bus
from tests.interop.client import LIMIT_SECONDS

KEY = "order.placed"


def own_envelope(payload: dict[str, Any]) -> bytes:
    """As such services write it."""
    document = {"timestamp": datetime.now(UTC).isoformat(), "routing_key": KEY, "payload": payload}
    return json.dumps(document).encode()


async def publish(url: str, body: bytes) -> bool:
    """True when nothing was raised."""
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("orders", aio_pika.ExchangeType.TOPIC, durable=True)
        message = aio_pika.Message(
            body, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        try:
            await exchange.publish(message, routing_key=KEY)
        except aio_pika.exceptions.DeliveryError:
            return False
    return True


async def consume(url: str) -> aio_pika.abc.AbstractIncomingMessage:
    """The next message."""
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE)
        async with queue.iterator(timeout=LIMIT_SECONDS) as messages:
            async for message in messages:
                async with message.process():
                    return message
    raise AssertionError("nothing came")


@pytest.mark.one_version
def test_its_messages_arrive_signed_and_verified(broker: RunningBroker, tmp_path: Path) -> None:
    """Not a line of it is changed; of what its schema refuses it learns by an exception."""
    body = own_envelope({"number": 7})
    with running_bus(broker, tmp_path, exchanges={"orders": {"envelope": "complete"}}) as bus:
        assert not asyncio.run(publish(bus.shop.url, own_envelope({"number": "seven"})))
        assert asyncio.run(publish(bus.shop.url, body))

        arrived = asyncio.run(consume(bus.clerk.url))

        assert arrived.body.endswith(body[1:])
        checked = check_envelope(arrived.body, EnvelopeProperties(app_id=(arrived.app_id or "").encode()), "shop")
        assert isinstance(checked, Envelope)
        assert checked.document["routing_key"] == KEY
        assert bus.shop.metric("messages_rejected_total") == 1
