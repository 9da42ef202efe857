"""Bodies as large as a topology lets them be: one limit, for what is published and for what is delivered."""

from __future__ import annotations

from pathlib import Path

import pika
import pytest

from tests.brokers import BrokerFactory
from tests.interop.bus import QUEUE, envelope, number_of, running_bus
from tests.interop.client import LIMIT_SECONDS

MEBIBYTE = 1024 * 1024
KEY = "order.placed"


@pytest.mark.wide
def test_a_limit_over_sixteen_mebibytes_holds_both_ways(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path
) -> None:
    """What was confirmed is delivered, to the byte; a broker has to be told of such sizes, too."""
    broker = start_broker(one_broker_version, extra_configuration=(f"max_message_size = {64 * MEBIBYTE}",))
    with running_bus(broker, tmp_path, limits={"message_size": "20MiB"}) as bus:
        body = envelope("shop", 1, note="x" * (17 * MEBIBYTE))
        with pika.BlockingConnection(bus.shop.parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("orders", KEY, body)
            with pytest.raises(pika.exceptions.NackError):
                channel.basic_publish("orders", KEY, envelope("shop", 2, note="x" * (20 * MEBIBYTE)))
            channel.basic_publish("orders", KEY, envelope("shop", 3))
        with pika.BlockingConnection(bus.clerk.parameters) as connection:
            channel = connection.channel()
            arrived = []
            for method, _, found in channel.consume(QUEUE, inactivity_timeout=LIMIT_SECONDS):
                assert method is not None
                channel.basic_ack(method.delivery_tag)
                arrived.append(found)
                if len(arrived) == 2:
                    break
        assert arrived[0] == body
        assert number_of(arrived[1]) == 3
        assert bus.clerk.metric("messages_rejected_total", direction="deliver", reason="oversize") == 0
