"""Whatever a broker holds can be said: spelled out in a file it is no change, and elsewhere it is made the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, write

pytestmark = pytest.mark.broker

AGAIN = {"x-message-ttl": 5_000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "worked"}
"""Retries as people make them by hand: what is rejected waits, and comes back."""

HELD: dict[str, dict[str, dict[str, Any]]] = {
    "exchanges": {
        "brief": {"type": "direct", "durable": False},
        "fleeting": {"type": "topic", "auto_delete": True, "internal": True},
        "lost": {"type": "fanout", "arguments": {"alternate-exchange": "nowhere"}},
        "dead": {"type": "fanout"},
    },
    "queues": {
        "fleeting": {"auto_delete": True},
        "plain": {},
        "dropping": {"arguments": {"x-overflow": "drop-head", "x-max-length": 5}},
        "refusing": {"arguments": {"x-queue-type": "quorum", "x-overflow": "reject-publish"}},
        "once": {"arguments": {"x-queue-type": "quorum", "x-dead-letter-exchange": "dead"}},
        "dying": {"arguments": {"x-dead-letter-exchange": "nowhere", "x-dead-letter-routing-key": "k"}},
        "waiting": {"arguments": {"x-message-ttl": 90_000, "x-dead-letter-exchange": "", "x-max-priority": 0}},
        "worked": {"arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "again"}},
        "again": {"arguments": AGAIN},
        "kept": {"arguments": {"x-queue-type": "stream", "x-max-age": "7D"}},
    },
}
POLICIES: dict[str, dict[str, Any]] = {
    "one": {"pattern": ".*", "apply-to": "queues", "definition": {"max-length": 900}, "priority": 0},
    "two": {"pattern": "", "apply-to": "queues", "definition": {"max-length": 800}, "priority": 0},
    "never": {"pattern": "^plain$", "apply-to": "queues", "definition": {"max-age": "1D"}, "priority": 9},
    "retried": {
        "pattern": "^dropping$",
        "apply-to": "queues",
        "definition": {"dead-letter-exchange": "", "dead-letter-routing-key": "worked"},
        "priority": 5,
    },
}
"""Two for everything, one that no queue takes, one that makes a circle."""
BOUND = [("amq.topic", "plain", "sensors.#"), ("dead", "refusing", ""), ("brief", "plain", "a")]
SAID: Document = {
    "exchanges": {
        "brief": {"type": "direct", "durable": False},
        "fleeting": {"auto_delete": True, "internal": True},
        "lost": {"type": "fanout", "arguments": {"alternate-exchange": "nowhere"}},
        "dead": {"type": "fanout"},
    },
    "queues": {
        "fleeting": {"type": "classic", "auto_delete": True, "overflow": "none"},
        "plain": {"type": "classic", "overflow": "none"},
        "dropping": {"type": "classic", "overflow": "drop-head", "arguments": {"x-max-length": 5}},
        "refusing": {},
        "once": {"overflow": "none", "dead_letter": {"exchange": "dead", "strategy": "none"}},
        "dying": {
            "type": "classic",
            "overflow": "none",
            "arguments": {"x-dead-letter-exchange": "nowhere", "x-dead-letter-routing-key": "k"},
        },
        "waiting": {
            "type": "classic",
            "overflow": "none",
            "message_ttl": "90s",
            "max_priority": 0,
            "dead_letter": {"exchange": ""},
        },
        "worked": {
            "type": "classic",
            "overflow": "none",
            "dead_letter": {"exchange": "", "routing_key": "again"},
        },
        "again": {
            "type": "classic",
            "overflow": "none",
            "message_ttl": "5s",
            "dead_letter": {"exchange": "", "routing_key": "worked"},
        },
        "kept": {"type": "stream", "arguments": {"x-max-age": "7D"}},
    },
    "policies": {
        name: {"apply_to": policy["apply-to"]} | {key: value for key, value in policy.items() if key != "apply-to"}
        for name, policy in POLICIES.items()
    },
    "bindings": [{"source": source, "queue": queue, "routing_key": key} for source, queue, key in BOUND],
}


def document(name: str) -> Document:
    """What is said, for a vhost."""
    return {"topology": 1, "name": name, "vhost": name, "security": {"tls": {"required": False}}, **SAID}


def held(broker: RunningBroker, vhost: str) -> dict[str, list[Any]]:
    """What a vhost holds, as the broker exports it, whatever the order; a queue's type spelled out."""
    exported = broker.api("GET", f"/api/definitions/{vhost}").json()
    for queue in exported["queues"]:
        queue["arguments"].setdefault("x-queue-type", "classic")
    for policy in exported["policies"]:
        policy.pop("vhost", None)  # 3.10 writes it here, too
    sections = ("exchanges", "queues", "bindings", "policies", "parameters")
    return {section: sorted(exported[section], key=repr) for section in sections}


