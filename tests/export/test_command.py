"""`letrade-topo export` without a broker: from definitions files, and of topology files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.passwords import matches
from letrade_topo.cli.main import letrade_topo
from letrade_topo.exit_codes import ExitCode
from letrade_topo.program import run
from tests.topologies import orders, write

HASH = "2eZ4AM8CXSMu2BmuSDwQYQJbJmeBVTFSA9UUBBfBPBMZHVhS"
OTHER = "AAAAAM8CXSMu2BmuSDwQYQJbJmeBVTFSA9UUBBfBPBMZHVhS"


def main(arguments: list[str]) -> int:
    """The command in this process, which is much faster than a new one."""
    return run(letrade_topo, "letrade-topo", arguments)


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of two vhosts, with users whose names are alike once a file name is made of them."""
    monkeypatch.chdir(tmp_path)
    algorithm = "rabbit_password_hashing_sha256"
    users = [("team a", HASH), ("team-a", OTHER), ("both", HASH)]
    rights = [("team a", "one"), ("both", "one"), ("team-a", "two"), ("both", "two")]
    document: dict[str, Any] = {
        "vhosts": [{"name": "one"}, {"name": "two"}],
        "users": [
            {"name": name, "password_hash": found, "hashing_algorithm": algorithm, "tags": []} for name, found in users
        ],
        "permissions": [
            {"user": user, "vhost": vhost, "configure": "", "write": ".*", "read": ".*"} for user, vhost in rights
        ],
        "queues": [
            {"name": name, "vhost": "one", "durable": True, "auto_delete": False, "arguments": {}}
            for name in ("orders.a", "orders.b", "bills")
        ],
        "exchanges": [{"name": "in", "vhost": "one", "type": "topic", "durable": True, "arguments": {}}],
        "bindings": [
            {"source": "in", "vhost": "one", "destination_type": "queue", "destination": name, "routing_key": "#"}
            for name in ("orders.a", "bills")
        ],
    }
    Path("definitions.json").write_text(json.dumps(document), encoding="utf-8")
    return "definitions.json"


def test_each_vhost_is_a_file_and_each_secret_its_own(definitions: str) -> None:
    """What both vhosts share is one file; who only looks alike has another."""
    assert main(["export", "--from", definitions, "-o", "found"]) == ExitCode.OK

    files = {path.name: path.read_text(encoding="utf-8") for path in Path("found").glob("*.yaml")}
    assert files.keys() == {"one.yaml", "two.yaml"}
    secrets = {path.name: path.read_text(encoding="utf-8") for path in Path("found/secrets").iterdir()}
    assert set(secrets) == {"team-a.hash", "team-a-2.hash", "both.hash"}
    assert HASH in secrets["team-a.hash"]
    assert OTHER in secrets["team-a-2.hash"]
    assert "{file: secrets/team-a-2.hash}" in files["two.yaml"]


