"""Filters are put together from what the agent loaded, and only for a service that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from letrade_agent.filters.build import UnknownService
from letrade_agent.filters.verdicts import Failed, Shown

from letrade_topo.messages.schema import InvalidSchema
from tests.agent.filters.world import agent, delivery, envelope, header, publish
from tests.keys.world import NOW
from tests.topologies import loaded, orders


def test_a_service_that_the_topology_does_not_have() -> None:
    """The names that there are, so that a typing error is seen at once."""
    with pytest.raises(UnknownService) as caught:
        agent("startegy", without_keys=True)
    assert "strategy" in str(caught.value)


def test_limits_are_the_topologys() -> None:
    """`limits.message_size`, not a constant."""
    shop = agent("shop", model=loaded(orders(limits={"message_size": "1KiB"})))
    admit = shop.outbound.admit
    assert admit(publish(b"orders", b"order.placed"), header(size=1024)) is None
    refusal = admit(publish(b"orders", b"order.placed"), header(size=1025))
    assert refusal is not None
    assert "1025" in refusal.text
    assert "1024" in refusal.text


@pytest.mark.parametrize(("leeway", "late", "accepted"), [("5s", 64, True), ("5s", 66, False), ("1s", 63, False)])
def test_the_leeway_is_the_topologys(leeway: str, late: int, accepted: bool) -> None:
    """`security.jwt.leeway`."""

    model = loaded(orders(security={"jwt": {"leeway": leeway}, "tls": {"client_certificates": True}}))
    body = envelope({}, source="shop")
    (payload,) = agent("shop", model=model).seal((publish(b"orders", b"order.placed"), header(body), body))
    arrived = delivery(payload, body, queue="clerk.orders", exchange=b"orders", routing_key=b"order.placed")
    verdict = agent("clerk", model=model).examine(arrived, NOW + late)
    assert isinstance(verdict, Shown if accepted else Failed)


def test_a_schema_that_cannot_be_compiled_is_an_error_of_the_topology() -> None:
    """The reload that brings it is refused, and the old filters stay."""
    model = loaded(orders())
    message = next(iter(model.messages.values()))
    broken = replace(message, schema={"type": 5})
    with pytest.raises(InvalidSchema):
        agent("shop", model=replace(model, messages={**model.messages, message.name: broken}))
