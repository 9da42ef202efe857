"""What services have to know of the queues that they make for themselves, by the broker's own list."""

from __future__ import annotations

import pytest

from letrade_topo.management.client import ManagementClient
from letrade_topo.plan.told import run_time_notices
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of


@pytest.mark.parametrize(
    ("deprecated", "told"),
    [
        ([], 0),
        ([{"name": "transient_nonexcl_queues", "state": "permitted"}], 0),
        ([{"name": "transient_nonexcl_queues", "deprecation_phase": "denied_by_default"}], 0),
        ([{"name": "global_qos", "state": "denied"}], 0),
        ([{"name": "transient_nonexcl_queues", "state": "denied"}], 1),
    ],
)
def test_transient_queues_that_are_denied_are_told(deprecated: list[dict[str, object]], told: int) -> None:
    """By their state, which configuration decides, and not by the default of a version."""
    assert len(list(run_time_notices(deprecated))) == told


@pytest.mark.broker
def test_the_list_is_the_brokers(broker: RunningBroker, vhost_name: str) -> None:
    """What it says of transient queues is what it does; the versions that are tested take them."""
    with ManagementClient(endpoint_of(broker)) as client:
        deprecated = client.deprecated_features()
    assert ("transient_nonexcl_queues" in {one["name"] for one in deprecated}) == (broker.version_numbers >= (4,))
    assert broker.api("PUT", f"/api/vhosts/{vhost_name}").ok
    made = broker.api("PUT", f"/api/queues/{vhost_name}/q", json={"durable": False, "auto_delete": True})
    assert made.ok == (not list(run_time_notices(deprecated)))
