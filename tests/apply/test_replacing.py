"""Replacing and destroying on a real broker: bindings come back, messages are never thrown away, nothing is left."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.tool import INHERITED, LONGEST_RUN_SECONDS, Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder with a small topology of its own, which is applied; its users go at the end."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    yield tool
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/{record_name(vhost_name)}")


def record_name(vhost: str) -> str:
    """The ownership record of a topology that is called like its vhost."""
    return f"letrade-topo.{vhost}.{vhost}"


def ok(broker: RunningBroker, method: str, path: str, body: object = None) -> None:
    """Do something by hand."""
    answer = broker.api(method, f"/api/{path}", json=body)
    assert answer.status_code < 300, answer.text


def bindings(broker: RunningBroker, vhost: str) -> set[tuple[str, str, str]]:
    """Source, destination and key of every binding."""
    listed = broker.api("GET", f"/api/bindings/{vhost}").json()
    return {(one["source"], one["destination"], one["routing_key"]) for one in listed if one["source"]}


def test_an_empty_queue_is_replaced_when_allowed_and_all_its_bindings_come_back(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """77 without the word; with it the queue has the new argument, and also the binding made by hand."""
    ok(broker, "POST", f"bindings/{vhost_name}/e/orders/q/clerk.orders", {"routing_key": "by.hand"})
    before = bindings(broker, vhost_name)
    document = orders(name=vhost_name, vhost=vhost_name)
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    write(tool.folder / "topology.yaml", document)

    assert "--allow replace" in tool.run("apply", "--yes").check(77).err
    tool.run("apply", "--yes", "--allow", "replace").check(0)

    queue = broker.api("GET", f"/api/queues/{vhost_name}/clerk.orders").json()
    assert queue["arguments"]["x-single-active-consumer"] is True
    assert bindings(broker, vhost_name) == before


def test_a_queue_with_messages_is_never_replaced(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """77 or, where the statistics lag behind, 1: the queue and its message stay."""
    message = {"routing_key": "order.placed", "properties": {}, "payload": "x", "payload_encoding": "string"}
    ok(broker, "POST", f"exchanges/{vhost_name}/orders/publish", message)
    document = orders(name=vhost_name, vhost=vhost_name)
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    write(tool.folder / "topology.yaml", document)

    answer = tool.run("apply", "--yes", "--allow", "replace")

    assert answer.code in {1, 77}, answer.err
    assert "1 message" in answer.out + answer.err
    got = broker.api(
        "POST",
        f"/api/queues/{vhost_name}/clerk.orders/get",
        json={"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"},
    ).json()
    assert [one["payload"] for one in got] == ["x"]


def test_a_foreign_queue_that_could_not_be_deleted_stays_foreign(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """The allowance was for one run: the next one without it leaves the queue alone, also when it is empty by then."""
    ok(broker, "PUT", f"queues/{vhost_name}/somebody", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    message = {"routing_key": "somebody", "properties": {}, "payload": "x", "payload_encoding": "string"}
    ok(broker, "POST", f"exchanges/{vhost_name}/amq.default/publish", message)
    # Its messages may not be known to the statistics yet: then the run itself finds them, and fails half-way.
    assert tool.run("apply", "--yes", "--allow", "delete-unmanaged").code in {1, 3, 77}
    ok(broker, "DELETE", f"queues/{vhost_name}/somebody/contents")

    tool.run("apply", "--yes").check(0)

    assert broker.api("GET", f"/api/queues/{vhost_name}/somebody").status_code == 200


def test_two_exchanges_that_are_bound_to_each_other_are_replaced_together(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """While one is gone the other cannot be bound to it; in the end every binding is there.

    Each is bound to all later ones: of two such exchanges that are deleted at once, one deletion fails (4.0.5).
    """
    names = [f"e{number:02}" for number in range(16)]
    mesh = [
        {"source": source, "exchange": target, "routing_key": "k"}
        for source, target in itertools.combinations(names, 2)
    ]
    for kind in ("topic", "direct", "topic"):
        document = orders(name=vhost_name, vhost=vhost_name)
        document["exchanges"] |= {name: {"type": kind} for name in names}
        document["bindings"] = [*mesh, {"source": names[-1], "queue": "clerk.orders", "routing_key": "k"}]
        write(tool.folder / "topology.yaml", document)
        tool.run("apply", "--yes", "--allow", "replace").check(0)

    tool.run("drift").check(0)
    kinds = {one["name"]: one["type"] for one in broker.api("GET", f"/api/exchanges/{vhost_name}").json()}
    assert all(kinds[name] == "topic" for name in names)


def test_destroy_takes_users_and_record_also_when_the_vhost_is_gone(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """Somebody deleted the vhost by hand: what lives outside of it is deleted, as the plan says."""
    ok(broker, "DELETE", f"vhosts/{vhost_name}")

    answer = tool.run("destroy", "--yes").check(0)

    assert f"- {vhost_name}-shop" in answer.out
    assert broker.api("GET", f"/api/users/{vhost_name}-shop").status_code == 404
    assert broker.api("GET", f"/api/users/{vhost_name}-clerk").status_code == 404
    assert broker.api("GET", f"/api/global-parameters/{record_name(vhost_name)}").status_code == 404
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404
    assert "Nothing to destroy" in tool.run("destroy", "--yes").check(0).out


def test_destroy_leaves_a_vhost_with_somebodys_policy(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """A policy is something too."""
    body = {"pattern": "^x", "definition": {"max-length": 1}, "apply-to": "queues"}
    ok(broker, "PUT", f"policies/{vhost_name}/somebody", body)

    tool.run("destroy", "--yes").check(0)

    assert [one["name"] for one in broker.api("GET", f"/api/policies/{vhost_name}").json()] == ["somebody"]


def test_a_record_is_cleared_of_what_is_gone(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """A queue that the file dropped and somebody deleted is ours no more: a later namesake is left alone."""
    document = orders(name=vhost_name, vhost=vhost_name, ownership="shared")
    document["queues"]["archive"] = {"messages": ["order.placed"]}
    write(tool.folder / "topology.yaml", document)
    tool.run("apply", "--yes").check(0)
    del document["queues"]["archive"]
    write(tool.folder / "topology.yaml", document)
    ok(broker, "DELETE", f"queues/{vhost_name}/archive")
    tool.run("apply", "--yes").check(0)
    ok(broker, "PUT", f"queues/{vhost_name}/archive", {"durable": True})

    tool.run("apply", "--yes").check(0)

    assert broker.api("GET", f"/api/queues/{vhost_name}/archive").status_code == 200


def test_a_reader_of_stderr_that_goes_away_ends_no_run(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """`apply 2>&1 | head -1`: the work is done to its end."""
    ok(broker, "DELETE", f"queues/{vhost_name}/clerk.orders")
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as broken:
        process = tool.start("plan")  # the same command line, only to borrow its program
        process.communicate(timeout=LONGEST_RUN_SECONDS)
        program = process.args
        assert isinstance(program, list)
        subprocess.run(
            [*program[:-1], "apply", "--yes"],
            env=inherited | tool.environment,
            cwd=tool.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=broken,
            check=False,
            timeout=LONGEST_RUN_SECONDS,
        )
    tool.run("drift").check(0)
