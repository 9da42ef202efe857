"""An image tried: a signed message through two agents in containers, and a table of what they took.

python -m tests.image.trial IMAGE [podman's options for where images are]; called by script/image. Whatever is not as it
has to be is an AssertionError.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pika

from letrade_topo.keys.headers import JWS_HEADER
from letrade_topo.node.errors import RabbitMQMissing
from tests.agent.app.world import QUEUE, order, until
from tests.agents import RunningAgent, make_key_folder
from tests.brokers import NEWEST, SUITES, RunningBroker, installation_of, running_broker
from tests.image.containers import USER, Container, start
from tests.ports import LOOPBACK, free_ports
from tests.tool import Tool
from tests.topologies import loaded, orders, write

_VHOST = "orders"
_INSIDE = "/etc/letrade"
_MOST_START_CPU_SECONDS = 1.0
_READ_ONLY = ("/", "/tmp", "/opt", "/work", _INSIDE)
_NO_CAPABILITIES = "0" * 16


@dataclass(frozen=True, slots=True)
class Contained:
    """An agent in a container.

    Args:
        agent: as every test sees one.
        container: around it.
        start_seconds: from its process to the first client that it takes.
        start_cpu_seconds: of that, on a processor.
    """

    agent: RunningAgent
    container: Container
    start_seconds: float
    start_cpu_seconds: float


def main(image: str, store: Sequence[str]) -> int:
    """Try an image, and print the table."""
    folder = Path(tempfile.mkdtemp(prefix="letrade-image-"))
    folder.chmod(0o755)
    try:
        with running_broker(folder / "broker", _version()) as broker, ExitStack() as stack:
            files = _files(broker, folder)
            shop, clerk = (
                stack.enter_context(_contained(image, store, broker, files, folder, service))
                for service in ("shop", "clerk")
            )
            for one in (shop, clerk):
                _check_confined(one.container)
            headers = _trade(broker, shop.agent, clerk.agent)
            _print(broker, [shop, clerk], headers)
            for one in (shop, clerk):
                began = time.monotonic()
                one.agent.signal(signal.SIGTERM)
                assert one.agent.wait() == 0, one.agent.log()
                print(f"{'SIGTERM':<12}{one.agent.service}: exit code 0 after {time.monotonic() - began:.1f} s")
    finally:
        shutil.rmtree(folder)
    return 0


def _version() -> str:
    """RabbitMQ 4.0 if it is here, else whichever is."""
    for version in ("4.0", *SUITES, NEWEST):
        try:
            installation_of(version)
        except RabbitMQMissing:
            continue
        return version
    raise SystemExit("error: no RabbitMQ here; script/setup --test gets it")


def _files(broker: RunningBroker, folder: Path) -> Path:
    """What is mounted into the containers, theirs to read: topology, keys, authority and certificates."""
    document = orders(_VHOST, _VHOST)
    files = folder / "files"
    files.mkdir()
    topology = write(files / "topology.yaml", document)
    Tool.at(broker, folder).run("apply", "--yes", str(topology)).check(0)
    make_key_folder(files / "keys", loaded(document))
    shutil.copy(broker.ca_file, files / "ca.crt")
    for service in ("shop", "clerk"):
        for source in broker.client_certificate(f"{_VHOST}-{service}"):
            shutil.copy(source, files / f"{service}{source.suffix}")
    for path in (files, *files.rglob("*")):
        os.chown(path, USER, USER)
    return files


@contextmanager
def _contained(
    image: str, store: Sequence[str], broker: RunningBroker, files: Path, folder: Path, service: str
) -> Iterator[Contained]:
    port, admin_port = free_ports(2)
    certificate, key = broker.client_certificate(f"{_VHOST}-{service}")
    settings = {
        "SERVICE": service,
        "TOPOLOGY": f"{_INSIDE}/topology.yaml",
        "KEYS": f"{_INSIDE}/keys",
        "UPSTREAM": broker.amqps_url,
        "CA_FILE": f"{_INSIDE}/ca.crt",
        "CERT_FILE": f"{_INSIDE}/{service}{certificate.suffix}",
        "KEY_FILE": f"{_INSIDE}/{service}{key.suffix}",
        "LISTEN": f"{LOOPBACK}:{port}",
        "ADMIN": f"{LOOPBACK}:{admin_port}",
    }
    log = folder / f"{service}.log"
    with log.open("wb") as output:
        container = start(
            store,
            image,
            ["letrade-agent", "run"],
            name=f"letrade-trial-{os.getpid()}-{service}",
            environment={f"LETRADE_AGENT_{name}": value for name, value in settings.items()},
            volumes={files: _INSIDE},
            output=output,
            pid_file=folder / f"{service}.pid",
        )
    agent = RunningAgent(service, _VHOST, container.process, port, admin_port, log)
    try:
        agent.wait_until_started()
        yield Contained(agent, container, container.age_seconds(), container.cpu_seconds())
    finally:
        agent.stop()


def _check_confined(container: Container) -> None:
    """By what the kernel says of the process, not by what was asked for."""
    status = container.status()
    assert status["Uid"] == " ".join([str(USER)] * 4), status["Uid"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name] == _NO_CAPABILITIES, (name, status[name])
    assert status["NoNewPrivs"] == "1"
    for place in _READ_ONLY:
        assert container.is_read_only(place), place


def _trade(broker: RunningBroker, shop: RunningAgent, clerk: RunningAgent) -> list[str]:
    """One message from shop to clerk: the names of its headers on the broker, where no agent shows them."""
    until(lambda: shop.metric("broker_up") and clerk.metric("broker_up"), "both agents have their broker")
    sent = order("shop", number=7)
    with pika.BlockingConnection(shop.parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("orders", "order.placed", sent, mandatory=True)
    query = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    (kept,) = broker.api("POST", f"/api/queues/{_VHOST}/{QUEUE}/get", json=query).json()
    headers = sorted(kept["properties"]["headers"])
    assert JWS_HEADER.decode() in headers, headers
    with pika.BlockingConnection(clerk.parameters) as connection:
        channel = connection.channel()
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=60):
            assert method is not None, "nothing was delivered"
            assert body == sent
            channel.basic_ack(method.delivery_tag)
            break
    return headers


def _print(broker: RunningBroker, agents: Sequence[Contained], headers: Sequence[str]) -> None:
    print(f"{'broker':<12}RabbitMQ {broker.version}, TLS, on {LOOPBACK}")
    print(f"{'confined':<12}uid {USER}, no capabilities, no new privileges, read-only: {' '.join(_READ_ONLY)}")
    print(f"{'message':<12}shop to clerk, on the broker with {', '.join(headers)}")
    for one in agents:
        most = int(one.container.status()["VmHWM"].split()[0]) / 1024
        print(
            f"{one.agent.service:<12}ready after {one.start_seconds:.2f} s, {one.start_cpu_seconds:.2f} s of CPU;"
            f" memory {one.container.pss_bytes() / 2**20:.0f} MiB (PSS), at most {most:.0f} MiB"
        )
        assert one.start_cpu_seconds < _MOST_START_CPU_SECONDS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
