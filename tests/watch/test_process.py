"""`letrade-topo watch` as a process beside a real broker: what it sees, what it repairs, who leads, how it ends."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.controllers import running_controller
from tests.management.endpoints import amqp, serving
from tests.tool import Tool
from tests.topologies import orders, write

INTERVAL_SECONDS = 1.0
PASS_SECONDS = 2.0
"""On a machine that is busy; where it does nothing for longer, another try is not hit."""
TRIES = 4
CREATED = 4
"""Queues of the topology: the declared one, what it rejects, one delay, the dead letters."""


@pytest.fixture
def name(one_broker: RunningBroker) -> Iterator[str]:
    """Of a vhost and topology of one's own; what is made under it is deleted afterwards."""
    name = f"watch-{uuid.uuid4().hex[:12]}"
    yield name
    one_broker.api("DELETE", f"/api/vhosts/{name}")
    for user in (f"{name}-shop", f"{name}-clerk"):
        one_broker.api("DELETE", f"/api/users/{user}")
    one_broker.api("DELETE", f"/api/global-parameters/letrade-topo.{name}.{name}")


@pytest.fixture
def topology(name: str, tmp_path: Path) -> Path:
    """A small topology."""
    return write(tmp_path / "topology.yaml", orders(name=name, vhost=name))


def queue(broker: RunningBroker, name: str, queue: str = "clerk.orders") -> int:
    """The status of asking for a queue."""
    return broker.api("GET", f"/api/queues/{name}/{queue}").status_code


def test_repair(one_broker: RunningBroker, name: str, topology: Path) -> None:
    """It makes the topology, a queue deleted by hand is back within an interval, and messages are counted."""
    with running_controller(one_broker, topology, mode="repair") as controller:
        controller.until(lambda: controller.metric("drift_checks_total", outcome="in_sync") > 0, "in sync")
        assert queue(one_broker, name) == 200
        assert controller.metric("apply_runs_total", outcome="ok") == 1
        with amqp(one_broker, name) as channel:
            channel.basic_publish("", "clerk.orders", b"{}")
        controller.until(lambda: controller.metric("queue_messages", queue="clerk.orders") == 1, "the message counted")
        one_broker.api("DELETE", f"/api/queues/{name}/clerk.orders/contents")

        def repairs() -> int:
            return sum("create queue:clerk.orders" in line["objects"] for line in controller.log("repaired"))

        before, times, seconds = repairs(), 0, math.inf
        while seconds > INTERVAL_SECONDS + PASS_SECONDS:
            assert times < TRIES, f"it takes {seconds:.1f} s and more"
            one_broker.api("DELETE", f"/api/queues/{name}/clerk.orders").raise_for_status()
            deleted, times = time.monotonic(), times + 1
            controller.until(lambda: queue(one_broker, name) == 200, "the queue is back")
            seconds = time.monotonic() - deleted
            controller.until(lambda: repairs() == before + times, "it says so")  # noqa: B023  # called at once
        assert controller.metric("drift_objects") == 0
        assert controller.metric("changes_total", kind="queue", action="create", outcome="ok") == CREATED + times
        assert controller.metric("apply_duration_seconds_count", phase="verify") == 1 + times
    assert controller.log("stopped")
    Tool.at(one_broker, topology.parent).run("drift").check(0)


def test_a_queue_that_expired_as_declared_stays_away(one_broker: RunningBroker, name: str, tmp_path: Path) -> None:
    """It is no drift, and no look makes it again, however many; `apply` does."""
    document = orders(name=name, vhost=name)
    document["queues"]["short"] = {"messages": ["order.placed"], "dead_letter": "none", "expires": "1s"}
    topology = write(tmp_path / "topology.yaml", document)
    tool = Tool.at(one_broker, tmp_path)
    with running_controller(one_broker, topology, mode="repair") as controller:
        controller.until(lambda: controller.metric("apply_runs_total", outcome="ok") == 1, "made")
        controller.until(lambda: queue(one_broker, name, "short") == 404, "expired")
        looks = controller.metric("drift_checks_total", outcome="in_sync")
        one_broker.api("DELETE", f"/api/queues/{name}/clerk.orders")
        controller.until(lambda: controller.metric("apply_runs_total", outcome="ok") == 2, "another one repaired")
        controller.until(
            lambda: controller.metric("drift_checks_total", outcome="in_sync") > looks + 2, "more looks, all in sync"
        )
        assert queue(one_broker, name, "short") == 404
        assert queue(one_broker, name) == 200
        assert controller.metric("apply_runs_total", outcome="ok") == 2
    assert "short" in tool.run("drift").check(0).err
    tool.run("apply", "--yes").check(0)


