"""Clients that are built before they run, by their defaults: Go, Java, Spring. The others: tests/clients."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.brokers import BrokerFactory
from tests.clients.built import go_program
from tests.clients.libraries import BUILT
from tests.clients.program import running_program
from tests.clients.publishing import order_refused, publish_good_and_refused
from tests.clients.staying import stay
from tests.clients.world import EXCHANGE, key_of, order, running_client_world, wait_until
from tests.soak.conftest import Summarise


@pytest.mark.one_version
@pytest.mark.long_form
def test_clients_that_are_built(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path, summarise: Summarise
) -> None:
    """Each does what its row says."""
    for library in BUILT:
        library.command()
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, [library.slug for library in BUILT]) as world:
        for library in BUILT:
            publish_good_and_refused(world, library)
        stay(broker, world, BUILT)
    names = ", ".join(f"{library.name} {library.version()}" for library in BUILT)
    summarise("clients by their defaults", broker.version, names)


_DAPR_QUEUE = "clerk-orders"
"""The component's consumer id, and its topic, which is the exchange."""


@pytest.mark.one_version
@pytest.mark.long_form
def test_daprs_component(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path, summarise: Summarise
) -> None:
    """Its declares are answered, messages come, what cannot be handled is dead; of a refusal it says nothing."""
    command = go_program("dapr")
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, ["dapr"], {"dapr": _DAPR_QUEUE}) as world, ExitStack() as stack:
        consume = [*command, "consume", world.url("clerk"), "clerk"]
        publish = [*command, "publish", world.url("shop"), EXCHANGE, "confirms"]
        consumer = stack.enter_context(running_program("dapr, consumer", consume, tmp_path))
        publisher = stack.enter_context(running_program("dapr, publisher", publish, tmp_path))
        for program in (consumer, publisher):
            program.until_said("ready")
        publisher.give(key_of("dapr"), order(1))
        consumer.until_said("did 1")
        publisher.give(key_of("dapr"), order(100))
        consumer.until(lambda: bool(world.dead_letters()), "it is dead")
        assert consumer.said.count("got 100") == 2, str(consumer)
        publisher.give(key_of("dapr"), order_refused())
        publisher.until_said("ok", 3)
        agent = world.agents["shop"]
        wait_until(lambda: agent.metric("messages_rejected_total", reason="schema") == 1, "it is refused")
        publisher.give(key_of("dapr"), order(2))
        consumer.until_said("did 2")
    summarise("Dapr's pubsub component", broker.version, "its declares answered; a refusal hidden by it")
