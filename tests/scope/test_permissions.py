"""Logins with permissions for a part of the vhost: what they lack is said before anything is written."""

from __future__ import annotations

import json

import pytest

from letrade_topo.management.client import ManagementClient
from letrade_topo.management.trying import may_configure, may_lead
from tests.management.endpoints import endpoint_of
from tests.scope.conftest import PASSWORD, Place
from tests.tool import ToolAnswer

pytestmark = [pytest.mark.broker, pytest.mark.one_version]  # all: --every-version

PART = r"^(orders|letrade-topo)\."


def plain(**queues: object) -> dict[str, object]:
    """Sections of a topology without services, messages and users."""
    left_out: dict[str, object] = {"messages": None, "services": None, "retry": None, "limits": None, "exchanges": {}}
    return {**left_out, "ownership": "shared", "queues": queues}


def test_a_part_of_the_vhost(place: Place) -> None:
    """Each object that is beyond the permissions is named by plan and apply, and nothing at all is written."""
    place.declare(**plain(**{"orders.in": {}, "others.in": {}, "orders.out": {}}))
    theirs = place.login("management", permissions=(PART, "", ""))
    before = place.names("queues"), place.names("exchanges")
    refusals = json.loads(theirs.run("plan", "--format", "json").check(2).out)["refusals"]
    assert [one["address"] for one in refusals] == ["queue:others.in"]
    assert "no configure permission for 'others.in'" in refusals[0]["why"]
    theirs.run("apply", "--yes").check(77)
    assert (place.names("queues"), place.names("exchanges")) == before

    place.declare(**plain(**{"orders.in": {}, "orders.out": {}}))
    theirs.run("apply", "--yes").check(0)
    assert place.names("queues") == {"orders.in", "orders.out"}
    theirs.run("drift").check(0)


def test_without_a_place_for_lock_and_record(place: Place) -> None:
    """The names that the tool itself needs are said with the expression that grants them."""
    place.declare(**plain(**{"orders.in": {}}))
    refused = place.login("management", permissions=(r"^orders\.", "", "")).run("apply", "--yes").check(77)
    assert r"must cover ^letrade-topo\." in refused.err
    assert place.names("queues") == set()


def test_what_a_dead_letter_exchange_and_a_binding_take(place: Place) -> None:
    """Reading the one end and writing the other, as RabbitMQ looks at it when they are made."""
    queue = {"type": "classic", "dead_letter": {"exchange": "orders.dead"}}
    sections = plain(**{"orders.in": queue}) | {
        "exchanges": {"orders.dead": {}},
        "bindings": [{"source": "orders.dead", "queue": "orders.in", "routing_key": "x"}],
    }
    place.declare(**sections)
    theirs = place.login("management", permissions=(PART, r"^orders\.in", r"^orders\."))
    found = json.loads(theirs.run("plan", "--format", "json").check(2).out)["refusals"]
    assert [one["address"] for one in found] == ["queue:orders.in"]
    assert "write permission for 'orders.dead'" in found[0]["why"]
    theirs = place.login("management", permissions=(PART, r"^orders\.dead", r"^orders\."))
    found = json.loads(theirs.run("plan", "--format", "json").check(2).out)["refusals"]
    assert [one["address"] for one in found] == ["binding:orders.dead -> queue:orders.in [x]"]
    theirs = place.login("management", permissions=(PART, r"^orders\.", r"^orders\."))
    theirs.run("apply", "--yes").check(0)


def test_a_try_makes_nothing(place: Place) -> None:
    """Whether the permission is there or not, whether the name is taken or not."""
    place.ok("PUT", f"exchanges/{place.vhost}/orders.x", {"type": "topic", "durable": True})
    place.ok("PUT", f"queues/{place.vhost}/orders.q", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    place.login("management", permissions=(PART, r"^orders\.", r"^orders\."))
    before = place.names("exchanges"), place.names("queues")
    user = f"{place.vhost}-management"
    with ManagementClient(endpoint_of(place.broker, username=user, password=PASSWORD)) as client:
        names = ("orders.x", "orders.q", "orders.new", "others", "letrade-topo.lock.x")
        assert [may_configure(client, place.vhost, name) for name in names] == [True, True, True, False, True]
        pairs = (("orders.new", "orders.to"), ("orders.new", "others"), ("others", "orders.to"), ("orders.new", ""))
        assert [may_lead(client, place.vhost, *pair) for pair in pairs] == [True, False, False, False]
    assert (place.names("exchanges"), place.names("queues")) == before


def test_a_vhost_that_is_not_there_or_not_theirs(place: Place) -> None:
    """Whatever RabbitMQ answers, it is a missing right, and is said with what an administrator has to do."""
    theirs = place.login("management")
    place.ok("DELETE", f"permissions/{place.vhost}/{place.vhost}-management")
    assert f"rabbitmqctl set_permissions -p {place.vhost!r}" in theirs.run("plan").check(1).err
    place.ok("DELETE", f"vhosts/{place.vhost}")
    assert f"rabbitmqctl set_permissions -p {place.vhost!r}" in theirs.run("apply", "--yes").check(1).err


@pytest.mark.one_version
def test_the_whole_cluster_takes_an_administrator(place: Place) -> None:
    """Asked for and not to be had: a missing right, before anything is read."""
    refused = place.login("policymaker").run("plan", "--scope", "cluster").check(1)
    assert "--scope cluster" in refused.err
    assert "it needs the tag 'administrator' and has policymaker" in refused.err


def test_dead_letters_take_no_tag(place: Place) -> None:
    """Looking and deleting need to read the one queue; sending back needs to write to the default exchange, too."""
    place.administrator.run("apply", "--yes", "--allow", "adopt").check(0)
    letter = {"routing_key": "clerk.orders", "payload": "{}", "payload_encoding": "string", "properties": {}}
    rejection = {"count": 1, "ackmode": "reject_requeue_false", "encoding": "auto"}
    for _ in range(2):
        assert place.ok("POST", f"exchanges/{place.vhost}/amq.default/publish", letter)["routed"]
        assert place.ok("POST", f"queues/{place.vhost}/clerk.orders/get", rejection)

    def dlq(write: str, *command: str) -> ToolAnswer:
        login = place.login(permissions=("", write, r"^clerk\.orders\.rejected$"))
        tool = login.having(LETRADE_TOPO_AMQP=place.broker.amqps_url)
        return tool.run("dlq", *command, "--from", "clerk.orders.rejected")

    assert "clerk.orders.rejected: 2 messages" in dlq("", "ls").check(0).out
    sending = ("replay", "--unproven", "--limit", "1", "--yes")
    assert "amq.default" in dlq("", *sending).check(1).err
    dlq(r"^amq\.default$", *sending).check(0)
    assert "1 messages deleted" in dlq("", "purge", "--queue", "clerk.orders", "--count", "1").check(0).out