def test_what_a_repair_may_not_do(one_broker: RunningBroker, name: str, topology: Path) -> None:
    """A queue that nobody declared, and one that would have to be made again with messages in it: both stay and are
    told as blocked, while the rest is repaired; a pipeline's apply finds no lock in its way."""
    tool = Tool.at(one_broker, topology.parent)
    tool.run("apply", "--yes").check(0)
    with amqp(one_broker, name) as channel:
        channel.confirm_delivery()
        channel.basic_publish("", "clerk.orders", b"{}")
    one_broker.api("PUT", f"/api/queues/{name}/stranger", json={"durable": True}).raise_for_status()
    document = orders(name=name, vhost=name)
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    document["exchanges"]["more"] = {}
    write(topology, document)

    with running_controller(one_broker, topology, mode="repair") as controller:
        controller.until(
            lambda: one_broker.api("GET", f"/api/exchanges/{name}/more").ok, "the missing exchange is made"
        )
        controller.until(lambda: controller.metric("drift_objects") == 2, "two differences left")
        assert controller.metric("drift_blocked_objects", kind="queue") == 2
        assert controller.metric("drift_objects", change="extra") == 1
        assert controller.metric("drift_objects", change="different") == 1
        controller.until(lambda: controller.metric("apply_runs_total", outcome="noop") > 0, "nothing left to do")
        lines = [line for found in controller.log("drift") for line in found["objects"]]
        assert any("queue:clerk.orders" in line and "blocked: " in line for line in lines)
        assert any("queue:stranger" in line and "delete-unmanaged" in line for line in lines)
        tool.run("apply", "--yes", "--allow", "delete-unmanaged").check(77)  # refused by a guard, not by a lock
    assert queue(one_broker, name, "stranger") == 200
    assert queue(one_broker, name) == 200


def test_detect(one_broker: RunningBroker, name: str, topology: Path) -> None:
    """It changes nothing, and says what is missing; a new topology is read and compared at once."""
    Tool.at(one_broker, topology.parent).run("apply", "--yes").check(0)
    with running_controller(one_broker, topology, interval="10m") as controller:
        controller.until(lambda: controller.metric("drift_checks_total", outcome="in_sync") == 1, "in sync")

        new = write(topology.with_name("new"), orders(name=name, vhost=name, exchanges={"orders": {}, "more": {}}))
        new.replace(topology)

        controller.until(lambda: controller.metric("drift_objects", kind="exchange", change="missing") == 1, "drift")
        assert controller.metric("config_reloads_total", outcome="ok") == 1
        topology.write_text("topology: [", encoding="utf-8")
        controller.until(lambda: controller.metric("config_last_reload_successful") == 0, "a broken file noticed")
        controller.until(lambda: controller.log("topology_reload_failed"), "and told")
        assert "topology.yaml" in controller.log("topology_reload_failed")[0]["problem"]
        assert controller.page("/livez").ok
    assert one_broker.api("GET", f"/api/exchanges/{name}/more").status_code == 404


def test_one_leads(one_broker: RunningBroker, name: str, topology: Path) -> None:
    """The second stands by and says so, and takes over when the first ends."""
    Tool.at(one_broker, topology.parent).run("apply", "--yes").check(0)
    with running_controller(one_broker, topology) as leader:
        leader.until(lambda: leader.metric("leader") == 1, "it leads")
        with running_controller(one_broker, topology, mode="repair") as other:
            other.until(lambda: other.log("standby"), "it stands by")
            assert other.metric("leader") == 0
            assert other.metric("drift_checks_total") == 0
            assert leader.stop() == 0
            other.until(lambda: other.metric("leader") == 1, "it takes over")
            other.until(lambda: other.metric("drift_checks_total", outcome="in_sync") > 0, "it works")


def test_a_management_api_that_fails(one_broker: RunningBroker, topology: Path) -> None:
    """500 again and again, then no answer at all: no crash, metrics say so, pauses grow, SIGTERM ends it."""
    with serving((500, "application/json", '{"error":"internal_server_error"}')) as server:
        options = ["--insecure-loopback", "--management", f"http://127.0.0.1:{server.port}"]
        with running_controller(one_broker, topology, options=options) as controller:

            def failed(**labels: str) -> float:
                return controller.metric("management_api_requests_total", **labels)

            controller.until(lambda: controller.metric("drift_checks_total", outcome="error") >= 2, "two failures")
            assert failed(code_class="5xx") >= 2
            assert controller.metric("broker_up") == 0
            assert controller.page("/livez").ok
            server.server.server_close()
            controller.until(lambda: failed(code_class="error") >= 1, "no answer noticed")
            assert len(controller.log("pass_failed")) <= 2


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--interval", "5"], "--interval"),
        (["--interval", "10ms"], "--interval"),
        (["--listen", "9465"], "--listen"),
        (["--mode", "destroy"], "--mode"),
        (["--topology", "-"], "standard input"),
    ],
)
def test_wrong_options(tmp_path: Path, arguments: list[str], what: str) -> None:
    """64, with the option's name."""
    assert what in Tool({}, tmp_path).run("watch", *arguments).check(64).err


def test_a_port_that_is_taken(one_broker: RunningBroker, topology: Path) -> None:
    """One message that says so."""
    with serving((200, "text/plain", "taken")) as server:
        tool = Tool.at(one_broker, topology.parent)
        answer = tool.run("watch", "--listen", f"127.0.0.1:{server.port}").check(1)

    assert "--listen" in answer.err
