"""Clients that are built before they run, by their defaults: Go, Java, Spring, Dapr. The others: tests/clients."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.brokers import BrokerFactory
from tests.clients.built import go_program, java_program
from tests.clients.libraries import BUILT
from tests.clients.program import ClientProgram, running_program
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


_STREAM_QUEUE = "orders.clerk"
"""The binder's destination, which is the exchange, and its group."""
_LOSES = "'republishToDlq' is true, but the 'DLX' dead letter exchange is not present"


@pytest.mark.one_version
@pytest.mark.long_form
def test_spring_cloud_stream(
    start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path, summarise: Summarise
) -> None:
    """Its declares are answered; by its defaults it loses what fails, and hides a refusal, and with the lines neither.

    While its agent drains it goes on, and it connects again by itself.
    """
    command = java_program("stream.StreamClient")
    broker = start_broker(one_broker_version)
    with running_client_world(broker, tmp_path, ["stream"], {"stream": _STREAM_QUEUE}) as world, ExitStack() as stack:
        key, agent = key_of("stream"), world.agents["shop"]

        def start(role: str, *where: str) -> ClientProgram:
            program = stack.enter_context(running_program(f"stream, {role}", [*command, role, *where], tmp_path))
            program.until_said("ready")
            return program

        def is_empty() -> bool:
            return not any(ready + unacknowledged for ready, unacknowledged, _ in world.depths().values())

        by_default = start("consume", world.url("clerk"), "clerk")
        publisher = start("publish", world.url("shop"), EXCHANGE, "plain")
        publisher.give(key, order(1))
        by_default.until_said("did 1")
        publisher.give(key, order(100))
        by_default.until(lambda: any(_LOSES in line for line in by_default.said), "it gives up")
        publisher.give(key, order(101))
        by_default.until_said("got 101", 3)
        wait_until(is_empty, "both are acknowledged")
        assert by_default.said.count("got 100") == 3, str(by_default)
        assert world.dead_letters() == []
        publisher.give(key, order_refused())
        publisher.until_said("ok", 4)
        wait_until(lambda: agent.metric("messages_rejected_total", reason="schema") == 1, "it is refused")
        for program in (by_default, publisher):
            program.process.kill()
        alone = [*command, "consume", world.url("clerk"), ""]
        without_group = stack.enter_context(running_program("stream, without group", alone, tmp_path))
        refusal = "configure access to queue 'orders.anonymous."
        without_group.until(lambda: any(refusal in line for line in without_group.said), "its queue is refused")
        without_group.process.kill()

        consumer = start("consume", world.url("clerk"), "clerk", "line")
        publisher = start("publish", world.url("shop"), EXCHANGE, "confirms")
        publisher.give(key, order(100))
        publisher.until_said("ok")
        consumer.until(lambda: bool(world.dead_letters()), "it is dead")
        assert consumer.said.count("got 100") == 2, str(consumer)
        publisher.give(key, order_refused())
        publisher.until(lambda: any(line.startswith("refused") for line in publisher.said), "it learns of it")

        publisher.give(key, order(200))
        consumer.until_said("got 200")
        clerk = world.agents["clerk"]
        clerk.signal(signal.SIGTERM)
        wait_until(lambda: clerk.admin("/readyz").status_code == 503, "it drains")
        (tmp_path / "go").touch()
        consumer.until_said("did 200")
        publisher.give(key, order(2))
        consumer.until_said("did 2")
        wait_until(lambda: world.depths()[_STREAM_QUEUE][:2] == (0, 0), "everything is acknowledged")
        clerk.signal(signal.SIGTERM)
        assert clerk.wait() == 0
        world.start("clerk")
        publisher.give(key, order(3))
        consumer.until_said("did 3")
        assert consumer.said.count("got 200") == 1, str(consumer)
    summarise("Spring Cloud Stream", broker.version, "its declares answered; nothing lost with the lines")
