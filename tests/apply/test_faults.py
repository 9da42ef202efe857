"""What goes wrong, as a user meets it: one clear message, the exit code, and a second run that finishes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from letrade_topo.apply.lock import BrokerLock
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.lease import Lease
from letrade_topo.model.names import lock_queue
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of
from tests.ports import free_port
from tests.tool import Tool, ended
from tests.topologies import orders, write

pytestmark = pytest.mark.broker

LIMIT_SECONDS = 60.0
ATTEMPTS = 5


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_SECONDS} s"
        time.sleep(0.02)


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder with a small topology of its own; what it made is destroyed at the end."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    yield Tool.at(broker, tmp_path)
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def many(name: str, queues: int) -> dict[str, object]:
    """A topology of about six objects for each queue."""
    document = orders(name=name, vhost=name)
    document["queues"] = {
        f"clerk.orders{number}": {"service": "clerk", "messages": ["order.placed"]} for number in range(queues)
    }
    return document


def lock_is_there(broker: RunningBroker, name: str) -> bool:
    """Whether some run holds the lock."""
    return broker.api("GET", f"/api/queues/{name}/letrade-topo.lock.{name}").status_code == 200


def caught_at_work(tool: Tool, broker: RunningBroker, name: str) -> subprocess.Popen[str]:
    """An apply that has the lock and stands still (SIGSTOP); one that was done before that is undone and begun anew."""
    for _ in range(ATTEMPTS):
        process = tool.start("apply", "--yes")
        wait_until("the lock", lambda: lock_is_there(broker, name) or process.poll() is not None)  # noqa: B023  # called at once
        process.send_signal(signal.SIGSTOP)
        if process.poll() is None and lock_is_there(broker, name):
            return process
        process.send_signal(signal.SIGCONT)
        ended(process).check(0)
        tool.run("destroy", "--yes").check(0)
    raise AssertionError(f"{ATTEMPTS} runs were done before they could be stopped")


@pytest.mark.one_version
def test_a_wrong_password(tool: Tool) -> None:
    """69; the message says that the login was refused, and never shows the password."""
    environment = {name: value for name, value in tool.environment.items() if "PASSWORD" not in name}

    answer = Tool(environment | {"LETRADE_TOPO_PASSWORD": "s3cret-guess"}, tool.folder).run("plan").check(69)

    assert "admin" in answer.err
    assert "s3cret-guess" not in answer.err + answer.out


@pytest.mark.one_version
def test_no_password_at_all(tool: Tool) -> None:
    """65; the message names the option and both variables."""
    environment = {name: value for name, value in tool.environment.items() if "PASSWORD" not in name}

    answer = Tool(environment, tool.folder).run("plan").check(65)

    assert "--password-file" in answer.err
    assert "LETRADE_TOPO_PASSWORD" in answer.err


@pytest.mark.one_version
def test_an_untrusted_certificate(tool: Tool) -> None:
    """69; the message names --ca-file."""
    environment = {name: value for name, value in tool.environment.items() if name != "LETRADE_TOPO_CA_FILE"}

    assert "--ca-file" in Tool(environment, tool.folder).run("plan").check(69).err


@pytest.mark.one_version
def test_a_broker_that_is_down(tool: Tool) -> None:
    """69; the message says where nothing answers."""
    port = free_port()

    answer = tool.having(LETRADE_TOPO_MANAGEMENT=f"https://127.0.0.1:{port}").run("apply", "--yes").check(69)

    assert f"127.0.0.1:{port}" in answer.err


@pytest.mark.one_version
def test_the_amqp_port_instead_of_the_management_api(tool: Tool, broker: RunningBroker) -> None:
    """69, also where the management plugin is missing and something else answers on the port."""
    tool.having(LETRADE_TOPO_MANAGEMENT=f"https://127.0.0.1:{broker.amqps_port}").run("plan").check(69)


def test_a_user_without_rights(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """1; the message says which tag is missing."""
    user = f"{vhost_name}-looker"
    broker.api("PUT", f"/api/users/{user}", json={"password": "look", "tags": "monitoring"})
    try:
        environment = {name: value for name, value in tool.environment.items() if "PASSWORD" not in name}
        reader = Tool(environment | {"LETRADE_TOPO_USERNAME": user, "LETRADE_TOPO_PASSWORD": "look"}, tool.folder)

        assert "administrator" in reader.run("plan").check(1).err
    finally:
        broker.api("DELETE", f"/api/users/{user}")


def test_a_vhost_that_does_not_exist(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Plan and drift show everything as missing and answer 2; they make nothing; apply makes it."""
    report = json.loads(tool.run("plan", "--format", "json").check(2).out)

    assert report["changes"][0]["address"] == f"vhost:{vhost_name}"
    assert report["summary"]["create"] == len(report["changes"])
    tool.run("drift").check(2)
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
    tool.run("apply", "--yes").check(0)
    assert "Nothing to do" in tool.run("plan").check(0).out


