"""Agents and the broker go away and come back under load: nothing confirmed is lost, nothing is left unsaid."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from letrade_topo.bus import BatchFailed, BusError, Message, MessageBus, NotConnected, OnLoss, Unconfirmed, link
from letrade_topo.load.topology_file import load_topology
from tests.agents import RunningAgent, login_of, make_key_folder, running_agent
from tests.brokers import RunningBroker, running_broker
from tests.bus.small import document
from tests.bus.world import LIMIT_SECONDS, healthy, run, until
from tests.ports import free_ports
from tests.tool import Tool
from tests.topologies import write

LIMIT = 4 * LIMIT_SECONDS


@dataclass
class TwoServices:
    """Two services whose agents can be killed and started again at the same ports."""

    broker: RunningBroker
    folder: Path
    topology: Path
    vhost: str
    keys: Path
    stack: ExitStack
    thread: Executor
    ports: dict[str, tuple[int, int]] = field(default_factory=dict)
    agents: dict[str, RunningAgent] = field(default_factory=dict)

    def start(self, service: str) -> None:
        """Start a service's agent, at its ports."""
        if service not in self.ports:
            first, second = free_ports(2)
            self.ports[service] = first, second
        self.agents[service] = self.stack.enter_context(
            running_agent(
                self.folder,
                service=service,
                topology=self.topology,
                vhost=self.vhost,
                upstream=self.broker.amqps_url,
                ca_file=self.broker.ca_file,
                login=login_of(self.broker, f"{self.vhost}-{service}"),
                keys=self.keys,
                ports=self.ports[service],
            )
        )

    async def aside(self, call: Callable[..., None], *arguments: object) -> None:
        """Call something that takes its time.

        In one thread for all tests: what is started dies with the thread that started it.
        """
        await asyncio.get_running_loop().run_in_executor(self.thread, call, *arguments)

    def kill(self, service: str) -> None:
        """SIGKILL."""
        self.agents[service].signal(signal.SIGKILL)
        self.agents[service].wait()

    def purge(self, queue: str) -> None:
        """Empty a queue."""
        path = f"/api/queues/{quote(self.vhost, safe='')}/{queue}/contents"
        assert self.broker.api("DELETE", path).ok

    def bus(self, service: str) -> MessageBus:
        """A bus of a service."""
        port, admin = self.ports[service]
        return MessageBus(
            service=service, topology=self.topology, url=f"amqp://127.0.0.1:{port}", admin=f"127.0.0.1:{admin}"
        )


@pytest.fixture(scope="module")
def standing(one_broker_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServices]:
    """A broker of this module's own, which can be killed."""
    folder = tmp_path_factory.mktemp("restarts-")
    with running_broker(folder / "broker", one_broker_version) as broker, ExitStack() as stack:
        file = write(folder / "topology.yaml", document(f"small-{uuid4().hex[:8]}"))
        model = load_topology(file).topology
        Tool.at(broker, folder).run("apply", "--yes").check(0)
        broker.sync_metadata()
        thread = stack.enter_context(ThreadPoolExecutor(1))
        one = TwoServices(broker, folder, file, model.vhost, make_key_folder(folder / "keys", model), stack, thread)
        for service in ("maker", "taker"):
            one.start(service)
        yield one


@pytest.fixture
def stage(standing: TwoServices) -> TwoServices:
    """It, whole again whatever the test before did, and with nothing in its queues."""
    if not standing.broker.node.is_running:
        standing.broker.node.start()
    for service, agent in standing.agents.items():
        if agent.process.poll() is not None:
            standing.start(service)
    standing.purge("taker.counted")
    return standing


class Load:
    """Publishes until it is stopped; every call has an end, and what was confirmed is written down."""

    def __init__(self, bus: MessageBus, on_loss: OnLoss) -> None:
        self._bus = bus
        self.on_loss = on_loss
        self._stopped = False
        self.confirmed: set[str] = set()
        self.failed: list[BusError] = []

    async def run(self) -> None:
        """One after the other."""
        number = 0
        while not self._stopped:
            number += 1
            try:
                payload = {"number": number}
                # for as long as agents and brokers may take to start: who waits in vain has failed
                published = self._bus.publish("orders", "counted", payload, on_loss=self.on_loss, timeout=LIMIT)
                self.confirmed.add(await published)
            except (Unconfirmed, NotConnected) as error:
                self.failed.append(error)

    def stop(self) -> None:
        """After the call that is under way."""
        self._stopped = True


def _restart_agent(stage: TwoServices, service: str) -> None:
    stage.kill(service)
    stage.start(service)


def _restart_broker(stage: TwoServices) -> None:
    stage.broker.node.crash()
    stage.broker.node.start()


