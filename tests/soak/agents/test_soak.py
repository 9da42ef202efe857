"""Minutes of messages through two agents on a cluster that loses a node: no message lost, and flat memory.

The short form runs with the other tests; `script/soak` sets `--seconds 600 --rate 2000`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.agents import RunningAgent
from tests.cluster import running_cluster
from tests.soak.agents.memory import Memory
from tests.soak.agents.world import DEAD, QUEUE, CampaignWorld, nothing_refused, running_world, until
from tests.soak.conftest import Summarise

SAMPLE_SECONDS = 0.5
KILL_AT = 0.5
QUIET_FROM = (0.5, 0.6)
"""From these shares of the time before the kill and of that after it on, memory has to be flat: each without its
warm-up. In the long form the first is later than a message's lifetime, after which the memory against repeats forgets
as much as it learns."""
UNANSWERED_SHARE = 0.25
"""Unanswered messages at most, as a share of those of a second: what piles up while the machine does nothing is sent
bit by bit, and is no growth of the agents."""
START_AGAIN_FROM_SECONDS = 120
"""Runs as long as this see the killed node come back, at three quarters."""
FLAT_MEGABYTES = {False: 2.0, True: 1.0}
"""The most growth in each such part, of a run that is not so long, and of one that is."""
MOST_MEGABYTES = 100.0


def test_soak(
    one_broker_version: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
    summarise: Summarise,
) -> None:
    """The node that the publisher is connected to is killed half-way; who was connected there comes back."""
    seconds, rate = pytestconfig.getoption("seconds"), pytestconfig.getoption("rate")
    is_long = seconds >= START_AGAIN_FROM_SECONDS
    nodes = tmp_path_factory.mktemp("cluster-")
    with (
        running_cluster(nodes, one_broker_version) as cluster,
        running_world(cluster.nodes[0], tmp_path, cluster.upstream) as world,
    ):
        assert _members(world) == len(cluster.nodes), "the queue is on every node"
        shop, clerk = world.agent("shop"), world.agent("clerk")
        window = int(rate * UNANSWERED_SHARE)
        publisher, consumer = world.publisher(shop, rate=rate, window=window), world.consumer(clerk)
        memories = {agent.service: (Memory(agent.pid), Memory(agent.pid)) for agent in (shop, clerk)}
        begin = time.monotonic()

        def run_for(share: float, *, is_after: bool) -> None:
            """Look at memory, and at whether both ends still work."""
            end = time.monotonic() + share * seconds
            while time.monotonic() < end:
                for both in memories.values():
                    both[is_after].sample()
                publisher.check()
                consumer.check()
                time.sleep(SAMPLE_SECONDS)  # the pace of samples

        run_for(KILL_AT, is_after=False)
        killed = cluster.at(_node_of(shop))
        world.broker = next(node for node in cluster.nodes if node is not killed)
        killed.node.crash()
        until(lambda: publisher.opened > 1, "the publisher is back")
        if is_long:
            run_for((1 - KILL_AT) / 2, is_after=True)
            cluster.start(killed)
        run_for((1 - KILL_AT) / (2 if is_long else 1), is_after=True)
        publisher.finish()
        publisher.wait()
        spent = time.monotonic() - begin
        until(lambda: not consumer.seen.missing(publisher.confirmed), "every confirmed message has come")
        consumer.finish()
        consumer.wait()

        lost = consumer.seen.missing(publisher.confirmed)
        growth = {
            service: [memory.growth(share, 1.0) for memory, share in zip(both, QUIET_FROM, strict=True)]
            for service, both in memories.items()
        }
        most = {service: max(memory.most for memory in both) for service, both in memories.items()}
        assert not lost
        assert publisher.refused.total == 0
        assert publisher.confirmed.different == publisher.sent
        assert consumer.duplicates <= publisher.repeated + consumer.redelivered
        nothing_refused(shop, clerk)
        assert world.is_empty(QUEUE, DEAD)
        assert all(more < FLAT_MEGABYTES[is_long] for parts in growth.values() for more in parts), growth
        assert max(most.values()) < MOST_MEGABYTES, most
        repeats = clerk.status()["messages"]["repeats"]
        summarise(
            "soak on three nodes, one killed",
            world.broker.version,
            f"{publisher.sent} messages in {spent:.0f} s ({publisher.sent / spent:.0f} a second), all confirmed, lost"
            f" {len(lost)}, sent again {publisher.repeated}, delivered twice {consumer.duplicates}, repeats that"
            f" the agent kept back {repeats}; after the kill no confirm for {publisher.longest_gap:.1f} s;"
            f" clients were told {dict(publisher.ends)} and {dict(consumer.ends)}; memory: "
            + ", ".join(
                f"{service} at most {megabytes:.0f} MB, growth before the kill"
                f" {growth[service][0]:+.1f} MB and at the end {growth[service][1]:+.1f} MB"
                for service, megabytes in most.items()
            ),
        )


def _node_of(agent: RunningAgent) -> str:
    """The URL of the node to which its client is connected."""
    return next(str(node["node"]) for node in agent.status()["broker"]["nodes"] if node["connections"])


def _members(world: CampaignWorld) -> int:
    """How many nodes have the queue."""
    table = world.broker.ctl("-q", "list_queues", "-p", world.vhost, "name", "members", "--formatter", "json")
    return next(len(row["members"]) for row in json.loads(table) if row["name"] == QUEUE)
