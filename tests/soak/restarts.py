"""Brokers and cluster nodes that are killed and come back where they were."""

from __future__ import annotations

import random
from typing import Protocol

from letrade_topo.node.settings import Listener
from tests.brokers import RunningBroker
from tests.cluster import Cluster


class AsksABroker(Protocol):
    """A world that asks one broker, or one node of a cluster."""

    broker: RunningBroker


def restart(broker: RunningBroker) -> None:
    """Kill it and start it, on the same port."""
    port = broker.amqps_port
    broker.node.crash()
    broker.node.start()
    assert broker.node.ports.listeners[Listener.AMQPS] == port, "its port was taken"


def restart_one(world: AsksABroker, cluster: Cluster, moments: random.Random) -> None:
    """Kill any node and start it; meanwhile the world asks another one."""
    killed = moments.choice(cluster.nodes)
    world.broker = next(node for node in cluster.nodes if node is not killed)
    killed.node.crash()
    cluster.start(killed)
