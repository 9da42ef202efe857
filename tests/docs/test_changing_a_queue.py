"""`docs/how-to/change-a-queue.md`, followed word by word."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.brokers import BrokerFactory
from tests.docs.follower import HOW_TO, Follower, blocks

PAGE = (HOW_TO / "change-a-queue.md").read_text(encoding="utf-8")
DIFFERENT = {
    "letrade-topo plan shop.yaml --allow migrate": 2,
    "letrade-topo apply shop.yaml --yes --abort-migration queue:billing": 77,
}


def test_the_page(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """The queue is a quorum queue in the end, with a message that it held before."""
    broker = start_broker(one_broker_version)
    (topology,) = blocks(PAGE, "yaml")
    (tmp_path / "shop.yaml").write_text(topology, encoding="utf-8")
    with ExitStack() as stack:
        environment = {"LETRADE_TOPO_AMQP": broker.amqps_url}
        one = Follower(PAGE, broker, tmp_path, stack, 0, 0, {}, DIFFERENT, environment)
        one.follow("# Change what", "## See")
        held = {"routing_key": "order.placed", "payload": "1", "payload_encoding": "string", "properties": {}}
        assert broker.api("POST", "/api/exchanges/shop/orders/publish", json=held).json()["routed"]
        one.follow("## See")
    queue = broker.api("GET", "/api/queues/shop/billing").json()
    assert queue["type"] == "quorum"
    question = {"count": 2, "ackmode": "ack_requeue_false", "encoding": "auto"}
    (message,) = broker.api("POST", "/api/queues/shop/billing/get", json=question).json()
    assert (message["payload"], message["routing_key"]) == ("1", "order.placed")
