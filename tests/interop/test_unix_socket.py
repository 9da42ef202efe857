"""Clients over a Unix socket: Node's amqplib by its path, the others by a port that leads there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.app.world import QUEUE, SmallBus, applied, order, until
from tests.agents import AgentFactory, RunningAgent, login_of
from tests.brokers import RunningBroker
from tests.interop.client import Client, Endpoint, PublishOutcome
from tests.topologies import orders

pytestmark = pytest.mark.one_version

GO = Path(__file__).parent / "go"
OTHER = 65532
_CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'AMQP'); s.recv(1)"


@pytest.fixture
def place(broker: RunningBroker, vhost_name: str, tmp_path: Path, start_agent: AgentFactory) -> Iterator[SmallBus]:
    """A topology with a publisher and a consumer."""
    with applied(broker, tmp_path, orders(name=vhost_name, vhost=vhost_name), start_agent) as made:
        yield made


def _agent(place: SmallBus, service: str) -> RunningAgent:
    vhost = place.document["vhost"]
    return place.start_agent(
        place.broker,
        service=service,
        topology=place.topology,
        vhost=vhost,
        login=login_of(place.broker, f"{vhost}-{service}"),
        keys=place.keys,
        over_socket=True,
    )


def test_a_trade(place: SmallBus, client: Client) -> None:
    """A publish with its confirm, a refusal with its reason, a delivery; then the sockets are gone."""
    shop, clerk = _agent(place, "shop"), _agent(place, "clerk")
    vhost = place.document["vhost"]
    publishing = client.connect(Endpoint(shop.port, vhost, socket=shop.socket))
    channel = publishing.channel(confirms=True)
    sent = order(number=7)
    assert channel.publish("orders", "order.placed", sent, mandatory=True) is PublishOutcome.CONFIRMED
    assert channel.publish("orders", "order.lost", order(), mandatory=True) is not PublishOutcome.CONFIRMED
    consuming = client.connect(Endpoint(clerk.port, vhost, socket=clerk.socket))
    until(lambda: clerk.metric("broker_up"), "it has its broker")
    fetched = consuming.channel().get(QUEUE)
    assert fetched is not None
    assert json.loads(fetched.body) == json.loads(sent)
    publishing.close()
    consuming.close()
    assert str(shop.status()["listen"]) == f"unix:{shop.socket}"
    for agent in (shop, clerk):
        assert agent.stop() == 0
        assert agent.socket is not None
        assert not agent.socket.exists()


@pytest.mark.wide
@pytest.mark.skipif(shutil.which("go") is None, reason="no Go here")
def test_go_by_its_dial_function(place: SmallBus) -> None:
    """amqp091-go has no option for it and lets one dial."""
    agent = _agent(place, "shop")
    program = [shutil.which("go") or "", "run", "-C", str(GO), "."]
    url = f"amqp://nowhere.invalid/{place.document['vhost']}"
    for key, said in (("order.placed", ""), ("order.lost", "not confirmed")):
        done = subprocess.run(
            [*program, url, "orders", key, "confirms"],
            input=order(number=1),
            env=os.environ | {"AMQP_SOCKET": str(agent.socket)},
            capture_output=True,
            timeout=280,
            check=False,
        )
        assert (done.returncode, done.stdout.decode()) == (0, said), done.stderr
    assert agent.metric("messages_total", direction="publish", outcome="forwarded") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else takes root")
def test_another_user_is_refused(place: SmallBus) -> None:
    """In the log with its reason, in the metrics with its cause; nothing reaches the login, and others go on."""
    agent = _agent(place, "shop")
    assert agent.socket is not None
    for each in agent.socket.parents:
        if each.stat().st_uid == os.geteuid() and Path(tempfile.gettempdir()) in each.parents:
            each.chmod(0o755)
    agent.socket.chmod(0o666)
    someone = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "/usr/bin/python3", "-c", _CONNECT]
    subprocess.run([*someone, str(agent.socket)], cwd="/", capture_output=True, check=False)
    until(lambda: agent.metric("client_disconnects_total", cause="peer_refused"), "it is counted")
    (told,) = [line for line in agent.log() if line.get("event") == "client_not_let_in"]
    assert told["cause"] == "peer_refused"
    assert f"uid {OTHER}" in told["peer"]
    assert f"only uid {os.geteuid()} may speak with this service's signature" in told["problem"]
    place.channel(agent).basic_publish("orders", "order.placed", order(number=1))
