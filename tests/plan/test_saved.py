"""Saved plans: what was reviewed is what is applied, or nothing."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from letrade_topo.broker.objects import Queue
from letrade_topo.broker.state import LiveListener
from letrade_topo.model.security import SecretReference, SecretSource
from letrade_topo.model.topology import BrokerAccess
from letrade_topo.plan import saved
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, plan_for
from letrade_topo.plan.saved import InvalidPlanFile, SavedPlan
from letrade_topo.render.plan_json import plan_to_json
from tests.examples_per_property import ordinary_examples
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, orders

ACCESS = BrokerAccess("https://broker:15671", "admin", SecretReference(SecretSource.FILE, "/run/password"), "ca.pem")


def busy() -> Document:
    """A topology with an object of every kind."""
    document = orders(
        limits={"max_connections": 100},
        ignore=["queue:federation.*"],
        policies={"own": {"pattern": "^x", "definition": {"max-length": 5}}},
        users={"orders-eve": {"tags": ["monitoring"], "limits": {"max_channels": 5}, "password": {"env": "EVE"}}},
    )
    document["exchanges"]["by-header"] = {"type": "headers"}
    document["bindings"] = [{"source": "by-header", "queue": "clerk.orders", "arguments": {"x-match": "all", "a": 1}}]
    return document


def world() -> PlanWorld:
    """A broker on which some of it is missing and something else is there."""
    made = PlanWorld.in_sync(busy()).remove("queue:clerk.orders", "policy:own").add(Queue("by-hand"))
    made.listeners = (LiveListener("amqp", "::", 5672),)
    return made


def planned(here: PlanWorld) -> Plan:
    """The plan for it, with the password at hand."""
    reference = here.topology.users["orders-eve"].password
    assert reference is not None
    return here.plan("delete-unmanaged", secrets={reference: "geheim"})


def save(file: Path, plan: Plan) -> Path:
    """Save a plan as the command line does."""
    saved.save(file, [SavedPlan.of(plan, tls_required=True, access=ACCESS)], plan_to_json(plan))
    return file


def test_a_saved_plan_is_told_from_a_topology(tmp_path: Path) -> None:
    """`apply FILE` takes both."""
    topology = tmp_path / "topology.yaml"
    topology.write_text("topology: 1\nname: x\n", encoding="utf-8")
    assert saved.is_saved_plan(save(tmp_path / "plan", planned(world())))
    assert not saved.is_saved_plan(topology)
    assert not saved.is_saved_plan(tmp_path / "missing")
    assert not saved.is_saved_plan(tmp_path)


def test_a_saved_plan_makes_the_same_plan_again(tmp_path: Path) -> None:
    """On the same broker: same changes, same findings, same fingerprint."""
    here = world()
    plan = planned(here)
    (back,) = saved.load(save(tmp_path / "plan", plan))
    reference = here.topology.users["orders-eve"].password
    assert reference is not None
    request = PlanRequest(
        back.scope,
        lambda _: back.desired,
        here.request().locate,
        {reference: "geheim"},
        back.allowances,
        tls_required=back.tls_required,
    )
    again = plan_for(here.live, request, dict)
    assert again.fingerprint == back.fingerprint == plan.fingerprint
    assert [(change.action, change.address) for change in again.changes] == [
        (change.action, change.address) for change in plan.changes
    ]
    assert again.findings == plan.findings
    assert again.desired.policies == plan.desired.policies
    assert back.access == ACCESS
    assert back.scope == plan.scope


def test_it_reads_like_the_report(tmp_path: Path) -> None:
    """`plan --format json` and more, so that programs can read it."""
    content = json.loads(save(tmp_path / "plan", planned(world())).read_text(encoding="utf-8"))
    assert content["format_version"] == "1.0"
    assert {"changes", "unmanaged", "findings", "summary", "apply", "digest"} <= content.keys()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A saved plan as bytes."""
    return save(tmp_path_factory.mktemp("saved") / "plan", planned(world())).read_bytes()


@given(data=st.data())
@settings(
    deadline=None, max_examples=3 * ordinary_examples(), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_edit_of_any_byte_is_found(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Replaced, removed or added anywhere; white space too, because a person reviewed the text."""
    position = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, 1))
    new = data.draw(st.binary(min_size=0 if cut else 1, max_size=1))
    edited = whole[:position] + new + whole[position + cut :]
    if edited == whole:
        return
    file = tmp_path / "edited"
    file.write_bytes(edited)
    with pytest.raises(InvalidPlanFile):
        saved.load(file)


@given(length=st.integers(0, 10_000_000))
@settings(deadline=None, max_examples=ordinary_examples(), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_plan_is_found(whole: bytes, tmp_path: Path, length: int) -> None:
    """Cut anywhere."""
    file = tmp_path / "cut"
    file.write_bytes(whole[: length % len(whole)])
    with pytest.raises(InvalidPlanFile):
        saved.load(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"text"',
        b"{}",
        b'{"format_version": "2.0"}',
        b'{"format_version": null}',
        b'{"format_version": ' + b"[" * 200_000,
        b"\xff\xfe",
        b'{"format_version": "1.0", "digest": 5, "apply": {}}',
    ],
    ids=["empty", "list", "text", "object", "newer", "null", "deep", "binary", "digest"],
)
def test_whatever_else_is_no_plan_either(content: bytes, tmp_path: Path) -> None:
    """One clear error, never a traceback."""
    file = tmp_path / "plan"
    file.write_bytes(content)
    with pytest.raises(InvalidPlanFile) as error:
        saved.load(file)
    assert str(file) in str(error.value)


def test_an_edit_that_a_person_would_not_see_is_found(whole: bytes, tmp_path: Path) -> None:
    """A name that stands twice: readers see the first, JSON keeps the last."""
    file = tmp_path / "plan"
    file.write_bytes(whole.replace(b'{\n "format_version"', b'{\n "changes": [],\n "format_version"', 1))
    with pytest.raises(InvalidPlanFile, match="changed after it was saved"):
        saved.load(file)


def test_saving_is_all_or_nothing(tmp_path: Path) -> None:
    """Where it cannot be written there is an error, and no partial file."""
    with pytest.raises(Exception, match="cannot write"):
        save(tmp_path / "no" / "such" / "folder", planned(world()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_saved_plan_goes_where_the_name_leads(tmp_path: Path, kind: str) -> None:
    """`-o` onto a link writes what it leads to, onto a pipe what it stands for; neither becomes a file."""
    end, name = tmp_path / "end", tmp_path / kind
    read: list[bytes] = []
    if kind == "link":
        end.write_text("old", encoding="utf-8")
        name.symlink_to("end")
    else:
        os.mkfifo(name)
        reader = threading.Thread(target=lambda: read.append(name.read_bytes()), daemon=True)
        reader.start()

    save(name, planned(world()))

    if kind == "link":
        assert name.is_symlink()
        assert stat.S_IMODE(end.stat().st_mode) == 0o600
    else:
        assert name.is_fifo()
        reader.join(30)
        end.write_bytes(read[0])
    assert saved.load(end)[0].scope == planned(world()).scope
