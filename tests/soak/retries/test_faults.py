"""kill -9 under load, of which a tenth is rejected: of the service, its agent, the broker, a node of a cluster.

Every confirmed message is taken, waiting, or among the dead letters. The short form kills each of the first three
once; `script/soak` kills each many times, in a minute of its own each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import pytest

from tests.brokers import BrokerFactory
from tests.cluster import running_cluster
from tests.soak.agents.world import CampaignWorld, running_world, until
from tests.soak.conftest import SHORT_KILLS, Summarise
from tests.soak.restarts import restart, restart_one
from tests.soak.retries.world import at_moments, running_service, settled_books, with_ladder

LONG_SECONDS, SHORT_SECONDS = 60.0, 9.0
LONG_RATE, SHORT_RATE = 500, 300
QUIET_SHARE = 0.1
"""Of the time, before the first kill and after the last."""


class Victim(Enum):
    """Who is killed, and how many fifths of the kills are his."""

    AGENT = ("agent", 2)
    SERVICE = ("service", 2)
    BROKER = ("broker", 1)
    NODE = ("node", 1)

    @property
    def fifths(self) -> int:
        """His share."""
        return self.value[1]

    def __str__(self) -> str:
        return self.value[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The long form has one campaign for each victim, the short one for the first three together."""
    if "victims" in metafunc.fixturenames:
        is_long = metafunc.config.getoption("kills") > SHORT_KILLS
        campaigns = [(one,) for one in Victim] if is_long else [(Victim.AGENT, Victim.SERVICE, Victim.BROKER)]
        metafunc.parametrize("victims", campaigns, ids=["-".join(map(str, one)) for one in campaigns])


def test_kills_under_load(
    victims: tuple[Victim, ...],
    start_broker: BrokerFactory,
    broker_version: str,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    moments: random.Random,
    summarise: Summarise,
) -> None:
    """Nothing that was confirmed is lost; what is rejected for good is dead, and nothing else is."""
    kills = pytestconfig.getoption("kills")
    is_long = kills > SHORT_KILLS
    seconds, rate = (LONG_SECONDS, LONG_RATE) if is_long else (SHORT_SECONDS, SHORT_RATE)
    due = [victim for victim in victims for _ in range(victim.fifths * kills // 5 if is_long else 1)]
    moments.shuffle(due)
    whens = sorted(seconds * moments.uniform(QUIET_SHARE, 1 - QUIET_SHARE) for _ in due)
    folder = tmp_path_factory.mktemp("retries-")
    with _scene(victims, start_broker, broker_version, folder, moments) as (world, restart):
        with running_service(world) as service:
            kill = {Victim.AGENT: service.kill_agent, Victim.SERVICE: service.kill}
            publisher = world.publisher(world.agent("shop"), rate=rate)
            until(lambda: publisher.confirmed.different > 0, "messages flow")
            begin = time.monotonic()
            left = iter(due)
            at_moments(whens, lambda: kill.get(next(left), restart)())
            time.sleep(max(0.0, begin + seconds - time.monotonic()))  # the rest of the load
            publisher.finish()
            publisher.wait()
            books, spent = settled_books(world, service, publisher)
        assert not books.missing
        assert not books.misled
        assert publisher.confirmed.different + publisher.refused.different == publisher.sent
        summarise(
            f"retries, kill -9 of {', '.join(map(str, victims))}",
            world.broker.version,
            f"{publisher.sent} messages at {rate} a second, {len(due)} kills: {len(books.confirmed)} confirmed, lost"
            f" {len(books.missing)}; {len(books.taken)} taken, {len(books.dead)} dead; doubles: {books.taken_twice}"
            f" taken twice, {books.dead_twice} dead twice; the publisher sent {publisher.repeated} again,"
            f" {books.published_twice} of them had come; all was settled {spent:.1f} s after the last publish",
        )


@contextmanager
def _scene(
    victims: tuple[Victim, ...],
    start_broker: BrokerFactory,
    version: str,
    folder: Path,
    moments: random.Random,
) -> Iterator[tuple[CampaignWorld, Callable[[], None]]]:
    """A world on a broker or a cluster, and how a node of it is killed and started again."""
    if Victim.NODE not in victims:
        broker = start_broker(version)
        with running_world(broker, folder, document=with_ladder) as world:
            broker.sync_metadata()
            yield world, lambda: restart(broker)
        return
    with (
        running_cluster(folder, version) as cluster,
        running_world(cluster.nodes[0], folder, cluster.upstream, document=with_ladder) as world,
    ):
        yield world, lambda: restart_one(world, cluster, moments)
        world.broker = cluster.nodes[0]
