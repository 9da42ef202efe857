"""What somebody does between the plan and the deed, at a moment that a process could not be caught at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from letrade_topo.apply.applying import Result, Run
from letrade_topo.apply.fleet import apply
from letrade_topo.apply.outcome import Status
from letrade_topo.cli.session import request_of
from letrade_topo.load.topology_file import load_topology
from letrade_topo.management.client import ManagementClient
from letrade_topo.plan.guards import Allowances
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of
from tests.topologies import Document, orders, write

pytestmark = [pytest.mark.broker, pytest.mark.one_version]


class Meddler:
    """Watches a run, and does something when it says so.

    Args:
        moment: the beginning of what the run says.
        deed: what is done then.
    """

    def __init__(self, moment: str, deed: Callable[[], object]) -> None:
        self._moment = moment
        self._deed = deed

    def say(self, text: str) -> None:
        """Something goes on."""
        if text.startswith(self._moment):
            self._deed()

    def begin(self, title: str, total: int) -> None:
        """A stage begins."""
        self.say(title)

    def advance(self, count: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


Apply = Callable[..., Result]


@pytest.fixture
def run(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Apply]:
    """Apply a document, or destroy what it says, while somebody meddles; all of it goes at the end."""

    def run(document: Document, moment: str = "never", deed: Callable[[], object] = int, **how: object) -> Result:
        loaded = load_topology(write(tmp_path / "topology.yaml", document))
        allowed = Allowances.parse(how.get("allow", ()))  # type: ignore[arg-type]  # texts
        request = request_of(loaded, allowed, destroys=bool(how.get("destroys")))
        with ManagementClient(endpoint_of(broker)) as client:
            return apply(client, request, Run(lambda _: True, Meddler(moment, deed)))

    yield run
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def test_a_vhost_with_a_queue_that_somebody_has_just_made_stays(
    run: Apply, broker: RunningBroker, vhost_name: str
) -> None:
    """It was to go with the last of our objects; read back, there is something else in it."""
    document = orders(name=vhost_name, vhost=vhost_name)
    run(document)

    def make_queue() -> None:
        assert broker.api("PUT", f"/api/queues/{vhost_name}/somebody", json={"durable": True}).ok

    result = run(document, "reading back", make_queue, destroys=True)

    assert [one["name"] for one in broker.api("GET", f"/api/queues/{vhost_name}").json()] == ["somebody"]
    (left,) = (one for one in result.outcomes if one.status is not Status.DONE)
    assert (left.change.address, left.status) == (f"vhost:{vhost_name}", Status.SKIPPED)
    assert broker.api("DELETE", f"/api/queues/{vhost_name}/somebody").ok
    run(document, destroys=True)
    assert broker.api("GET", f"/api/vhosts/{vhost_name}").status_code == 404


def test_messages_that_come_to_a_queue_that_is_to_be_replaced_are_kept(
    run: Apply, broker: RunningBroker, vhost_name: str
) -> None:
    """Also where its messages may be deleted: that allows to delete the queue, and nothing allows to replace it."""
    document = orders(name=vhost_name, vhost=vhost_name)
    run(document)
    document["queues"]["clerk.orders"]["single_active_consumer"] = True

    def publish() -> None:
        message = {"routing_key": "order.placed", "properties": {}, "payload": "x", "payload_encoding": "string"}
        assert broker.api("POST", f"/api/exchanges/{vhost_name}/orders/publish", json=message).ok

    allow = ("replace", "delete-messages=queue:clerk.orders", "delete-consumed=queue:clerk.orders")
    result = run(document, "queues", publish, allow=allow)

    left = [one for one in result.outcomes if one.status is Status.FAILED]
    assert [one.change.address for one in left] == ["queue:clerk.orders"]
    assert "1 message" in left[0].why
    assert (
        broker.api("GET", f"/api/queues/{vhost_name}/clerk.orders").json()["arguments"].get("x-single-active-consumer")
        is None
    )
