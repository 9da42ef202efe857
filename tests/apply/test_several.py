"""Several topologies in one run: one plan, one result, one exit code, each vhost under its own lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from letrade_topo.apply.lock import BrokerLock
from letrade_topo.broker_errors import BrokerUnreachable
from letrade_topo.cli import running
from letrade_topo.cli.main import main
from letrade_topo.exit_codes import ExitCode
from letrade_topo.management.client import ManagementClient
from tests.apply.test_between import Meddler
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of
from tests.tool import Tool, ended
from tests.topologies import Document, write

pytestmark = pytest.mark.broker

Call = Callable[..., int]


@pytest.fixture
def folder(broker: RunningBroker, vhost_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder `several` for topologies on vhosts that begin with this test's; all of them go at the end."""
    monkeypatch.chdir(tmp_path)
    for name, value in Tool.at(broker, tmp_path).environment.items():
        monkeypatch.setenv(name, value)
    several = tmp_path / "several"
    several.mkdir()
    yield several
    for kind in ("vhosts", "users", "global-parameters"):
        for one in broker.api("GET", f"/api/{kind}").json():
            if vhost_name in one["name"]:
                broker.api("DELETE", f"/api/{kind}/{quote(one['name'], safe='')}")


def called(*arguments: str) -> int:
    """The command line's exit code."""
    return main(list(arguments))


def document(prefix: str, name: str, **sections: Any) -> Document:
    """A topology on a vhost of its own, with a user and a parameter that all of them name."""
    return {
        "topology": 1,
        "name": f"{name}-{prefix}",
        "vhost": f"{prefix}-{name}",
        "ownership": "shared",
        "users": {f"{prefix}-user": {"permissions": {"configure": "", "write": "", "read": f"^{name}$"}}},
        "global_parameters": {f"{prefix}-parameter": {"all": True}},
        "exchanges": {"x": {"type": "fanout"}},
        "queues": {"q": {"type": "classic"}},
        "bindings": [{"source": "x", "queue": "q"}],
        **sections,
    }


def three(folder: Path, vhost: str) -> None:
    """Files for a, b, and c."""
    for name in "abc":
        write(folder / f"{name}.yaml", document(vhost, name))


def names(broker: RunningBroker, kind: str, vhost: str) -> list[str]:
    """What there is of this test."""
    return sorted(one["name"] for one in broker.api("GET", f"/api/{kind}").json() if vhost in one["name"])


def holds(broker: RunningBroker, vhost: str) -> bool:
    """Whether the queue of a topology is there."""
    return broker.api("GET", f"/api/queues/{vhost}/q").status_code == 200


