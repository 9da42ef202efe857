"""What a subscription is given is looked at before anything is consumed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from letrade_topo.bus import MessageBus
from letrade_topo.bus.subscription import check_handling
from tests.topologies import SHIPPED


async def two(topic: str, message: dict[str, Any]) -> None:
    """As the contract has it."""


async def one(message: dict[str, Any]) -> None:
    """As somebody might think."""


class HandlingService:
    """With a method for a handler."""

    def handle(self, topic: str, message: dict[str, Any]) -> None:
        """Two besides itself."""


@pytest.mark.parametrize(
    "handler",
    [two, print, HandlingService().handle, partial(print, "x"), lambda *all_of_it: None, lambda t, m, more=1: None],
)
def test_whatever_takes_topic_and_message(handler: Any) -> None:
    """Functions, methods, partial ones, built-in ones."""
    check_handling(handler, 1, 50)


@pytest.mark.parametrize(
    ("handler", "said"), [(one, r"one\(message"), (partial(two, "x"), "topic and message"), ("two", "of type str")]
)
def test_another_handler_is_refused_at_once(handler: Any, said: str) -> None:
    """Else each message would be rejected, and end among the dead letters."""
    with pytest.raises(TypeError, match=said):
        check_handling(handler, 1, 50)


@pytest.mark.parametrize(("concurrency", "prefetch"), [(0, 50), (-1, 50), (1, 0), (1, 65_536)])
def test_numbers_out_of_bounds_are_refused(concurrency: int, prefetch: int) -> None:
    """Without a handler that runs, nothing would ever be handled."""
    with pytest.raises(ValueError, match="has to be between"):
        check_handling(two, concurrency, prefetch)


def test_the_bus_looks() -> None:
    """Of subscribe and respond, before anything else."""
    bus = MessageBus(service="strategy", topology=SHIPPED)
    for call in (bus.subscribe("events.error", one), bus.respond("request.market_data", one)):  # type: ignore[arg-type]  # the mistake
        with pytest.raises(TypeError):
            call.send(None)
