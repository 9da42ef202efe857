"""What plug-ins bring, on real brokers: made where they are enabled, refused by the plan where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.model.exchange_types import PLUGIN_EXCHANGES
from tests.brokers import BrokerFactory, RunningBroker
from tests.tool import Tool
from tests.topologies import Document, write

pytestmark = pytest.mark.broker

PLUGINS = tuple(known.plugin for known in PLUGIN_EXCHANGES.values() if known.plugin and known.is_shipped)
TYPES = {
    "x-consistent-hash": {"hash-header": "customer"},
    "x-random": {},
    "x-local-random": {},
    "x-recent-history": {"x-recent-history-length": 5},
    "x-modulus-hash": {},
    "x-jms-topic": {},
}


def document(version: tuple[int, ...], **sections: object) -> Document:
    """An exchange of each type that a version can have, and a weight in each of two bindings."""
    types = {kind: arguments for kind, arguments in TYPES.items() if version >= (4, 0) or kind != "x-local-random"}
    return {
        "topology": 1,
        "name": "plugged",
        "vhost": "plugged",
        "security": {"tls": {"required": False}},
        "exchanges": {kind: {"type": kind, "arguments": arguments} for kind, arguments in types.items()},
        "queues": {"a": {}, "b": {}},
        "bindings": [
            {"source": "x-consistent-hash", "queue": "a", "routing_key": "1"},
            {"source": "x-consistent-hash", "queue": "b", "routing_key": "2"},
            {"source": "x-random", "queue": "b"},
        ],
        **sections,
    }


def test_exchange_types(
    broker: RunningBroker, start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """Refused with the plug-in's name, one by one; where all are enabled they are made, and it is clean afterwards."""
    said = document(broker.version_numbers)
    write(tmp_path / "topology.yaml", said)
    refused = Tool.at(broker, tmp_path).run("plan").check(2)
    known = broker.api("GET", "/api/overview?columns=exchange_types.name").json()["exchange_types"]
    for kind in said["exchanges"].keys() - {one["name"] for one in known}:  # on 4.3 x-modulus-hash needs no plug-in
        assert f"rabbitmq-plugins enable {PLUGIN_EXCHANGES[kind].plugin})" in refused.out, refused.out

    own = start_broker(broker_version, plugins=PLUGINS)
    tool = Tool.at(own, tmp_path)
    tool.run("apply", "--yes").check(0)
    for kind, entry in said["exchanges"].items():
        found = own.api("GET", f"/api/exchanges/plugged/{kind}").json()
        assert (found["type"], found["arguments"]) == (kind, entry["arguments"])
    tool.run("plan").check(0)
    tool.run("drift").check(0)
    tool.run("destroy", "--yes").check(0)


def test_policies_by_the_type_of_queues(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> None:
    """From 3.12 on as the broker has it, each in force on its type alone; before it the plan says no."""
    said = document(broker.version_numbers, exchanges={}, bindings=[]) | {"name": vhost_name, "vhost": vhost_name}
    said["queues"] = {"quick": {"type": "classic", "overflow": "none"}, "safe": {}, "log": {"type": "stream"}}
    said["policies"] = {
        target: {"pattern": ".*", "apply_to": target, "definition": {"max-length-bytes": 5_000_000}}
        for target in ("classic_queues", "quorum_queues", "streams")
    }
    write(tmp_path / "topology.yaml", said)
    tool = Tool.at(broker, tmp_path)
    if broker.version_numbers < (3, 12):
        assert "classic_queues" in tool.run("apply", "--yes").check(77).out
        return

    tool.run("apply", "--yes").check(0)
    listed = broker.api("GET", f"/api/queues/{vhost_name}?disable_stats=true&enable_queue_totals=true").json()
    assert {queue["name"]: queue["policy"] for queue in listed} == {
        "quick": "classic_queues",
        "safe": "quorum_queues",
        "log": "streams",
    }
    tool.run("drift").check(0)
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")