@pytest.mark.parametrize(
    "restart",
    [
        pytest.param(lambda stage: _restart_agent(stage, "maker"), id="the publisher's agent"),
        pytest.param(lambda stage: _restart_agent(stage, "taker"), id="the consumer's agent"),
        pytest.param(_restart_broker, id="the broker"),
    ],
)
def test_under_load(stage: TwoServices, restart: Callable[[TwoServices], None]) -> None:
    """What was confirmed arrives; both subscriptions are back; every publish ended with a confirm or an exception.

    Whoever asked for republishing saw no exception.
    """
    received: set[str] = set()
    copied: list[int] = []

    async def note(topic: str, message: Message) -> None:
        received.add(message.message_id)

    async def scenario() -> None:
        async with stage.bus("maker") as maker, stage.bus("taker") as taker:
            await taker.subscribe("orders.counted", note)
            await taker.subscribe("*.strategy_1.*", lambda topic, message: copied.append(message["number"]))
            loads = [Load(maker, on_loss) for on_loss in OnLoss for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                for load in loads:
                    group.create_task(load.run())
                await until(lambda: len(received) > 20, "messages flow")
                await stage.aside(restart, stage)
                before = sum(len(load.confirmed) for load in loads)
                flows = f"messages flow again after {before}"
                await until(lambda: sum(len(load.confirmed) for load in loads) > before + 50, flows)
                for load in loads:
                    load.stop()
            confirmed = {message_id for load in loads for message_id in load.confirmed}
            await until(lambda: confirmed <= received, "every confirmed message arrives")
            assert not [load.failed for load in loads if load.on_loss is OnLoss.REPUBLISH and load.failed]
            await _publish_until_heard(maker, copied)
            await until(lambda: not stage.agents["taker"].metric("unsettled_deliveries"), "all is settled")
            await healthy(taker, lambda health: health["status"] == "ok", "all is well")

    run(scenario, LIMIT)


async def _publish_until_heard(maker: MessageBus, copied: list[int]) -> None:
    """A queue of one's own was made again: what is published from then on arrives.

    Before that, a message may still have gone to the queue of the connection that was lost, and ended with it.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    number = 0
    while not copied:
        assert time.monotonic() < deadline, "the ephemeral subscription is not back"
        with suppress(BusError):  # no queue was there for it
            await maker.publish("orders", "orders.strategy_1.placed", {"number": number})
        number += 1
        await asyncio.sleep(0.05)
    await maker.publish("orders", "orders.strategy_1.placed", {"number": number})
    await until(partial(copied.__contains__, number), "what is published now arrives")


def test_a_batch_during_a_restart(stage: TwoServices) -> None:
    """Each of its messages is confirmed or named as failed, and none of them waits for ever."""

    async def scenario() -> None:
        async with stage.bus("maker") as maker:
            batch = [("orders", "counted", {"number": number}) for number in range(3_000)]
            agent = stage.agents["maker"]
            before = agent.metric("messages_total", direction="publish")
            publishing = asyncio.create_task(maker.publish_batch(batch, timeout=15))
            some = before + len(batch) / 10
            await until(lambda: agent.metric("messages_total", direction="publish") > some, "some are published")
            assert not publishing.done()
            await stage.aside(_restart_agent, stage, "maker")
            failures: dict[int, BusError] = {}
            try:
                ids = await publishing
            except BatchFailed as failed:
                failures, ids = failed.failures, list(failed.confirmed.values())
            assert len(failures) + len(ids) == len(batch)
            assert {type(each) for each in failures.values()} <= {Unconfirmed, NotConnected}
        async with stage.bus("taker") as taker:
            received: set[str] = set()
            await taker.subscribe("orders.counted", lambda topic, message: received.add(message.message_id))
            await until(lambda: set(ids) <= received, "every confirmed message is there")

    run(scenario, LIMIT)


def test_while_the_agent_is_away(stage: TwoServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """health_check says so, and a publish waits for as long as it may, then says that nothing was sent."""
    monkeypatch.setattr(link, "CHANNEL_SECONDS", LIMIT_SECONDS)  # an agent may take longer to start than its default

    async def scenario() -> None:
        async with stage.bus("maker") as maker:
            stage.kill("maker")
            await until(lambda: maker._open is not None and not maker._open.is_up, "the loss is seen")
            health = await maker.health_check()
            assert (health["status"], health["agent"]) == ("down", None)
            assert health["problems"]
            with pytest.raises(NotConnected, match="was not sent"):
                await maker.publish("orders", "counted", {"number": 1}, timeout=0.5)
            with pytest.raises(NotConnected, match="was not sent"):
                await maker.request("asked", "sum", {}, timeout=0.5)
            subscribing = asyncio.create_task(maker.subscribe("response.sum"))
            waiting = asyncio.create_task(maker.publish("orders", "counted", {"number": 2}, timeout=LIMIT_SECONDS))
            await stage.aside(stage.start, "maker")
            await waiting
            await subscribing

    run(scenario, LIMIT)


def test_while_the_broker_is_away(stage: TwoServices) -> None:
    """The agent is there and says what is missing."""

    async def scenario() -> None:
        async with stage.bus("taker") as taker:
            await taker.subscribe("orders.counted", print)
            await stage.aside(stage.broker.node.crash)
            await until(lambda: taker._open is not None and not taker._open.is_up, "the loss is seen")
            health = await healthy(taker, lambda health: health["agent"] is not None, "the agent answers")
            assert health["status"] == "down"
            await stage.aside(stage.broker.node.start)
            await healthy(taker, lambda health: health["status"] == "ok", "all is well again")

    run(scenario, LIMIT)