@pytest.fixture
def vhosts(broker: RunningBroker, vhost_name: str) -> Iterator[tuple[str, str]]:
    """One in which somebody made things, and the name of one that is not there yet."""
    broker.api("PUT", f"/api/vhosts/{vhost_name}", json={}).raise_for_status()
    for section, things in HELD.items():
        for name, body in things.items():
            body = {"durable": True} | body
            broker.api("PUT", f"/api/{section}/{vhost_name}/{name}", json=body).raise_for_status()
    for name, body in POLICIES.items():
        broker.api("PUT", f"/api/policies/{vhost_name}/{name}", json=body).raise_for_status()
    for source, queue, key in BOUND:
        path = f"/api/bindings/{vhost_name}/e/{source}/q/{queue}"
        broker.api("POST", path, json={"routing_key": key}).raise_for_status()
    yield vhost_name, f"{vhost_name}-2"
    for vhost in (vhost_name, f"{vhost_name}-2"):
        broker.api("DELETE", f"/api/vhosts/{vhost}")
        broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost}.{vhost}")


def test_it_is_taken_over_and_made_again(broker: RunningBroker, vhosts: tuple[str, str], tmp_path: Path) -> None:
    """Nothing to do where it is; in an empty vhost the same; no drift in either, and gone when it is destroyed."""
    here, there = vhosts
    tool = Tool.at(broker, tmp_path)
    write(tmp_path / "here.yaml", document(here))
    write(tmp_path / "there.yaml", document(there))
    before = held(broker, here)

    tool.run("plan", "here.yaml").check(0)
    tool.run("apply", "--yes", "here.yaml").check(0)
    tool.run("apply", "--yes", "there.yaml").check(0)

    assert held(broker, here) == before
    assert held(broker, there) == before
    for file in ("here.yaml", "there.yaml"):
        tool.run("drift", file).check(0)
    tool.run("destroy", "--yes", "--allow", "delete-messages=queue:kept", "there.yaml").check(0)
    assert broker.api("GET", f"/api/vhosts/{there}").status_code == 404


def test_what_goes_by_itself_is_no_drift(broker: RunningBroker, vhosts: tuple[str, str], tmp_path: Path) -> None:
    """An auto-delete queue and exchange that are gone have done what they were declared for; `apply` makes them."""
    here, _ = vhosts
    tool = Tool.at(broker, tmp_path)
    write(tmp_path / "topology.yaml", document(here))
    tool.run("apply", "--yes").check(0)
    for path in (f"/api/queues/{here}/fleeting", f"/api/exchanges/{here}/fleeting"):
        broker.api("DELETE", path).raise_for_status()

    tool.run("drift").check(0)
    tool.run("apply", "--yes").check(0)

    assert broker.api("GET", f"/api/exchanges/{here}/fleeting").json()["auto_delete"] is True
    assert broker.api("GET", f"/api/queues/{here}/fleeting").json()["auto_delete"] is True


def test_a_queue_that_the_broker_denies_is_refused_by_the_plan(
    broker: RunningBroker, vhosts: tuple[str, str], tmp_path: Path
) -> None:
    """Transient queues where they are a denied feature; made where they are not."""
    here, _ = vhosts
    tool = Tool.at(broker, tmp_path)
    said = document(here)
    said["queues"] = {**said["queues"], "brief": {"type": "classic", "durable": False, "overflow": "none"}}
    write(tmp_path / "topology.yaml", said)
    asked = broker.api("PUT", f"/api/queues/{here}/probe", json={"durable": False})

    if asked.ok:
        broker.api("DELETE", f"/api/queues/{here}/probe")
        tool.run("apply", "--yes").check(0)
        assert broker.api("GET", f"/api/queues/{here}/brief").json()["durable"] is False
    else:
        answer = tool.run("apply", "--yes").check(77)
        assert "queue:brief" in answer.out + answer.err
        assert "denies" in answer.out + answer.err
