"""What a permission by beginning or shape covers beyond the topology is told."""

from __future__ import annotations

from letrade_topo.broker.objects import BrokerObject, Exchange, Queue
from letrade_topo.broker.state import QueueStatus
from tests.load.crowds import digest
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, orders


def many(count: int) -> Document:
    """The orders topology, shared, with that many queues of its clerk."""
    queue = {"service": "clerk", "messages": ["order.placed"], "retry": "none"}
    return orders(ownership="shared", queues={f"clerk.{digest(number)}": queue for number in range(count)})


def told(world: PlanWorld) -> list[str]:
    """The texts of the notices."""
    return [notice.text for notice in world.plan().told if notice.name == "wide-permission"]


def test_a_queue_of_somebody_else_in_a_services_namespace_is_told() -> None:
    """For a permission by beginning, with how many and one of them; a list covers nothing else."""
    foreign: list[BrokerObject] = [Queue("clerk.by_hand"), Exchange("clerk.x", "fanout"), Queue("other.by_hand")]
    assert told(PlanWorld.in_sync(many(3)).add(*foreign)) == []
    world = PlanWorld.in_sync(many(300))
    assert told(world) == []
    (text,) = told(world.add(*foreign))
    assert "the read permission of 'orders-clerk' also covers queue:clerk.by_hand and 1 more" in text


def test_what_clients_make_and_what_goes_is_not_told() -> None:
    """Run-time queues are the service's by right, and what the plan deletes is gone with it."""
    world = PlanWorld.in_sync(many(301)).declare(many(300))
    world.add(Queue("clerk.reply.1"), Queue("clerk.gone", auto_delete=True), Queue("clerk.mine"))
    world.status["clerk.mine"] = QueueStatus(exclusive=True)
    assert told(world) == []
