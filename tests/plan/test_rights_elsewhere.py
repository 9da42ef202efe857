"""What goes with a user beyond the vhost of its topology: the plan says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.plan.told import rights_elsewhere
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write


def test_what_a_user_may_do_elsewhere_is_told_when_it_goes() -> None:
    """By vhost, and of those users alone; what it may do here is in the plan itself."""
    permissions = [{"user": user, "vhost": vhost} for user in ("a", "b", "c") for vhost in ("here", *"xyzuvw")]
    (of_a, of_c) = rights_elsewhere(["c", "a", "d"], permissions, "here")
    assert (
        of_a.text
        == "user 'a' has permissions in 6 vhosts beyond this one, which go with it: 'u', 'v', 'w', 'x', 'y', …"
    )
    assert of_c.path == ("users", "c")


@pytest.mark.broker
def test_a_user_that_goes_takes_its_rights_along_everywhere(
    broker: RunningBroker, vhost_name: str, tmp_path: Path
) -> None:
    """The plan says so before, and `destroy` too."""
    write(tmp_path / "topology.yaml", orders(name=vhost_name, vhost=vhost_name))
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/%2F/{vhost_name}-shop", json=everything).ok
    told = f"user '{vhost_name}-shop' has permissions in a vhost beyond this one, which go with it: '/'"
    assert told in tool.run("destroy", "--yes").check(0).out
    assert f"{vhost_name}-shop" not in broker.api("GET", "/api/permissions").text