def test_nothing_is_replaced_without_a_word(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run into the same folder says so, and changes nothing."""
    assert main(["export", "--from", definitions, "-o", "found"]) == ExitCode.OK
    Path("found/one.yaml").write_text("mine", encoding="utf-8")

    assert main(["export", "--from", definitions, "-o", "found"]) == ExitCode.USAGE
    assert "--force" in capsys.readouterr().err
    assert Path("found/one.yaml").read_text(encoding="utf-8") == "mine"
    assert main(["export", "--from", definitions, "-o", "found", "--force"]) == ExitCode.OK
    assert Path("found/one.yaml").read_text(encoding="utf-8") != "mine"


def test_several_vhosts_want_a_folder(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output takes one; then no hash is printed, only where a password is to be filled in."""
    assert main(["export", "--from", definitions]) == ExitCode.USAGE
    assert "'one', 'two'" in capsys.readouterr().err

    assert main(["export", "--from", definitions, "--vhost", "one"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "password: {env: TEAM_A_PASSWORD}" in printed
    assert HASH not in printed
    assert main(["export", "--from", definitions, "--vhost", "three"]) == ExitCode.USAGE
    assert "there are: 'one', 'two'" in capsys.readouterr().err


def test_some_objects_come_with_what_they_need(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Queues by a glob, the exchange that leads to one of them; no others, and no users."""
    assert main(["export", "--from", definitions, "--vhost", "one", "--only", "queue:orders.*"]) == ExitCode.OK

    printed = capsys.readouterr().out
    assert "orders.a" in printed
    assert "orders.b" in printed
    assert "source: in" in printed
    assert "bills" not in printed
    assert "users" not in printed


def test_a_glob_that_means_nothing_is_said(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty topology, which a plan would take at its word."""
    assert main(["export", "--from", definitions, "--vhost", "one", "--only", "orders.*"]) == ExitCode.USAGE
    assert "queue:orders.*" in capsys.readouterr().err


def test_no_secret_is_written_where_none_is_wanted(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither hashes nor the addresses of shovels, in definitions as in topologies."""
    document = json.loads(Path(definitions).read_text(encoding="utf-8"))
    shovel = {"src-uri": "amqp://a:hidden@b", "dest-uri": ["amqp://c", "amqp://d:hidden@e"]}
    document["parameters"] = [{"vhost": "one", "component": "shovel", "name": "s", "value": shovel}]
    Path(definitions).write_text(json.dumps(document), encoding="utf-8")

    for format_ in ("definitions", "yaml"):
        arguments = ["export", "--from", definitions, "--vhost", "one", "--no-secrets", "--format", format_]
        assert main(arguments) == ExitCode.OK
        printed = capsys.readouterr().out
        assert "hidden" not in printed
        assert HASH not in printed


def test_a_password_in_plain_text_is_kept_where_hashes_are(
    definitions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And hashed where the definitions of RabbitMQ are asked for, as an import would; on standard output it is not."""
    document = json.loads(Path(definitions).read_text(encoding="utf-8"))
    document["users"][0] = {"name": "team a", "password": "s3cret one", "tags": "management"}
    Path(definitions).write_text(json.dumps(document), encoding="utf-8")

    assert main(["export", "--from", definitions, "-o", "found"]) == ExitCode.OK
    assert "password: {file: secrets/team-a.password}" in Path("found/one.yaml").read_text(encoding="utf-8")
    secret = Path("found/secrets/team-a.password")
    assert secret.read_text(encoding="utf-8") == "s3cret one\n"
    assert secret.stat().st_mode & 0o777 == 0o600

    assert main(["export", "--from", definitions, "--format", "definitions"]) == ExitCode.OK
    user = next(one for one in json.loads(capsys.readouterr().out)["users"] if one["name"] == "team a")
    assert matches("s3cret one", user["password_hash"], user["hashing_algorithm"])

    assert main(["export", "--from", definitions, "--vhost", "one"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "password: {env: TEAM_A_PASSWORD}" in printed.out
    assert "s3cret one" not in printed.out + printed.err


def test_values_that_no_broker_would_take(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file may hold anything: what has no word stays an argument, and `validate` says what is wrong with it."""
    document = json.loads(Path(definitions).read_text(encoding="utf-8"))
    for queue, arguments in zip(
        document["queues"],
        (
            {"x-overflow": "burst", "x-dead-letter-exchange": "in", "x-dead-letter-strategy": 7},
            {"x-queue-type": "jms"},
            {"x-message-ttl": "soon", "x-max-priority": True},
        ),
        strict=True,
    ):
        queue["arguments"] = arguments
    Path(definitions).write_text(json.dumps(document), encoding="utf-8")

    assert main(["export", "--from", definitions, "--vhost", "one"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "x-overflow: burst" in printed.out
    assert "x-message-ttl: soon" in printed.out
    assert "orders.b" in printed.err  # of a type that is none


def test_a_kind_is_left_out(definitions: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Users with their rights."""
    assert main(["export", "--from", definitions, "--vhost", "one", "--without", "users"]) == ExitCode.OK

    printed = capsys.readouterr().out
    assert "bills" in printed
    assert "team" not in printed


def test_a_topology_that_is_there_already_keeps_its_name(definitions: str) -> None:
    """Its policies would collide with those that a topology of its name derives."""
    document = json.loads(Path(definitions).read_text(encoding="utf-8"))
    policy = {"pattern": "^bills$", "apply-to": "queues", "definition": {"max-length": 5}, "priority": 2}
    document["policies"] = [policy | {"vhost": "one", "name": "one.queue.bills"}]
    Path(definitions).write_text(json.dumps(document), encoding="utf-8")

    assert main(["export", "--from", definitions, "-o", "found"]) == ExitCode.OK
    assert main(["validate", "found/one-2.yaml"]) == ExitCode.OK


def test_a_topology_as_definitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the passwords where their references lead, or without any."""
    monkeypatch.chdir(tmp_path)
    document = orders(users={"watcher": {"password": {"env": "WATCHER"}, "tags": ["monitoring"]}})
    write(Path("topology.yaml"), document)
    monkeypatch.setenv("WATCHER", "s3cret")

    assert main(["export", "topology.yaml", "--format", "definitions"]) == ExitCode.OK
    made = json.loads(capsys.readouterr().out)
    watcher = next(user for user in made["users"] if user["name"] == "watcher")
    assert watcher["password_hash"]
    assert {queue["name"] for queue in made["queues"]} >= {"clerk.orders", "clerk.orders.rejected", "letrade.dlq"}

    monkeypatch.delenv("WATCHER")
    assert main(["export", "topology.yaml", "--format", "definitions"]) == ExitCode.INVALID_FILE
    assert "WATCHER" in capsys.readouterr().err
    assert main(["export", "topology.yaml", "--format", "definitions", "--no-secrets"]) == ExitCode.OK
    made = json.loads(capsys.readouterr().out)
    assert not any(user["password_hash"] for user in made["users"])


def test_several_topologies_as_one_definitions_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What two of them declare is there once; an AsyncAPI document is of one."""
    monkeypatch.chdir(tmp_path)
    users = {"watcher": {"password": {"env": "WATCHER"}}}
    for name, vhost in (("one", "v"), ("two", "v"), ("three", "w")):
        exchanges = {"x": {"type": "fanout"}, name: {"type": "fanout"}}
        document = {"topology": 1, "name": name, "vhost": vhost, "ownership": "shared", "users": users}
        write(Path(f"{name}.yaml"), document | {"exchanges": exchanges})
    monkeypatch.setenv("WATCHER", "s3cret")

    assert main(["export", ".", "--format", "definitions"]) == ExitCode.OK
    made = json.loads(capsys.readouterr().out)
    assert sorted(one["name"] for one in made["vhosts"]) == ["v", "w"]
    assert [one["name"] for one in made["users"]] == ["watcher"]
    found = sorted((one["vhost"], one["name"]) for one in made["exchanges"])
    assert found == [("v", "one"), ("v", "two"), ("v", "x"), ("w", "three"), ("w", "x")]
    assert main(["export", ".", "--format", "asyncapi"]) == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["topology.yaml"],
        ["topology.yaml", "--from", "definitions.json", "--format", "asyncapi"],
        ["--from", "definitions.json", "--format", "asyncapi"],
    ],
)
def test_what_makes_no_sense_is_said(
    definitions: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A topology as YAML, two sources at once, message types of a broker."""
    write(Path("topology.yaml"), orders())

    assert main(["export", *arguments]) == ExitCode.USAGE
    assert "Error: " in capsys.readouterr().err
