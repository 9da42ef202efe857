"""Open connections of users whose password or rights change: they go on, unless `apply` is told to close them."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pika
import pytest
from pika.exceptions import ConnectionClosedByBroker, ConnectionWrongStateError

from letrade_topo.apply.connections import DELETED, PASSWORD, RIGHTS, TAGS, outlived
from letrade_topo.broker.objects import BrokerObject, Permission, TopicPermission, User
from letrade_topo.broker.order import Stage
from letrade_topo.plan.change import Action, Change, ChangeReason
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import orders, write

LIMIT_SECONDS = 60.0


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool with a topology whose services have passwords; its users go at the end."""
    document = orders(name=vhost_name, vhost=vhost_name)
    for name, service in document["services"].items():
        service["password"] = {"env": name.upper()}
    write(tmp_path / "topology.yaml", document)
    yield Tool.at(broker, tmp_path).having(SHOP="first", CLERK="other")
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def connect(broker: RunningBroker, user: str, password: str, vhost: str) -> pika.BlockingConnection:
    """A client of the broker."""
    parameters = pika.ConnectionParameters(
        host="127.0.0.1",
        port=broker.amqps_port,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(user, password),
        ssl_options=pika.SSLOptions(ssl.create_default_context(cafile=broker.ca_file), "localhost"),
    )
    return pika.BlockingConnection(parameters)


def is_closed(connection: pika.BlockingConnection, seconds: float) -> str | None:
    """Why the broker has closed it; None where it is open after so many seconds."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            connection.process_data_events(time_limit=0.1)
        except (ConnectionClosedByBroker, ConnectionWrongStateError) as error:
            return str(error)
    return None


def test_a_rotated_password_leaves_connections_open_unless_told_otherwise(
    tool: Tool, broker: RunningBroker, vhost_name: str
) -> None:
    """Said by a plain apply; `--close-connections` closes those of the user whose password changed, and says so."""
    shop, clerk = f"{vhost_name}-shop", f"{vhost_name}-clerk"
    tool.run("apply", "--yes").check(0)
    ours, theirs = connect(broker, shop, "first", vhost_name), connect(broker, clerk, "other", vhost_name)

    plain = tool.having(SHOP="second").run("apply", "--yes").check(0)

    assert f"{shop} (password changed); --close-connections ends them" in plain.out
    assert is_closed(ours, 0.5) is None
    closing = tool.having(SHOP="third").run("apply", "--yes", "--close-connections", "--format", "json").check(0)
    expected = {"user": shop, "reason": "password changed", "connections": 1, "failure": None}
    assert json.loads(closing.out)["closed_connections"] == [expected]
    assert "password changed" in (is_closed(ours, LIMIT_SECONDS) or "")
    assert is_closed(theirs, 0.5) is None

    # rights, and a user that goes
    document = orders(
        name=vhost_name,
        vhost=vhost_name,
        queues=None,
        messages=None,
        services={"shop": {"user": shop, "password": {"env": "SHOP"}}},
    )
    again = connect(broker, shop, "third", vhost_name)
    write(tool.folder / "topology.yaml", document)
    allowed = ("--allow", "delete-many", "--allow", "delete-consumed=queue:clerk.orders")
    done = tool.having(SHOP="third").run("apply", "--yes", "--close-connections", *allowed)
    done.check(0)
    assert f"closed 1 connection of {shop!r}: rights changed" in done.out
    assert f"of {clerk!r}: user deleted" in done.out
    assert is_closed(again, LIMIT_SECONDS)
    assert is_closed(theirs, LIMIT_SECONDS)
    for one in (ours, theirs, again):
        with suppress(ConnectionWrongStateError):
            one.close()


def change(before: BrokerObject | None, after: BrokerObject | None) -> Change:
    """A change of an object."""
    action = Action.CREATE if before is None else Action.DELETE if after is None else Action.UPDATE
    return Change(action, before, after, ChangeReason.DIFFERS, Stage.USERS)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([change(User("u", (), password_hash="a"), User("u", (), password_hash="b"))], PASSWORD),
        ([change(User("u", ("monitoring",)), User("u", ()))], TAGS),
        ([change(User("u", ()), User("u", ("monitoring",)))], None),
        ([change(User("u"), None)], DELETED),
        ([change(Permission("u", "a", "b", "c"), Permission("u", "", "b", "c"))], RIGHTS),
        ([change(Permission("u", "", "", ""), Permission("u", "", "b", "c"))], None),
        ([change(Permission("u", "", "b", ""), None)], RIGHTS),
        ([change(None, Permission("u", "", "b", ""))], None),
        ([change(None, TopicPermission("u", "x", "a", "b"))], RIGHTS),
        ([change(TopicPermission("u", "x", "a", "b"), TopicPermission("u", "x", "a", ""))], RIGHTS),
        ([change(None, User("u")), change(None, TopicPermission("u", "x", "a", "b"))], None),
    ],
)
def test_whose_connections_outlive_a_change(changes: list[Change], expected: str | None) -> None:
    """Those that may do less, or log in otherwise; nobody new has any."""
    assert outlived(changes) == ({"u": expected} if expected else {})
