"""The table of what works with which tag, cell by cell, by users that have exactly that tag."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.login_rights import TASKS, Works, works
from letrade_topo.broker.objects import Kind
from letrade_topo.broker.reach import Tag
from tests.brokers import BrokerFactory
from tests.controllers import running_controller
from tests.scope.conftest import Place
from tests.tool import Tool
from tests.topologies import write

pytestmark = [pytest.mark.broker, pytest.mark.one_version]  # all: --every-version

LIMIT_SECONDS = 60.0
TAGS = (None, *Tag)


def everything(vhost: str) -> dict[str, Any]:
    """A topology with something of each kind."""
    policy = {"pattern": "^work$", "apply_to": "queues"}
    rule = {"exchange": "orders", "write": "^a$", "read": "^b$"}
    return {
        "topology": 1,
        "name": vhost,
        "vhost": {"name": vhost, "description": "of the test"},
        "security": {"tls": {"required": False}},
        "limits": {"max_connections": 50},
        "exchanges": {"orders": {}},
        "queues": {"work": {"type": "classic"}},
        "bindings": [{"source": "orders", "queue": "work", "routing_key": "#"}],
        "policies": {"capped": policy | {"definition": {"max-length": 9}}},
        "operator_policies": {"short": policy | {"definition": {"max-length": 8}}},
        "parameters": {"federation-upstream": {"east": {"uri": {"env": "EAST"}}}},
        "users": {
            f"{vhost}-made": {
                "password": {"env": "MADE"},
                "limits": {"max_connections": 3},
                "permissions": {"read": "^orders$"},
                "topic_permissions": [rule],
            }
        },
        "global_parameters": {f"{vhost}-ours": {"is": "ours"}},
    }


@pytest.fixture
def places(start_broker: BrokerFactory, broker_version: str, tmp_path: Path) -> dict[Tag | None, Place]:
    """A vhost and a folder for each tag, on a broker that knows upstreams."""
    broker = start_broker(broker_version, plugins=("rabbitmq_federation",))
    found = {}
    for tag in TAGS:
        name = f"of-{tag or 'nobody'}"
        folder = tmp_path / name
        folder.mkdir()
        found[tag] = Place(broker, name, folder)
        found[tag].ok("PUT", f"vhosts/{name}", {})
        write(folder / "topology.yaml", everything(name))
    return found


def test_each_cell(places: dict[Tag | None, Place]) -> None:
    """What the table says is what a plan says, what `apply` makes, and what `destroy` takes away."""
    with ThreadPoolExecutor(len(places)) as pool:
        seen = dict(zip(places, pool.map(_row, places, places.values()), strict=True))
    table = {tag: {task.name: works(task, tag) for task in TASKS} for tag in TAGS}
    assert seen == table


def _row(tag: Tag | None, place: Place) -> dict[str, Works]:
    """A row of the table, by trying."""
    tool = place.login(*([tag] if tag else [])).having(EAST="amqp://127.0.0.1:1", MADE="a password of ours")
    if tag not in (None, Tag.ADMINISTRATOR):
        tool = tool.having(MADE="")  # who cannot look at users needs no password of theirs
    row = {"`validate`": _is_done(tool, "validate"), "`dlq`, over AMQP": Works.YES}  # by a test of its own
    planned = tool.run("plan", "--format", "json")
    if planned.code != 2:
        for command in (["apply", "--yes"], ["drift"], ["export"], ["destroy", "--yes"]):
            assert "it needs the tag 'management'" in tool.run(*command).check(planned.code).err
        return row | {task.name: Works.NO for task in TASKS if task.needs_api}
    plan = json.loads(planned.out)
    row |= {task.name: min((_said(plan, kind) for kind in task.kinds), key=_worst) for task in TASKS if task.kinds}
    tool.run("apply", "--yes", "--allow", "adopt").check(0)
    made = _made(place)
    said = {kind: _said(plan, kind) for kind in Kind}
    assert made == {kind for kind, works in said.items() if works is Works.YES}
    is_whole = all(works is not Works.READ for works in said.values())
    drift = tool.run("drift").check(0 if is_whole else 2)
    assert ("Not looked at: " in drift.err) == (Works.UNSEEN in said.values())
    _exported(tool, place)
    _watched(place, tool, said)
    _until_counted(place, tool)
    tool.run("destroy", "--yes").check(0)
    assert not _made(place) - {Kind.VHOST}
    assert not place.records()
    return row | {"`plan`, `apply`, `drift`, `destroy`, `watch`": Works.YES, "`export`": Works.YES}


def _worst(one: Works) -> int:
    return [Works.NO, Works.UNSEEN, Works.READ, Works.YES].index(one)


def _is_done(tool: Tool, *command: str) -> Works:
    return Works.YES if tool.run(*command).code == 0 else Works.NO


def _said(plan: Mapping[str, Any], kind: Kind) -> Works:
    """What a plan for a broker without any of it says of a kind."""
    found = {
        Works.YES: any(one["kind"] == kind for one in plan["changes"]),
        Works.READ: any(
            one["name"] == "out-of-reach" and one["address"].startswith(f"{kind}:") for one in plan["findings"]
        ),
        Works.UNSEEN: plan["scope"]["not_looked_at"].get(kind, 0) > 0,
    }
    (only,) = (works for works, is_so in found.items() if is_so)
    return only


def _made(place: Place) -> set[Kind]:
    """The kinds of which the declared object is there, as the administrator sees it."""
    vhost, user = place.vhost, f"{place.vhost}-made"
    paths = {
        Kind.EXCHANGE: f"exchanges/{vhost}/orders",
        Kind.QUEUE: f"queues/{vhost}/work",
        Kind.POLICY: f"policies/{vhost}/capped",
        Kind.OPERATOR_POLICY: f"operator-policies/{vhost}/short",
        Kind.PARAMETER: f"parameters/federation-upstream/{vhost}/east",
        Kind.USER: f"users/{user}",
        Kind.PERMISSION: f"permissions/{vhost}/{user}",
        Kind.TOPIC_PERMISSION: f"topic-permissions/{vhost}/{user}",
        Kind.GLOBAL_PARAMETER: f"global-parameters/{vhost}-ours",
    }
    made = {kind for kind, path in paths.items() if place.broker.api("GET", f"/api/{path}").status_code == 200}
    if any(one["source"] == "orders" for one in place.ok("GET", f"bindings/{vhost}")):
        made.add(Kind.BINDING)
    if place.ok("GET", f"vhost-limits/{vhost}"):
        made.add(Kind.VHOST_LIMIT)
    if any(one["user"] == user for one in place.ok("GET", "user-limits")):
        made.add(Kind.USER_LIMIT)
    if place.ok("GET", f"vhosts/{vhost}").get("description"):
        made.add(Kind.VHOST)
    return made


def _exported(tool: Tool, place: Place) -> None:
    """What is written has nothing to do on the broker that it is from."""
    tool.run("export", "--vhost", place.vhost, "--no-secrets", "-o", "exported").check(0)
    (file,) = (place.folder / "exported").glob("*.yaml")
    text = file.read_text()
    assert "orders" in text
    assert "letrade-topo." not in text
    hashes = {name: "x" for name in text.split() if name.startswith("PASSWORD")}
    assert "create" not in tool.having(**hashes).run("plan", str(file)).out


def _watched(place: Place, tool: Tool, said: Mapping[Kind, Works]) -> None:
    """The controller says by its metrics what it cannot look at."""
    options = () if said[Kind.USER] is Works.YES else ("--scope", "vhost")
    with running_controller(
        place.broker, place.folder / "topology.yaml", options=options, environment=tool.environment
    ) as controller:
        controller.until(lambda: controller.metric("drift_checks_total", outcome="error") == 0, "no error")
        controller.until(lambda: controller.metric("drift_check_last_success_timestamp_seconds") > 0, "a look")
        unseen = controller.metric("not_looked_at_objects")
    assert (unseen > 0) == (Works.UNSEEN in said.values())


def _until_counted(place: Place, tool: Tool) -> None:
    """The broker says how many consumers the queue has: of a new one its statistics say nothing at first."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while "consumers" not in place.ok("GET", f"queues/{place.vhost}/work?columns=consumers"):
        assert time.monotonic() < deadline, "the statistics never came"
        time.sleep(0.2)
