"""Who answers at the address: this service's agent, another's, or a broker."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from letrade_topo.bus import ConfigurationError, MessageBus
from tests.brokers import RunningBroker
from tests.bus.small import running_small
from tests.bus.world import LIMIT_SECONDS, BusWorld, healthy, run, until

pytestmark = pytest.mark.one_version


@pytest.fixture(scope="module")
def small(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusWorld]:
    """The small topology; one agent."""
    with running_small(broker, tmp_path_factory.mktemp("small-"), "maker") as world:
        path = f"/api/permissions/{quote(world.vhost, safe='')}/{broker.username}"
        assert broker.api("PUT", path, json={"configure": ".*", "write": ".*", "read": ".*"}).ok
        yield world


def straight(world: BusWorld, service: str) -> MessageBus:
    """A bus at the broker itself."""
    login = f"{quote(world.broker.username)}:{quote(world.broker.password)}"
    url = f"amqps://{login}@127.0.0.1:{world.broker.amqps_port}?cafile={world.broker.ca_file}"
    return MessageBus(service=service, topology=world.topology, url=url)


def test_another_services_agent(small: BusWorld) -> None:
    """It would sign with the other's name."""
    agent = small.agents["maker"]
    bus = MessageBus(service="taker", topology=small.topology, url=f"amqp://127.0.0.1:{agent.port}")
    with pytest.raises(ConfigurationError, match="stands beside 'maker', and this is 'taker'"):
        run(lambda: _connect(bus))


def test_a_broker_where_messages_have_to_be_signed(small: BusWorld) -> None:
    """It names the exchanges, and what to do."""
    with pytest.raises(ConfigurationError, match="is a broker, not an agent") as raised:
        run(lambda: _connect(straight(small, "taker")))
    assert "letrade-agent run --service taker" in raised.value.fix
    assert small.broker.password not in str(raised.value)


def test_a_broker_where_nothing_has_to_be_signed(small: BusWorld) -> None:
    """A service all of whose exchanges have `mode: off` needs no agent."""
    seen: list[str] = []

    async def scenario() -> None:
        async with straight(small, "noter") as bus:
            await bus.subscribe("open.note", lambda topic, message: seen.append(message["text"]))
            await bus.publish("open", "note", {"text": "hello"})
            await until(lambda: seen == ["hello"], "it arrives")
            health = await healthy(bus, lambda health: health["status"] == "ok", "all is well")
        assert (health["agent"], health["queue_depth"]) == (None, 0)

    run(scenario)


async def _connect(bus: MessageBus) -> None:
    await bus.connect(timeout=LIMIT_SECONDS)