def report(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was printed as JSON."""
    return json.loads(capsys.readouterr().out)


def test_a_broker_of_several_vhosts_comes_back(
    broker: RunningBroker, folder: Path, vhost_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exported, planned, deleted, applied, compared and destroyed as one."""
    vhosts = [f"{vhost_name}-{name}" for name in "abc"]
    user = f"{vhost_name}-user"
    hashed = {"password_hash": "WAbU0ogzcvjTSIYCXe5SYSsYfvBGBhBV4TB0+Gg0/OpfQOmK", "tags": "monitoring"}
    assert broker.api("PUT", f"/api/users/{user}", json=hashed).ok
    for vhost in vhosts:
        assert broker.api("PUT", f"/api/vhosts/{vhost}", json={}).ok
        rights = {"configure": "", "write": "", "read": f"^{vhost}$"}
        assert broker.api("PUT", f"/api/permissions/{vhost}/{user}", json=rights).ok
        for path in (f"exchanges/{vhost}/x", f"queues/{vhost}/q"):
            assert broker.api("PUT", f"/api/{path}", json={"type": "topic"} if "exch" in path else {}).ok
        assert broker.api("POST", f"/api/bindings/{vhost}/e/x/q/q", json={"routing_key": "a.*"}).ok
    known = broker.api("GET", f"/api/users/{user}").json()
    assert called("export", "-o", "found", "--without", "parameters", *(f"--vhost={one}" for one in vhosts)) == 0

    capsys.readouterr()
    assert called("plan", "found", "--format", "json") == ExitCode.OK
    planned = report(capsys)
    assert (planned["format_version"], planned["in_sync"], len(planned["topologies"])) == ("2.0", True, 3)
    for vhost in vhosts:
        assert broker.api("DELETE", f"/api/vhosts/{vhost}").ok
    assert broker.api("DELETE", f"/api/users/{user}").ok
    assert called("plan", "found", "--format", "json") == ExitCode.CHANGES
    planned = report(capsys)
    made = [one["address"] for entry in planned["topologies"] for one in entry["changes"]]
    assert made.count(f"user:{user}") == 1
    assert made.count(f"permission:{user}") == 3
    assert planned["summary"]["create"] == len(made)
    assert called("apply", "found", "--yes") == ExitCode.OK
    assert all(holds(broker, vhost) for vhost in vhosts)
    again = broker.api("GET", f"/api/users/{user}").json()
    assert (again["password_hash"], again["tags"]) == (known["password_hash"], known["tags"])
    assert called("drift", "found") == ExitCode.OK
    assert called("plan", "found") == ExitCode.OK
    assert called("destroy", "found", "--yes") == ExitCode.OK
    assert [names(broker, kind, vhost_name) for kind in ("vhosts", "users", "global-parameters")] == [[], [], []]


def test_what_two_share_survives_one(broker: RunningBroker, folder: Path, vhost_name: str) -> None:
    """A user, a global parameter, and an exchange that two claim in one vhost; then all of it goes with the last."""
    vhost = f"{vhost_name}-both"
    one = document(vhost_name, "one", vhost=vhost)
    other = document(vhost_name, "two", vhost=vhost, queues={"r": {"type": "classic"}}, bindings=[])
    other["bindings"] = [{"source": "x", "queue": "r"}]
    other["users"] = one["users"]
    write(folder / "one.yaml", one)
    write(folder / "two.yaml", other)
    assert called("apply", "several", "--yes") == ExitCode.OK
    assert called("drift", "several") == ExitCode.OK

    assert called("destroy", "several/one.yaml", "--yes") == ExitCode.OK
    assert not holds(broker, vhost)
    assert called("drift", "several/two.yaml") == ExitCode.OK
    assert called("apply", "several", "--yes") == ExitCode.OK
    assert called("destroy", "several", "--yes") == ExitCode.OK
    assert [names(broker, kind, vhost_name) for kind in ("vhosts", "users", "global-parameters")] == [[], [], []]


@pytest.mark.one_version
def test_a_lock_that_is_held_stops_all(
    broker: RunningBroker, folder: Path, vhost_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """75, and nothing is written, not even a vhost; the other locks are given back."""
    three(folder, vhost_name)
    assert called("apply", "several/a.yaml", "several/b.yaml", "--yes") == ExitCode.OK
    for name in "ab":
        write(folder / f"{name}.yaml", document(vhost_name, name, exchanges={"x": {"type": "fanout"}, "new": {}}))

    with (
        ManagementClient(endpoint_of(broker)) as client,
        BrokerLock(client, f"{vhost_name}-b", f"b-{vhost_name}", 5.0),
    ):
        assert called("apply", "several", "--yes", "--lock-timeout", "0.5") == ExitCode.LOCKED

    assert f"b-{vhost_name}" in capsys.readouterr().err
    assert names(broker, "vhosts", vhost_name) == [f"{vhost_name}-a", f"{vhost_name}-b"]
    assert broker.api("GET", f"/api/exchanges/{vhost_name}-a/new").status_code == 404
    assert called("apply", "several", "--yes", "--lock-timeout", "0.5") == ExitCode.OK


@pytest.mark.one_version
def test_two_runs_at_once_in_opposite_orders(broker: RunningBroker, folder: Path, vhost_name: str) -> None:
    """Neither waits for the other for ever: both take the locks in the same order."""
    three(folder, vhost_name)
    tool = Tool.at(broker, folder.parent)
    files = [f"several/{name}.yaml" for name in "abc"]
    runs = [tool.start("apply", "--yes", "--lock-timeout", "60", *order) for order in (files, files[::-1])]

    for run in runs:
        ended(run).check(0)
    assert called("drift", "several") == ExitCode.OK


@pytest.mark.one_version
def test_a_saved_plan_of_several(broker: RunningBroker, folder: Path, vhost_name: str) -> None:
    """Exactly that, or nothing: also where one of them alone has changed since."""
    three(folder, vhost_name)
    assert called("plan", "several", "-o", "saved.json") == ExitCode.CHANGES
    assert called("apply", "saved.json", "--yes") == ExitCode.OK
    assert called("drift", "several") == ExitCode.OK
    assert called("destroy", "several", "--yes") == ExitCode.OK
    assert called("plan", "several", "-o", "saved.json") == ExitCode.CHANGES
    assert called("apply", "several/c.yaml", "--yes") == ExitCode.OK

    assert called("apply", "saved.json", "--yes") == ExitCode.REFUSED
    assert names(broker, "vhosts", vhost_name) == [f"{vhost_name}-c"]
    assert called("apply", "saved.json", "several/a.yaml", "--yes") == ExitCode.USAGE


@pytest.mark.one_version
def test_what_fails_in_one_leaves_the_others(
    broker: RunningBroker,
    folder: Path,
    vhost_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """3: the vhost of b goes during the run; c is made all the same, and b is named."""
    three(folder, vhost_name)
    count = 0

    def third_stage_of_queues() -> None:
        nonlocal count
        count += 1
        if count == 2:
            broker.api("DELETE", f"/api/vhosts/{vhost_name}-b")

    monkeypatch.setattr(running, "TerminalProgress", lambda: Meddler("queues", third_stage_of_queues))

    assert called("apply", "several", "--yes") == ExitCode.PARTLY_APPLIED
    assert [holds(broker, f"{vhost_name}-{name}") for name in "abc"] == [True, False, True]
    assert f"Topology 'b-{vhost_name}' on vhost '{vhost_name}-b':" in capsys.readouterr().out
    assert called("apply", "several", "--yes") == ExitCode.OK
    assert called("drift", "several") == ExitCode.OK


@pytest.mark.one_version
@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BrokerUnreachable("the broker has gone"), ExitCode.PARTLY_APPLIED, "failed"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "failed"),
    ],
    ids=["unreachable", "interrupted"],
)
def test_a_run_that_breaks_off_says_what_was_not_begun(
    broker: RunningBroker,
    folder: Path,
    vhost_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: ExitCode,
    status: str,
) -> None:
    """In the middle of the second one; the next run finishes."""
    three(folder, vhost_name)
    count = 0

    def broken_off() -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise error

    monkeypatch.setattr(running, "TerminalProgress", lambda: Meddler("queues", broken_off))

    assert called("apply", "several", "--yes", "--format", "json") == code
    document = report(capsys)
    assert [one["status"] for one in document["topologies"]] == ["done", status, "not-begun"]
    assert document["error"]["exit_code"] == code
    assert document["result_summary"]["not_begun"] == 1
    assert [holds(broker, f"{vhost_name}-{name}") for name in "abc"] == [True, False, False]
    monkeypatch.undo()
    Tool.at(broker, folder.parent).run("apply", "several", "--yes").check(0)