@pytest.mark.one_version
def test_a_truncated_file(tool: Tool) -> None:
    """65 with a position; the broker is not asked."""
    file = tool.folder / "topology.yaml"
    file.write_text(file.read_text()[:200] + "\n  broken: [")

    answer = tool.having(LETRADE_TOPO_MANAGEMENT="https://127.0.0.1:1").run("apply", "--yes").check(65)

    assert "topology.yaml:" in answer.err


@pytest.mark.one_version
def test_usage(tool: Tool) -> None:
    """64 for unknown options, nonsense in --allow, plain http, and when nobody can be asked."""
    tool.run("plan", "--colour").check(64)
    assert "delete-messages" in tool.run("plan", "--allow", "everything").check(64).err
    tool.run("plan", "--allow", "delete-messages").check(64)
    plain = tool.having(LETRADE_TOPO_MANAGEMENT="http://127.0.0.1:15672")
    assert "--insecure-loopback" in plain.run("plan").check(64).err
    assert "--yes" in tool.run("apply").check(64).err


def test_a_queue_that_holds_messages_is_not_deleted(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """77 with the count; named by --allow it goes."""
    document = orders(name=vhost_name, vhost=vhost_name)
    document["queues"]["archive"] = {"messages": ["order.placed"]}
    file = write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes").check(0)
    for _ in range(3):
        body = {"routing_key": "order.placed", "properties": {}, "payload": "x", "payload_encoding": "string"}
        broker.api("POST", f"/api/exchanges/{vhost_name}/orders/publish", json=body)
    del document["queues"]["archive"]
    write(file, document)

    def counted() -> bool:
        return "holds 3 messages" in tool.run("plan").check(2).out

    wait_until("the broker's count of messages", counted)

    refused = tool.run("apply", "--yes").check(77)

    assert "queue:archive: it holds 3 messages" in refused.err
    assert broker.api("GET", f"/api/queues/{vhost_name}/archive").status_code == 200
    tool.run("apply", "--yes", "--allow", "delete-messages=queue:archive").check(0)
    assert broker.api("GET", f"/api/queues/{vhost_name}/archive").status_code == 404
    tool.run("drift").check(0)


def test_messages_that_came_after_the_plan_are_not_deleted(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Counts are looked at again before a queue goes: the run says so, answers 3, and the queue stays."""
    document = orders(name=vhost_name, vhost=vhost_name)
    document["queues"]["archive"] = {"messages": ["order.placed"]}
    file = write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes").check(0)
    del document["queues"]["archive"]
    write(file, document)
    # Published at once before apply: the statistics do not know it yet when the plan is made.
    body = {"routing_key": "order.placed", "properties": {}, "payload": "x", "payload_encoding": "string"}
    broker.api("POST", f"/api/exchanges/{vhost_name}/orders/publish", json=body)

    answer = tool.run("apply", "--yes")

    assert answer.code in {3, 77}, answer.err  # 77 where the statistics happened to be fresh
    assert "1 message" in answer.out + answer.err
    assert broker.api("GET", f"/api/queues/{vhost_name}/archive").status_code == 200


@pytest.mark.one_version
def test_a_password_from_the_environment(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """A changed password is found without asking the broker, written once, and shown nowhere."""
    document = orders(name=vhost_name, vhost=vhost_name)
    document["services"]["shop"]["password"] = {"env": "SHOP_PASSWORD"}
    write(tool.folder / "topology.yaml", document)
    assert "SHOP_PASSWORD" in tool.run("plan").check(65).err
    first, second = tool.having(SHOP_PASSWORD="alpha-1234"), tool.having(SHOP_PASSWORD="beta-5678")
    first.run("apply", "--yes").check(0)
    first.run("drift").check(0)

    drift = second.run("drift").check(2)

    assert f"{vhost_name}-shop" in drift.out
    applied = second.run("apply", "--yes").check(0)
    second.run("drift").check(0)
    for answer in (drift, applied):
        assert "beta-5678" not in answer.out + answer.err
    stored = broker.api("GET", f"/api/users/{vhost_name}-shop").json()["password_hash"]
    assert stored not in drift.out + applied.out


def test_a_lock_that_another_run_holds(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """75 where --lock-timeout ends first, and nothing is written; a run that may wait goes on when it is free."""
    tool.run("apply", "--yes").check(0)
    broker.api("DELETE", f"/api/queues/{vhost_name}/clerk.orders.rejected")
    endpoint = ManagementEndpoint.parse(
        broker.management_url, username=broker.username, password=broker.password, ca_file=broker.ca_file
    )
    with ManagementClient(endpoint) as client:
        other = Lease(client, vhost_name, lock_queue(vhost_name), lease_ms=60_000, nonce=7)
        assert other.try_acquire()
        impatient = tool.run("apply", "--yes", "--lock-timeout", "0").check(75)
        assert broker.api("GET", f"/api/queues/{vhost_name}/clerk.orders.rejected").status_code == 404
        patient = tool.start("apply", "--yes")
        other.release()

    assert "holds the lock" in impatient.err
    ended(patient).check(0)
    tool.run("drift").check(0)


def test_runs_at_once(tool: Tool, vhost_name: str) -> None:
    """Of three runs started together, each waits for the one before; all succeed, and the broker is in sync."""
    write(tool.folder / "topology.yaml", many(vhost_name, 30))

    runs = [tool.start("apply", "--yes", "--lock-timeout", f"{LIMIT_SECONDS}") for _ in range(3)]

    for run in runs:
        ended(run).check(0)
    tool.run("drift").check(0)


@pytest.mark.one_version
def test_interrupted_by_ctrl_c(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """130; the lock is released at once, and the next run finishes."""
    write(tool.folder / "topology.yaml", many(vhost_name, 60))
    process = caught_at_work(tool, broker, vhost_name)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)

    answer = ended(process).check(130)
    assert "interrupted" in answer.err
    assert not lock_is_there(broker, vhost_name)
    tool.run("apply", "--yes", "--lock-timeout", "0").check(0)
    tool.run("drift").check(0)


@pytest.mark.one_version
def test_interrupted_when_it_has_just_got_the_lock(
    broker: RunningBroker, vhost_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has not begun to renew it: it is given back all the same."""

    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    broker.api("PUT", f"/api/vhosts/{vhost_name}")
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        ManagementClient(endpoint_of(broker)) as client,
        BrokerLock(client, vhost_name, vhost_name, 0),
    ):
        pass

    assert not lock_is_there(broker, vhost_name)


def test_a_broker_that_dies_in_the_middle(
    start_broker: Callable[..., RunningBroker], broker_version: str, tmp_path: Path
) -> None:
    """One message, 3 or 69; when the broker is back, the next run finishes."""
    broker = start_broker(broker_version)
    write(tmp_path / "topology.yaml", many("dying", 60))
    tool = Tool.at(broker, tmp_path)
    process = caught_at_work(tool, broker, "dying")

    broker.node.crash()
    process.send_signal(signal.SIGCONT)

    answer = ended(process)
    assert answer.code in {3, 69}, answer.err
    assert "Traceback" not in answer.err
    broker.node.start()
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)


