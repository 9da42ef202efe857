"""Set-ups that are broken for real: each is named in the first line, and what it says to do makes doctor content."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.cli.main import main
from tests.brokers import RunningBroker
from tests.doctor.set_ups import CASES, Break, SetUp, right
from tests.tool import Tool

EXIT_CODES = {
    "file": 65,
    "variables": 65,
    "secrets": 65,
    "port": 69,
    "name": 69,
    "tls": 69,
    "plugin": 69,
    "login": 69,
    "paths": 69,
    "lock": 75,
}
"""Of what is named in the first line; whatever is not here ends with some other code that is none of success."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the topology of all cases lies; its name is that of the vhost."""
    return tmp_path_factory.mktemp("doctor") / f"doctor-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def set_up(
    one_broker: RunningBroker, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[SetUp]:
    """A topology that has been applied; every case leaves it as it found it."""
    variables = right(one_broker)

    def run(*arguments: str) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for key, value in variables.items():
                patch.setenv(key, value)
            capsys.readouterr()
            code = main(list(arguments))
            return code, capsys.readouterr().out

    it = SetUp(one_broker, folder, folder.name, variables, run)
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    it.write()
    if is_new:
        assert run("apply", "--yes")[0] == 0
    yield it
    for user in ("eve", "mallory"):
        one_broker.api("DELETE", f"/api/users/{it.name}-{user}")


@pytest.fixture(scope="module", autouse=True)
def gone_afterwards(folder: Path) -> Iterator[list[RunningBroker]]:
    """What was applied is destroyed when all is done; a case lists its broker here."""
    brokers: list[RunningBroker] = []
    yield brokers
    for broker in brokers[:1]:
        Tool.at(broker, folder).run("destroy", "--yes", "--allow", "delete-many")


@pytest.mark.parametrize("broken", CASES, ids=lambda broken: broken.__name__)
def test_the_first_line_names_it_and_what_it_says_helps(
    set_up: SetUp, broken: Break, gone_afterwards: list[RunningBroker]
) -> None:
    """Broken: named, with its exit code and something to do. Done: nothing is wrong any more."""
    gone_afterwards.append(set_up.broker)
    steps = broken(set_up)
    expected = next(steps)
    try:
        code, text = set_up.run("doctor")
        first, *others = text.splitlines()
        (set_up.fix,) = (line.removeprefix("  do: ") for line in others if line.startswith("  do: "))
    finally:
        next(steps, None)
    is_warning = first.startswith("warning: ")
    named = first.removeprefix("warning: ").split(":")[0]
    assert first.startswith(expected), text
    assert code == (0 if is_warning else EXIT_CODES.get(named, code)), text
    assert is_warning or code != 0

    code, text = set_up.run("doctor")

    assert code == 0, text
    assert text.startswith("nothing is wrong: "), text
    steps.close()


def test_it_writes_nothing(set_up: SetUp) -> None:
    """Neither on the broker nor in the folder."""

    def everything() -> tuple[Any, list[Path]]:
        return set_up.broker.api("GET", "/api/definitions").json(), sorted(set_up.folder.rglob("*"))

    before = everything()

    assert set_up.run("doctor")[0] == 0
    assert everything() == before


def test_programs_get_each_check(set_up: SetUp) -> None:
    """What was seen, what is right, what to do; what rests on something broken was not asked."""
    set_up.variables["LETRADE_TOPO_PASSWORD_FILE"] = str(set_up.folder / "gone")

    code, text = set_up.run("doctor", "--format", "json")

    found = json.loads(text)
    checks = {one["name"]: one for one in found["checks"]}
    assert (code, found["cause"], found["format_version"]) == (65, "address", 1)
    assert checks["file"]["verdict"] == "ok"
    assert checks["address"]["verdict"] == "failed"
    assert all(checks["address"][key] for key in ("seen", "right", "fix", "kind"))


def test_there_are_enough() -> None:
    """Twenty-five at least."""
    assert len(CASES) >= 25
