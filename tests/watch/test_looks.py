"""What a controller finds when it looks: nothing that somebody does is missed, and a broker at rest is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.expand.expansion import expand
from letrade_topo.management.client import ManagementClient
from letrade_topo.model.topology import Topology
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest
from letrade_topo.plan.scope import Scope
from letrade_topo.watch import looks as looks_module
from letrade_topo.watch.drift import differences
from letrade_topo.watch.looks import Looks
from letrade_topo.watch.source import Watched
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of
from tests.tool import Tool
from tests.topologies import loaded, orders, write

pytestmark = pytest.mark.broker

LIMIT_SECONDS = 60.0
AT_REST = 5
"""Calls of a look that finds nothing new: the tag, the overview, the vhost, its queues' counts, and who we are."""

BY_HAND: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("DELETE", "queues/V/clerk.orders", None),
    ("PUT", "queues/V/by-hand", {"durable": True}),
    ("PUT", "exchanges/V/by-hand", {"type": "topic"}),
    ("DELETE", "exchanges/V/letrade.retry", None),
    ("POST", "bindings/V/e/orders/e/letrade.dlq", {"routing_key": "by.hand"}),
    ("PUT", "policies/V/by-hand", {"pattern": "^clerk", "definition": {"max-length": 1}, "priority": 99}),
    ("PUT", "operator-policies/V/by-hand", {"pattern": "^letrade", "definition": {"max-length": 9}}),
    ("PUT", "permissions/V/V-shop", {"configure": ".*", "write": ".*", "read": ".*"}),
    ("PUT", "topic-permissions/V/V-clerk", {"exchange": "amq.topic", "write": ".*", "read": ".*"}),
    ("PUT", "users/V-shop", {"password": "another", "tags": "monitoring"}),
    ("PUT", "user-limits/V-clerk/max-channels", {"value": 3}),
    ("PUT", "vhost-limits/V/max-queues", {"value": 300}),
    ("DELETE", "users/V-clerk", None),
    ("DELETE", "vhosts/V", None),
)
"""One thing after the other; V is the vhost."""


def watching(topology: Topology) -> Watched:
    """A topology as the controller has it."""
    request = PlanRequest(Scope.of(topology), lambda able: expand(topology, able), lambda _: "", leaves_blocked=True)
    return Watched(request, None, "", ())


@pytest.fixture
def watched(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Watched]:
    """A small topology that is applied; its users go at the end."""
    topology = loaded(orders(name=vhost_name, vhost=vhost_name))
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    Tool.at(broker, tmp_path).run("apply", "--yes").check(0)
    yield Watched(
        PlanRequest(Scope.of(topology), lambda able: expand(topology, able), lambda _: "", leaves_blocked=True),
        None,
        "",
        (),
    )
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def looked(looks: Looks, broker: RunningBroker, watched: Watched) -> tuple[Plan, int]:
    """One look, with a client of its own as in a pass, and how many calls it took."""
    with ManagementClient(endpoint_of(broker)) as client:
        return looks.look(client, watched, watched.request).plan, client.calls


def nobody(phase: str, seconds: float) -> None:
    """Is told."""


def test_whatever_is_done_by_hand_is_seen(broker: RunningBroker, vhost_name: str, watched: Watched) -> None:
    """Who remembers finds the same as who reads everything."""
    looks = Looks(nobody)
    known: tuple[str, ...] = ()
    for _ in range(3):
        assert differences(looked(looks, broker, watched)[0]) == known
    for method, path, body in BY_HAND:
        broker.api(method, f"/api/{path.replace('V', vhost_name)}", json=body).raise_for_status()
        deadline = time.monotonic() + LIMIT_SECONDS  # a policy takes effect a moment after its answer
        while True:
            found, fresh = (differences(looked(one, broker, watched)[0]) for one in (looks, Looks(nobody)))
            if found == fresh and found != known:
                break
            assert time.monotonic() < deadline, (path, found, fresh)
        known = found


def test_what_is_no_metadata_is_seen(broker: RunningBroker, vhost_name: str, watched: Watched) -> None:
    """Tracing that somebody turns on, and a queue that no node answers for."""
    looks = Looks(nobody)
    for _ in range(3):
        assert looked(looks, broker, watched)[0].in_sync
    broker.ctl("trace_on", "-p", vhost_name)
    assert [finding.name for finding in looked(looks, broker, watched)[0].findings] == ["tracing"]
    broker.ctl("trace_off", "-p", vhost_name)
    assert looked(looks, broker, watched)[0].in_sync


def test_a_broker_at_rest_is_asked_little(
    broker: RunningBroker, vhost_name: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it has a tag; messages that come and go change nothing, and after a while all is read again."""
    looks = Looks(nobody)
    calls = [looked(looks, broker, watched)[1] for _ in range(3)]
    message = {"routing_key": "clerk.orders", "properties": {}, "payload": "x", "payload_encoding": "string"}
    broker.api("POST", f"/api/exchanges/{vhost_name}/amq.default/publish", json=message).raise_for_status()
    calls.append(looked(looks, broker, watched)[1])
    if for_version(broker.version).definitions_etag:
        assert max(calls[2:]) <= AT_REST < calls[0] < calls[1]
        monkeypatch.setattr(looks_module, "REREAD_SECONDS", -1.0)
        looks = Looks(nobody)
        assert min(looked(looks, broker, watched)[1] for _ in range(4)) > AT_REST
    else:
        assert len(set(calls)) == 1


def test_another_topology_is_compared_anew(broker: RunningBroker, watched: Watched, vhost_name: str) -> None:
    """A tag is about the broker, and not about what it is compared with."""
    looks = Looks(nobody)
    for _ in range(3):
        assert looked(looks, broker, watched)[0].in_sync
    document = orders(name=vhost_name, vhost=vhost_name)
    document["exchanges"]["more"] = {}
    topology = loaded(document)
    other = Watched(
        PlanRequest(Scope.of(topology), lambda able: expand(topology, able), lambda _: "", leaves_blocked=True),
        None,
        "",
        (),
    )
    assert not looked(looks, broker, other)[0].in_sync
    assert looked(looks, broker, watched)[0].in_sync