@pytest.mark.one_version
def test_a_policy_that_would_end_the_lock(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """A policy with `expires` that matches every queue is refused with 77 before anything is written."""
    tool.run("apply", "--yes").check(0)
    body = {"pattern": ".*", "definition": {"expires": 1000}, "apply-to": "queues"}
    broker.api("PUT", f"/api/policies/{vhost_name}/all", json=body)
    broker.api("DELETE", f"/api/users/{vhost_name}-shop")

    assert "policy 'all'" in tool.run("apply", "--yes").check(77).err


@pytest.mark.one_version
def test_destroy_leaves_what_is_not_ours(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """A queue that somebody made stays, and its vhost with it; when it has gone, the vhost goes too."""
    tool.run("apply", "--yes").check(0)
    broker.api("PUT", f"/api/queues/{vhost_name}/somebody", json={"durable": True})

    tool.run("destroy", "--yes").check(0)

    assert [one["name"] for one in broker.api("GET", f"/api/queues/{vhost_name}").json()] == ["somebody"]
    assert broker.api("GET", f"/api/users/{vhost_name}-shop").status_code == 404
    assert "Nothing to destroy" in tool.run("destroy", "--yes").check(0).out
    broker.api("DELETE", f"/api/queues/{vhost_name}/somebody")
    tool.run("destroy", "--yes").check(0)
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
    assert broker.api("GET", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}").status_code == 404


@pytest.mark.one_version
def test_talk_is_on_stderr(tool: Tool) -> None:
    """What a program reads is alone on stdout, in every format; a reader that goes away is no error for a person."""
    tool.run("apply", "--yes").check(0)
    for name in ("json", "sarif"):
        json.loads(tool.run("drift", "--format", name).check(0).out)
    assert tool.run("drift", "--format", "junit").check(0).out.startswith("<?xml")
    process = tool.start("drift", "--format", "json")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=LIMIT_SECONDS)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
