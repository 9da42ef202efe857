"""The agent as a process beside a real broker: start, probes, reloads while clients talk, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from letrade_topo.keys.rotation import Timing, rotate_keys
from tests.agent.app.world import LIMIT_SECONDS, QUEUE, SmallBus, applied, order, until
from tests.agents import AgentFactory, RunningAgent, login_of
from tests.brokers import RunningBroker
from tests.soak.agents.memory import megabytes
from tests.topologies import orders, write


@pytest.fixture
def place(broker: RunningBroker, vhost_name: str, tmp_path: Path, start_agent: AgentFactory) -> Iterator[SmallBus]:
    """A place of the test's own."""
    with applied(broker, tmp_path, orders(name=vhost_name, vhost=vhost_name), start_agent) as made:
        yield made


def connects(agent: RunningAgent) -> bool:
    """Whether its port takes connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", agent.port)) == 0


def events(agent: RunningAgent) -> list[str]:
    """The events in its log."""
    return [line.get("event", line.get("text", "")) for line in agent.log()]


def test_messages_and_what_is_seen_of_them(place: SmallBus) -> None:
    """One message from shop to clerk and one refusal: status, metrics, queue depth and the last log line agree."""
    shop, clerk = place.agent("shop"), place.agent("clerk")
    publishing = place.channel(shop)
    publishing.basic_publish("orders", "order.placed", order(amount=1))
    with pytest.raises(pika.exceptions.NackError):
        publishing.basic_publish("orders", "order.unknown", order())
    consuming = place.channel(clerk)
    for method, _, body in consuming.consume(QUEUE, inactivity_timeout=LIMIT_SECONDS):
        assert method is not None, "the message came"
        assert json.loads(body)["payload"] == {"amount": 1}
        consuming.basic_ack(method.delivery_tag)
        break
    consuming.connection.close()

    assert shop.metric("messages_total", direction="publish", destination="orders", outcome="forwarded") == 1
    assert shop.metric("messages_rejected_total", direction="publish", reason="undeclared") == 1
    assert clerk.metric("messages_total", direction="deliver", destination=QUEUE, outcome="forwarded") == 1
    assert shop.metric("broker_up") == 1
    status = shop.status()
    assert status["recent_refusals"][0]["reason"] == "undeclared"
    assert status["recent_refusals"][0]["destination"] == "orders order.unknown"
    until(lambda: clerk.status()["queues"], "the queues are counted")
    until(lambda: clerk.metric("queue_messages", queue=QUEUE, state="ready") == 0, "the queue is empty")
    assert [queue["queue"] for queue in clerk.status()["queues"]] == [QUEUE, f"{QUEUE}.rejected"]
    assert {"client", "ca", "server"} == set(clerk.status()["certificates"])

    publishing.connection.close()
    assert shop.stop() == 0
    last = shop.log()[-1]
    assert (last["event"], last["published"], last["refused"]) == ("stopped", 1, {"publish undeclared": 1})


def test_probes(place: SmallBus) -> None:
    """`wait` and `healthcheck` say 0 beside a running agent, and 1 after it."""
    agent = place.agent("shop")
    admin = ["--admin", f"127.0.0.1:{agent.admin_port}"]

    def probe(name: str, *more: str) -> int:
        command = [sys.executable, "-m", "letrade_agent.cli.main", name, *admin, *more]
        return subprocess.run(command, capture_output=True, timeout=LIMIT_SECONDS, check=False).returncode

    assert probe("wait") == 0
    until(lambda: probe("healthcheck") == 0, "it is alive")  # it is not while it stands still for two seconds
    assert agent.stop() == 0
    assert probe("wait", "--timeout", "200ms") == 1
    assert probe("healthcheck") == 1


def test_keys_rotate_under_a_connection(place: SmallBus) -> None:
    """After a rotation the same connection publishes with the new key, and nothing is refused on the way."""
    shop, clerk = place.agent("shop"), place.agent("clerk")
    publishing, consuming = place.channel(shop), place.channel(clerk)
    publishing.basic_publish("orders", "order.placed", order())
    before = shop.status()["keys"]["signing_kid"]

    now = int(time.time())
    rotate_keys(place.keys, [], algorithm=None, now=now, timing=Timing(6, 60, None))
    until(lambda: shop.status()["keys"]["reloads"]["ok"], "the shop has the new keys")
    until(lambda: clerk.status()["keys"]["reloads"]["ok"], "the clerk has the new keys")
    published = 1
    while shop.status()["keys"]["signing_kid"] == before:
        publishing.basic_publish("orders", "order.placed", order())
        published += 1
    assert time.time() >= now + 6, "published first, used later"
    publishing.basic_publish("orders", "order.placed", order())
    published += 1

    for received, (method, _, _) in enumerate(consuming.consume(QUEUE, inactivity_timeout=LIMIT_SECONDS), start=1):
        assert method is not None, f"{received - 1} of {published} came"
        consuming.basic_ack(method.delivery_tag)
        if received == published:
            break
    assert clerk.status()["messages"]["refused"] == []
    until(lambda: "signing_key_changed" in events(shop), "the change of the key is told")


def test_topology_changes_under_a_connection(place: SmallBus) -> None:
    """A broken file is refused with its line; a good one governs the next message on the same channel."""
    shop = place.agent("shop")
    publishing = place.channel(shop)
    publishing.basic_publish("orders", "order.placed", order(text="x" * 2000))
    connections = shop.metric("client_connections_total")
    good = place.topology.read_text()

    bad = place.topology.with_suffix(".bad")
    bad.write_text(good.replace("lifetime: 60s", "lifetime: soon", 1))
    bad.replace(place.topology)  # at once: half a file is another bad one
    until(lambda: shop.metric("config_reloads_total", outcome="error"), "the bad file is seen")
    assert shop.metric("config_last_reload_successful") == 0
    [refused] = [line for line in shop.log() if line.get("event") == "config_reload_failed"]
    assert f"{place.topology}:" in refused["problem"]
    publishing.basic_publish("orders", "order.placed", order(text="x" * 2000))

    write(place.topology, {**place.document, "limits": {"message_size": "1KiB"}})
    until(lambda: shop.metric("config_reloads_total", outcome="ok"), "the good file is seen")
    assert shop.metric("config_last_reload_successful") == 1
    with pytest.raises(pika.exceptions.NackError):
        publishing.basic_publish("orders", "order.placed", order(text="x" * 2000))
    publishing.basic_publish("orders", "order.placed", order(text="x"))
    assert shop.metric("client_connections_total") == connections


def test_drains(place: SmallBus) -> None:
    """After SIGTERM an open connection goes on until its client closes it; then the agent ends with 0."""
    shop = place.agent("shop")
    publishing = place.channel(shop)
    shop.signal(signal.SIGTERM)
    until(lambda: shop.admin("/readyz").status_code == 503, "it is draining")

    assert shop.admin("/livez").status_code == 200
    assert shop.metric("state", state="draining") == 1
    publishing.basic_publish("orders", "order.placed", order())
    assert not connects(shop)
    publishing.connection.close()

    assert shop.wait() == 0
    assert shop.log()[-1]["published"] == 1


def test_a_client_too_many(place: SmallBus) -> None:
    """Beyond --max-connections; it is counted and told, and who is there goes on."""
    shop = place.agent("shop", "--max-connections", "1")
    publishing = place.channel(shop)
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError, match=r"connection limit \(1\) is reached"):
        place.channel(shop)
    publishing.basic_publish("orders", "order.placed", order())
    until(
        lambda: shop.metric("client_disconnects_total", cause="connection_limit"), "it is counted"
    )  # pika tries again
    told = next(line for line in shop.log() if line["event"] == "client_not_let_in")
    assert (told["level"], told["cause"]) == ("warning", "connection_limit")


def test_drain_timeout(place: SmallBus) -> None:
    """A client that never leaves is told 320, and the agent ends with 0 in time."""
    shop = place.agent("shop", "--drain-timeout", "500ms")
    publishing = place.channel(shop)
    shop.signal(signal.SIGTERM)

    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        publishing.connection.process_data_events(LIMIT_SECONDS)
    assert closed.value.reply_code == 320
    assert shop.wait() == 0


def test_second_signal(place: SmallBus) -> None:
    """Who asks twice does not want to wait for clients."""
    shop = place.agent("shop", "--drain-timeout", "10m")
    publishing = place.channel(shop)
    shop.signal(signal.SIGTERM)
    until(lambda: shop.admin("/readyz").status_code == 503, "it is draining")
    shop.signal(signal.SIGINT)

    assert shop.wait() == 0
    assert shop.log()[-1]["at_once"] is True
    assert publishing.connection.is_open, "the client has not been asked, and finds out"


def test_port_that_is_taken(place: SmallBus) -> None:
    """One sentence with the flag and the address, exit code 1, and nothing stays open."""
    shop = place.agent("shop")
    keys, certificate = place.keys, login_of(place.broker, f"{place.document['vhost']}-shop")
    command = [sys.executable, "-m", "letrade_agent.cli.main", "run", "--service", "shop", "--keys", str(keys)]
    command += ["--topology", str(place.topology), *certificate.flags(), "--admin", "127.0.0.1:0"]

    done = subprocess.run(
        [*command, "--listen", f"127.0.0.1:{shop.port}"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert f"error: cannot listen on --listen 127.0.0.1:{shop.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_broker_that_is_away(place: SmallBus) -> None:
    """The agent starts without a broker, is ready, says that the broker is down, and tells clients at once."""
    vhost = place.document["vhost"]
    agent = place.start_agent(
        place.broker,
        service="shop",
        topology=place.topology,
        vhost=vhost,
        login=login_of(place.broker, f"{vhost}-shop"),
        keys=place.keys,
        upstream="amqps://127.0.0.1:1",
    )

    until(lambda: agent.metric("broker_connect_attempts_total", outcome="refused"), "an attempt")
    assert agent.admin("/readyz").status_code == 200
    assert agent.metric("broker_up") == 0
    assert "down" in agent.admin("/").text
    with pytest.raises(pika.exceptions.AMQPConnectionError, match=r"\(320\) .*no broker node can be reached"):
        place.channel(agent)


def test_no_secret_in_the_log(place: SmallBus) -> None:
    """Bodies and tokens are in no line, at whatever was refused."""
    shop = place.agent("shop")
    publishing = place.channel(shop)
    publishing.basic_publish("orders", "order.placed", order(secret="hunter2"))
    for source, key in (("somebody", "order.placed"), ("shop", "order.unknown")):
        with pytest.raises(pika.exceptions.NackError):
            publishing.basic_publish("orders", key, order(source, secret="hunter2"))
    publishing.connection.close()
    shop.stop()

    text = shop.log_file.read_text()
    assert "hunter2" not in text
    assert "eyJ" not in text


@pytest.mark.one_version
def test_memory_of_connections_that_have_ended(place: SmallBus) -> None:
    """Goes back at once: with the 256 KiB that asyncio's TLS has for each, 60 of them would be 15 MB and more."""
    agent = place.agent("shop")
    parameters = agent.parameters
    pika.BlockingConnection(parameters).close()
    before = megabytes(agent.pid)
    for _ in range(60):
        pika.BlockingConnection(parameters).close()
    assert megabytes(agent.pid) - before < 5
