"""The shipped topology on real brokers: what is made, that a second run has nothing to do, and every drift."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import SHIPPED

pytestmark = pytest.mark.broker

VHOST = "letrade"


@pytest.fixture(scope="module")
def letrade(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    """The tool in a folder that holds the shipped topology, which is applied; destroyed at the end."""
    folder = tmp_path_factory.mktemp("letrade")
    (folder / "topology.yaml").write_bytes(SHIPPED.read_bytes())
    tool = Tool.at(broker, folder)
    tool.run("apply", "--yes").check(0)
    yield tool
    tool.run("apply", "--yes", "--allow", "delete-unmanaged").check(0)
    tool.run("destroy", "--yes").check(0)


@dataclass(frozen=True)
class Hand:
    """A change that somebody makes by hand, and the address under which drift reports it."""

    name: str
    make: Callable[[RunningBroker], object]
    address: str
    allow: tuple[str, ...] = ()


def put(path: str, body: Any) -> Callable[[RunningBroker], object]:
    """PUT by the management API."""
    return lambda broker: _ok(broker, "PUT", path, body)


def post(path: str, body: Any) -> Callable[[RunningBroker], object]:
    """POST by the management API."""
    return lambda broker: _ok(broker, "POST", path, body)


def remove(path: str) -> Callable[[RunningBroker], object]:
    """DELETE by the management API."""
    return lambda broker: _ok(broker, "DELETE", path, None)


def ctl(*arguments: str) -> Callable[[RunningBroker], object]:
    """A rabbitmqctl command."""
    return lambda broker: broker.ctl(*arguments)


def _ok(broker: RunningBroker, method: str, path: str, body: Any) -> None:
    answer = broker.api(method, f"/api/{path}", json=body)
    assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"


UNMANAGED = ("--allow", "delete-unmanaged")

HANDS = (
    Hand("queue deleted", remove("queues/letrade/strategy.error"), "queue:strategy.error"),
    Hand(
        "binding removed",
        remove("bindings/letrade/e/letrade.events/q/core_engine.error/events.error"),
        "binding:letrade.events -> queue:core_engine.error [events.error]",
    ),
    Hand(
        "binding added",
        post("bindings/letrade/e/letrade.events/q/core_engine.error", {"routing_key": "#"}),
        "binding:letrade.events -> queue:core_engine.error [#]",
        UNMANAGED,
    ),
    Hand("queue added", put("queues/letrade/debug", {"durable": True}), "queue:debug", UNMANAGED),
    Hand(
        "policy edited",
        put(
            "policies/letrade/letrade.queue.strategy.market_data",
            {"pattern": "^x$", "definition": {"delivery-limit": 2}, "apply-to": "queues"},
        ),
        "policy:letrade.queue.strategy.market_data",
    ),
    Hand(
        "permission widened", ctl("set_permissions", "-p", VHOST, "strategy", ".*", ".*", ".*"), "permission:strategy"
    ),
    Hand("password set", ctl("change_password", "core_engine", "guessed"), "user:core_engine"),
    Hand("tag changed", ctl("set_user_tags", "capital_manager", "monitoring"), "user:capital_manager"),
    Hand(
        "topic permission removed",
        remove("topic-permissions/letrade/strategy/letrade.commands"),
        "topic-permission:strategy/letrade.commands",
    ),
    Hand(
        "user limit set",
        put("user-limits/strategy/max-connections", {"value": 1}),
        "user-limit:strategy/max-connections",
    ),
    Hand(
        "vhost limit set", put("vhost-limits/letrade/max-queues", {"value": 500}), "vhost-limit:max-queues", UNMANAGED
    ),
    Hand(
        "foreign policy",
        put(
            "policies/letrade/stronger",
            {"pattern": "^strategy", "definition": {"max-length": 3}, "priority": 9, "apply-to": "queues"},
        ),
        "policy:stronger",
        UNMANAGED,
    ),
)


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.name)
def test_a_change_by_hand_is_found_and_repaired(broker: RunningBroker, letrade: Tool, hand: Hand) -> None:
    """Drift answers 2 and names the object; apply repairs it; drift is clean."""
    letrade.run("drift").check(0)
    hand.make(broker)

    found = letrade.run("drift", "--format", "json").check(2)

    report = json.loads(found.out)
    addresses = [one["address"] for one in (*report["changes"], *report["unmanaged"])]
    assert hand.address in addresses
    letrade.run("apply", "--yes", *hand.allow).check(0)
    letrade.run("drift").check(0)


def test_what_nobody_declared_stays_without_the_allowance(broker: RunningBroker, letrade: Tool) -> None:
    """Apply leaves a queue that somebody made alone, and drift goes on reporting it."""
    put("queues/letrade/somebody", {"durable": True})(broker)

    letrade.run("apply", "--yes").check(0)

    assert broker.api("GET", "/api/queues/letrade/somebody").status_code == 200
    assert "queue:somebody" in letrade.run("drift").check(2).out
    letrade.run("apply", "--yes", *UNMANAGED).check(0)
    assert broker.api("GET", "/api/queues/letrade/somebody").status_code == 404


def test_an_argument_that_a_put_would_not_show_is_drift(broker: RunningBroker, letrade: Tool) -> None:
    """An unknown argument is stored and ignored by the broker; drift sees it, and apply asks for `replace`."""
    queue = broker.api("GET", "/api/queues/letrade/core_engine.error").json()
    remove("queues/letrade/core_engine.error")(broker)
    arguments = queue["arguments"] | {"x-by-hand": 1}
    put("queues/letrade/core_engine.error", {"durable": True, "arguments": arguments})(broker)

    report = json.loads(letrade.run("drift", "--format", "json").check(2).out)

    (change,) = [one for one in report["changes"] if one["address"] == "queue:core_engine.error"]
    assert change["action"] == "replace"
    assert [one["attribute"] for one in change["differences"]] == ["arguments.x-by-hand"]
    assert "--allow replace" in letrade.run("apply", "--yes").check(77).err
    letrade.run("apply", "--yes", "--allow", "replace").check(0)
    letrade.run("drift").check(0)
    keys = [one["routing_key"] for one in broker.api("GET", "/api/queues/letrade/core_engine.error/bindings").json()]
    assert "events.error" in keys


def test_the_retry_ladder_is_on_the_broker(broker: RunningBroker, letrade: Tool) -> None:
    """Arguments as listed by the broker: dead letters to `.rejected`, delays of 5, 10 and 20 s, back to the queue."""
    listed = {one["name"]: one for one in broker.api("GET", "/api/queues/letrade").json()}

    name = "exchange_connector.execute_trade"
    assert listed[name]["arguments"] == {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
        "x-dead-letter-exchange": "letrade.retry",
        "x-dead-letter-routing-key": f"{name}.rejected",
    }
    for attempt, delay in enumerate((5_000, 10_000, 20_000), start=1):
        assert listed[f"{name}.retry.{attempt}"]["arguments"] == {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-message-ttl": delay,
            "x-dead-letter-strategy": "at-least-once",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": name,
        }
    waiting = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
    assert listed[f"{name}.rejected"]["arguments"] == waiting
    assert listed["letrade.dlq"]["arguments"] == waiting
    assert f"{name}.retry.4" not in listed
    bound = {
        (one["source"], one["destination"], one["routing_key"])
        for one in broker.api("GET", "/api/bindings/letrade").json()
        if one["source"]
    }
    assert ("letrade.retry", f"{name}.rejected", f"{name}.rejected") in bound
    assert ("letrade.retry", f"{name}.retry.2", f"{name}.retry.2") in bound
    assert ("letrade.dlq", "letrade.dlq", "#") in bound


def test_the_delivery_limit_in_effect(broker: RunningBroker, letrade: Tool) -> None:
    """Consumer queues give up after 20 deliveries, from 4.0 by themselves; what waits never, from then on by policy."""
    limits = {
        one["name"]: (one.get("effective_policy_definition") or {}).get("delivery-limit")
        for one in broker.api("GET", "/api/queues/letrade").json()
    }

    has_a_limit = broker.version.startswith("4.")
    assert limits["strategy.trade_executed"] == (None if has_a_limit else 20)
    unlimited = -1 if has_a_limit else None
    assert limits["strategy.trade_executed.rejected"] == unlimited
    assert limits["letrade.dlq"] == unlimited


def test_plan_says_what_a_pipeline_reads(letrade: Tool, broker: RunningBroker) -> None:
    """JSON has a format version, one entry per change with its place in the file, and sums; markdown a table."""
    remove("queues/letrade/strategy.error.retry.1")(broker)

    report = json.loads(letrade.run("plan", "--format", "json").check(2).out)

    assert report["format_version"] == "1.0"
    assert report["summary"]["create"] == len(report["changes"]) == 2
    (queue, binding) = report["changes"]
    assert (queue["action"], queue["kind"], queue["before"]) == ("create", "queue", None)
    assert queue["origin"].startswith("topology.yaml:")
    assert binding["kind"] == "binding"
    assert "| + | `queue:strategy.error.retry.1` |" in letrade.run("plan", "--format", "markdown").check(2).out
    letrade.run("apply", "--yes").check(0)


def test_a_plan_that_was_saved_is_applied_once(letrade: Tool, broker: RunningBroker, tmp_path: Path) -> None:
    """A saved plan does what it says; a second time, or edited, it is refused."""
    remove("queues/letrade/strategy.error")(broker)
    saved, edited = tmp_path / "saved.plan", tmp_path / "edited.plan"
    letrade.run("plan", "-o", str(saved)).check(2)
    edited.write_text(saved.read_text().replace("strategy.error", "strategy.errox", 1))

    assert "digest" in letrade.run("apply", "--yes", str(edited)).check(65).err
    letrade.run("apply", "--yes", str(saved)).check(0)
    assert "has changed since the plan was saved" in letrade.run("apply", "--yes", str(saved)).check(77).err
    letrade.run("drift").check(0)
