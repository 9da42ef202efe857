"""Brokers as people have them: exported, planned, deleted, made again from what was exported, and they are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from letrade_topo.cli.main import letrade_topo
from letrade_topo.exit_codes import ExitCode
from letrade_topo.program import run
from tests.brokers import BrokerFactory, RunningBroker
from tests.export.corpus import CASES, OF_PLUGINS, OF_SOME_VERSIONS, PLUGINS, definitions
from tests.tool import Tool

pytestmark = pytest.mark.broker


@pytest.fixture
def vhosts(broker: RunningBroker, vhost_name: str) -> Iterator[tuple[str, str]]:
    """Two vhosts that are not there yet; gone at the end, with the users named after the first."""
    yield vhost_name, f"{vhost_name}-second"
    for name in (vhost_name, f"{vhost_name}-second"):
        broker.api("DELETE", f"/api/vhosts/{name}")
    for user in broker.api("GET", "/api/users").json():
        if user["name"].startswith(vhost_name):
            broker.api("DELETE", f"/api/users/{quote(user['name'], safe='')}")
    for one in broker.api("GET", "/api/global-parameters").json():
        if vhost_name in one["name"]:
            broker.api("DELETE", f"/api/global-parameters/{quote(one['name'], safe='')}")


def exported_by_the_broker(broker: RunningBroker, prefix: str) -> dict[str, set[str]]:
    """What the broker says of these vhosts and their users, in any order; without what it says of itself."""
    whole = broker.api("GET", "/api/definitions").json()
    own = (broker.username,)
    found: dict[str, set[str]] = {}
    for category, items in whole.items():
        if category in {"rabbit_version", "rabbitmq_version", "product_name", "product_version", "global_parameters"}:
            continue
        for item in items if isinstance(items, list) else ():
            about = item.get("vhost") or item.get("name") or ""
            if str(about).startswith(prefix) and item.get("user") not in own:
                found.setdefault(category, set()).add(json.dumps(_known(item, category), sort_keys=True))
    return found


def _known(item: dict[str, Any], category: str) -> dict[str, Any]:
    if category == "vhosts":
        said = {**item.get("metadata", {}), **item}
        return {key: said.get(key) or None for key in ("name", "description", "default_queue_type")} | {
            "tags": sorted(said.get("tags") or [])
        }
    if category == "queues":
        return item | {"type": None}
    return item


def take_over_and_make_again(
    broker: RunningBroker, vhost: str, given: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import, export, plan, delete all of it, apply: the broker is as it was, and in sync."""
    names = [one["name"] for one in given["vhosts"]]
    answer = broker.api("POST", "/api/definitions", json=given)
    assert answer.ok, answer.text
    before = exported_by_the_broker(broker, vhost)
    for name, value in Tool.at(broker, Path()).environment.items():
        monkeypatch.setenv(name, value)

    assert called("export", "-o", "found", *(f"--vhost={name}" for name in names)) == ExitCode.OK

    assert len(list(Path("found").glob("*.yaml"))) == len(names)
    assert called("plan", "found") == ExitCode.OK
    for name in names:
        assert broker.api("DELETE", f"/api/vhosts/{name}").ok
    for user in given["users"]:
        assert broker.api("DELETE", f"/api/users/{quote(user['name'], safe='')}").ok
    assert called("apply", "--yes", "found") == ExitCode.OK
    assert exported_by_the_broker(broker, vhost) == before
    assert called("drift", "found") == ExitCode.OK


@pytest.mark.parametrize("case", CASES)
def test_taken_over_and_made_again(
    case: str, broker: RunningBroker, vhosts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plan` of what was exported is empty; applied to a broker without all that, it makes the same; in sync."""
    vhost, _ = vhosts
    monkeypatch.chdir(tmp_path)

    take_over_and_make_again(broker, vhost, definitions(CASES[case], vhost), monkeypatch)


@pytest.mark.parametrize("case", OF_SOME_VERSIONS)
def test_what_some_versions_have(
    case: str, broker: RunningBroker, vhosts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the object exists; elsewhere the plan says that the broker would refuse it, and nothing is half done."""
    since, until, given = OF_SOME_VERSIONS[case]
    vhost, _ = vhosts
    monkeypatch.chdir(tmp_path)
    document = definitions(given, vhost)
    if since <= broker.version_numbers[:2] < until:
        take_over_and_make_again(broker, vhost, document, monkeypatch)
        return
    Path("definitions.json").write_text(json.dumps(document), encoding="utf-8")
    for name, value in Tool.at(broker, Path()).environment.items():
        monkeypatch.setenv(name, value)
    assert called("export", "--from", "definitions.json", "-o", "found") == ExitCode.OK
    (file,) = map(str, Path("found").glob("*.yaml"))
    assert called("apply", "--yes", file) == ExitCode.REFUSED
    assert broker.api("GET", f"/api/vhosts/{vhost}").status_code == requests.codes.not_found


def test_what_plugins_have(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchange types, shovels and upstreams; addresses with a password lie in files of their own."""
    monkeypatch.chdir(tmp_path)
    broker = start_broker(broker_version, plugins=PLUGINS)

    take_over_and_make_again(broker, "plugged", definitions(OF_PLUGINS, "plugged"), monkeypatch)

    assert "hidden" not in Path("found/plugged.yaml").read_text(encoding="utf-8")
    secrets = {path.name: path for path in Path("found/secrets").iterdir()}
    of_shovel = {"shovel-move-src-uri.uri", "shovel-move-dest-uri-2.uri"}
    assert secrets.keys() >= {*of_shovel, "federation-upstream-east-uri.uri"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in secrets.values())


def called(*arguments: str) -> int:
    """A command in this process, which is much faster than a new one; its exit code."""
    return run(letrade_topo, "letrade-topo", list(arguments))