@pytest.mark.one_version
def test_guards_hold_for_each(
    broker: RunningBroker, folder: Path, vhost_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal of one is one of all; what allows it names the topology, and allows it there alone."""
    three(folder, vhost_name)
    assert called("apply", "several", "--yes") == ExitCode.OK
    write(folder / "a.yaml", document(vhost_name, "a", queues={"q": {"type": "classic"}, "new": {}}))
    for name in "bc":
        changed = document(vhost_name, name, exchanges={"x": {"type": "direct"}})
        changed["bindings"] = [{"source": "x", "queue": "q", "routing_key": "k"}]
        write(folder / f"{name}.yaml", changed)

    capsys.readouterr()
    allowed = (f"--allow=b-{vhost_name}/replace", f"--allow=b-{vhost_name}/delete-many")
    assert called("apply", "several", "--yes", *allowed) == ExitCode.REFUSED
    said = capsys.readouterr().err
    assert f"--allow c-{vhost_name}/replace" in said
    assert f"--allow b-{vhost_name}/replace" not in said
    assert broker.api("GET", f"/api/queues/{vhost_name}-a/new").status_code == 404
    assert called("apply", "several", "--yes", "--allow", "replace", "--allow", "delete-many") == ExitCode.OK
    assert called("apply", "several", "--yes", "--allow", "nobody/replace") == ExitCode.USAGE
    assert called("destroy", "several", "--yes", "--allow", "delete-messages=queue:q") == ExitCode.USAGE
