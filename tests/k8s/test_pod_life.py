"""A pod's life, from the sidecar's manifest, with processes and a real broker: nothing is lost at either end of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.brokers import RunningBroker
from tests.k8s.pod import Cluster, Pod, running_pod
from tests.k8s.service import AFTER_SIGTERM
from tests.soak.agents.world import DEAD, EXCHANGE, KEY, QUEUE, CampaignWorld, nothing_refused, running_world, until

GRACE_SECONDS = 30
"""Kubernetes' default."""
AGENT_END_SECONDS = 15
"""It has no clients any more: less than its drain timeout of 25 s also where the machine does nothing for a while."""
RATE = 300
TIMES = ("--publish-for", "8s", "--retire-after", "60s")
"""So long the clerk's agent may do nothing, and still know the new key when the shop's agent begins to sign with it."""

PodFactory = Callable[[str], Pod]


@pytest.fixture
def world(one_broker: RunningBroker, tmp_path: Path) -> Iterator[CampaignWorld]:
    """A topology with a shop that publishes and a clerk that consumes, on the broker of one version."""
    with running_world(one_broker, tmp_path) as made:
        yield made


@pytest.fixture
def cluster(world: CampaignWorld) -> Cluster:
    """Secrets and ConfigMaps of that world; `refresh` brings what has changed on disk."""
    found: Cluster = {("configMap", "ca"): {"ca.crt": world.broker.ca_file.read_bytes()}}
    for service in ("shop", "clerk"):
        certificate, key = world.broker.client_certificate(f"{world.vhost}-{service}")
        found["secret", f"{service}-tls"] = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}
    refresh(found, world)
    return found


def refresh(cluster: Cluster, world: CampaignWorld) -> None:
    """Put topology and keys as they are now into the cluster."""
    cluster["configMap", "letrade-topo-topology"] = {"topology.yaml": world.topology.read_bytes()}
    public = world.keys / "public" / "jwks.json"
    cluster["configMap", "letrade-topo-public-keys"] = {"jwks.json": public.read_bytes()}
    for service in ("shop", "clerk"):
        files = (path for path in (world.keys / service).iterdir() if path.is_file())
        cluster["secret", f"{service}-keys"] = {path.name: path.read_bytes() for path in files}


@pytest.fixture
def start_pod(world: CampaignWorld, cluster: Cluster, tmp_path: Path) -> Iterator[PodFactory]:
    """Start the pod of a service: `start_pod("shop")`."""
    with ExitStack() as stack:

        def start(service: str) -> Pod:
            values = {
                "service": service,
                "upstream": [world.upstream],
                "keys": {"secret": f"{service}-keys"},
                "login": {"certificateSecret": f"{service}-tls"},
                "ca": {"configMap": "ca"},
            }
            pod = stack.enter_context(running_pod(tmp_path / f"pod-{service}", world.vhost, cluster, values))
            world.stack.callback(pod.kill)  # when the ends of the load have been told to finish
            return pod

        yield start


def test_nothing_is_lost_at_the_end(world: CampaignWorld, start_pod: PodFactory) -> None:
    """The agent is there before its service and after it: what is published during and after SIGTERM arrives, once."""
    clerk, shop = start_pod("clerk"), start_pod("shop")
    consumer = world.consumer(clerk.agent)
    command = [sys.executable, "-m", "tests.k8s.service", str(shop.agent.port), world.vhost, EXCHANGE, KEY]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        assert service.stdout.readline() == "publishing\n"
        until(lambda: consumer.seen.different > RATE, "messages flow")
        printed, code, seconds = shop.terminate(service, GRACE_SECONDS)
    finally:
        service.kill()
        service.wait()
    confirmed = json.loads(printed)
    assert confirmed["after"] == AFTER_SIGTERM
    assert code == 0
    assert seconds < AGENT_END_SECONDS
    published = confirmed["before"] + confirmed["after"]
    until(lambda: consumer.seen.different == published, "every confirmed message has come")
    consumer.finish()
    consumer.wait()
    assert (consumer.duplicates, consumer.out_of_order) == (0, 0)
    nothing_refused(clerk.agent)
    assert world.is_empty(QUEUE, DEAD)


def test_volumes_turn_under_load(world: CampaignWorld, cluster: Cluster, start_pod: PodFactory) -> None:
    """New keys, then a new topology, come through `..data`: each is in force soon, and no client notices."""
    clerk, shop = start_pod("clerk"), start_pod("shop")
    publisher, consumer = world.publisher(shop.agent, rate=RATE), world.consumer(clerk.agent)
    until(lambda: consumer.seen.different > RATE, "messages flow")
    old_kid = _kid(shop)

    world.tool.run("keys", "rotate", str(world.keys), *TIMES).check(0)
    refresh(cluster, world)
    assert clerk.sync() == shop.sync() == 1, "the volume of the keys alone has turned"
    until(lambda: _kid(shop) != old_kid, "the shop signs with its new key")
    _flow(publisher.sent + RATE, lambda: consumer.seen.different)

    old_topology = shop.agent.status()["topology"]
    document = yaml.safe_load(world.topology.read_text(encoding="utf-8"))
    document["messages"][KEY]["lifetime"] = "50s"
    world.topology.write_text(yaml.safe_dump(document), encoding="utf-8")
    refresh(cluster, world)
    assert clerk.sync() == shop.sync() == 1
    until(
        lambda: old_topology not in [pod.agent.status()["topology"] for pod in (clerk, shop)],
        "the new topology is in force",
    )
    _flow(publisher.sent + RATE, lambda: consumer.seen.different)

    cluster["configMap", "letrade-topo-topology"] = {"topology.yaml": b"topology: ["}
    assert shop.sync() == 1
    until(lambda: shop.agent.metric("config_last_reload_successful") == 0, "a broken topology is told")
    _flow(publisher.sent + RATE, lambda: consumer.seen.different)

    publisher.finish()
    publisher.wait()
    until(lambda: consumer.seen.different == publisher.sent, "all messages have come")
    consumer.finish()
    consumer.wait()
    nothing_refused(shop.agent, clerk.agent)
    assert publisher.confirmed.different == publisher.sent
    assert (publisher.opened, consumer.opened) == (1, 1)
    assert (consumer.duplicates, consumer.out_of_order) == (0, 0)
    assert [pod.agent.stop() for pod in (shop, clerk)] == [0, 0]


def _flow(mark: int, seen: Callable[[], int]) -> None:
    until(lambda: seen() > mark, "messages flow")


def _kid(pod: Pod) -> str:
    return str(pod.agent.status()["keys"]["signing_kid"])
