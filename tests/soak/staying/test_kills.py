"""kill -9 at a random moment of a migration: of the consumers' agent, the broker, a node of a cluster.

One migration for each kill, with a publisher and a consumer at work through their agents all the while. Every confirmed
order arrives; `apply` ends by itself where the agent was killed, and where the broker was, the next one finishes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path

import pytest

from tests.agents import RunningAgent
from tests.brokers import BrokerFactory
from tests.cluster import running_cluster
from tests.retry.world import until
from tests.soak.conftest import SHORT_KILLS, Summarise
from tests.soak.restarts import restart, restart_one
from tests.soak.staying.service import StayingService
from tests.staying.world import SERVICE, Publisher, StayingWorld, running_world
from tests.tool import ended

NAME = "kill"
QUEUE = f"clerk.{NAME}"
RATE = 100.0
APPLY = ("apply", "--yes", "--allow", "migrate", "--lock-timeout", "60")
MOST_APPLIES = 6
SETTLED_SECONDS = 120.0
SHORT_SECONDS = 8.0
"""Within which the short form kills; the long one measures how long a migration takes."""


class Victim(Enum):
    """Who is killed, and how often for each 2 of `--kills`."""

    AGENT = ("agent", 5)
    BROKER = ("broker", 2)
    NODE = ("node", 2)

    def kills(self, asked: int) -> int:
        """How often, in the form that was asked for."""
        return asked * self.value[1] // 2 if asked > SHORT_KILLS else 1

    def __str__(self) -> str:
        return self.value[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Brokers that are killed, and a cluster, are for the long form."""
    if "victim" in metafunc.fixturenames:
        is_long = metafunc.config.getoption("kills") > SHORT_KILLS
        victims = list(Victim) if is_long else [Victim.AGENT]
        metafunc.parametrize("victim", victims, ids=map(str, victims))


@pytest.mark.wide
@pytest.mark.filterwarnings(  # pika leaves the sockets of connections that an agent without a broker refused
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)
def test_kills_in_a_migration(
    victim: Victim,
    start_broker: BrokerFactory,
    broker_version: str,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
) -> None:
    """Nothing that was confirmed is lost, each migration is finished, and what came twice is counted."""
    kills = victim.kills(pytestconfig.getoption("kills"))
    folder = tmp_path_factory.mktemp("staying-")
    with _scene(victim, start_broker, broker_version, folder, moments) as (world, kill):
        service = StayingService(world.clerk.parameters, QUEUE)
        publisher = Publisher(world.agents["shop"].parameters, NAME, rate=RATE)
        service.start()
        publisher.start()
        until(lambda: len(service.seen) > 10, "orders come")
        is_long = kills > 1
        seconds = _migrated(world, 0) if is_long else SHORT_SECONDS
        pause = service.longest_pause if is_long else 0.0
        applies = 0
        for number in range(1, kills + 1):
            applies += _killed(world, number, kill, seconds * moments.random())
        count = len(publisher.confirmed)
        until(lambda: len(publisher.confirmed) > count, "orders go on")
        publisher.finish()
        lost = set(publisher.confirmed)

        def none_is_missing() -> bool:
            lost.difference_update(service.numbers)
            return not lost

        try:
            until(none_is_missing, "all orders have come", SETTLED_SECONDS)
        except AssertionError:
            print(_where_orders_may_be(world, publisher, service, lost))
            raise
        service.finish()
        world.tool.run("drift").check(0)
        summarise(
            f"migrations, kill -9 of the {victim}",
            world.broker.version,
            f"{kills} kills in {kills} migrations of {seconds:.1f} s, {applies} runs of apply;"
            f" {len(publisher.confirmed)} orders confirmed at {RATE:g} a second, lost {len(lost)},"
            f" doubles {service.doubles}; the publisher sent {len(publisher.unconfirmed)} again;"
            f" the consumer was cancelled {service.cancels} times and lost its connection {service.losses} times;"
            f" pause {pause:.1f} s without a kill, {service.longest_pause:.1f} s at most",
        )
        assert service.cancels <= (0 if victim is Victim.AGENT else kills)


def _where_orders_may_be(world: StayingWorld, publisher: Publisher, service: StayingService, missing: set[int]) -> str:
    """What tells why some have not come."""
    queues = world.broker.api("GET", f"/api/queues/{world.vhost}").json()
    held = {one["name"]: (one.get("messages"), one.get("state"), one.get("consumers")) for one in queues}
    lines = [f"missing {len(missing)}: {sorted(missing)[:20]} to {max(missing)} of {publisher.confirmed[-1]}"]
    lines += [f"last seen {service.seen[-1].number}, sent again {publisher.unconfirmed}"]
    lines += [f"{name}: {counts}" for name, counts in held.items() if counts[0] != 0 or "kill" in name]
    for name, agent in world.agents.items():
        page = agent.admin("/metrics").text
        lines += [f"{name} {line}" for line in page.splitlines() if line[:1] != "#" and line[-4:] != " 0.0"]
        lines += [f"{name} {line}" for line in agent.log()[-200:] if line.get("level") in ("warning", "error")]
    return "\n".join(lines)


def _migrated(world: StayingWorld, number: int) -> float:
    """An undisturbed migration; seconds."""
    began = time.monotonic()
    world.change(NAME, arguments={"x-max-length": 1_000_000 + number})
    world.tool.run(*APPLY).check(0)
    return time.monotonic() - began


def _killed(world: StayingWorld, number: int, kill: Callable[[], None], after_seconds: float) -> int:
    """A migration in whose middle somebody is killed; how many runs of apply it took."""
    world.change(NAME, arguments={"x-max-length": 1_000_000 + number})
    process = world.tool.start(*APPLY)
    time.sleep(after_seconds)  # the random moment
    kill()
    answer = ended(process)
    applies = 1
    while answer.code != 0:
        assert applies < MOST_APPLIES, f"{answer.out}\n{answer.err}"
        answer = world.tool.run(*APPLY)
        applies += 1
    return applies


@contextmanager
def _scene(
    victim: Victim, start_broker: BrokerFactory, version: str, folder: Path, moments: random.Random
) -> Iterator[tuple[StayingWorld, Callable[[], None]]]:
    """A world on a broker or a cluster, and how the victim is killed and started again."""
    if victim is Victim.NODE:
        with (
            running_cluster(folder, version) as cluster,
            running_world(cluster.nodes[0], folder, cluster.upstream) as world,
        ):
            yield world, lambda: restart_one(world, cluster, moments)
            world.broker = cluster.nodes[0]
        return
    broker = start_broker(version)
    with running_world(broker, folder) as world, ExitStack() as agents:
        broker.sync_metadata()
        if victim is Victim.BROKER:
            yield world, lambda: restart(broker)
        else:
            yield world, lambda: _restart_agent(world, agents)


def _restart_agent(world: StayingWorld, agents: ExitStack) -> None:
    killed: RunningAgent = world.clerk
    killed.process.kill()
    killed.wait()
    world.agents[SERVICE] = agents.enter_context(world.agent(SERVICE, (killed.port, killed.admin_port)))
