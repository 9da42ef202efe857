"""`letrade-topo validate` as people and pipelines call it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.load.marked import HEADER

SHIPPED = Path(__file__).parents[2] / "topology.yaml"
BROKEN = HEADER + "exchanges: {x: {kind: topic}}\nretry: {delay: 5}\n"
WARNED = HEADER + "services: {s: {}}\n"


def validate(
    *arguments: str, folder: Path, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with a clean environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LETRADE_")}
    done = subprocess.run(
        [sys.executable, "-m", "letrade_topo", "validate", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env={**inherited, "PYTHONPATH": str(SHIPPED.parent), **(environment or {})},
        timeout=60,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def write(folder: Path, text: str, name: str = "topology.yaml") -> None:
    """A file in the folder."""
    (folder / name).write_text(text, encoding="utf-8")


def test_a_valid_file_says_so_and_nothing_else(tmp_path: Path) -> None:
    """Exit 0, no data, one line of talk."""
    done = validate(str(SHIPPED), folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{SHIPPED}: valid\n"


def test_an_invalid_file_is_exit_65(tmp_path: Path) -> None:
    """All problems on stdout, the count on stderr; topology.yaml is the default."""
    write(tmp_path, BROKEN)

    done = validate(folder=tmp_path)

    assert done.returncode == 65
    assert "topology.yaml:5:17: error: unknown key [unknown-key]" in done.stdout
    assert "topology.yaml:6:16: error: unusable duration [duration]" in done.stdout
    assert done.stderr == "topology.yaml: 2 errors\n"
    assert "\x1b" not in done.stdout


def test_a_missing_file_is_exit_65(tmp_path: Path) -> None:
    """One message and no traceback."""
    done = validate(folder=tmp_path)

    assert done.returncode == 65
    assert "there is no such file" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.wide
def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    """They are shown in either case."""
    write(tmp_path, WARNED)

    assert [validate(*flags, folder=tmp_path).returncode for flags in ([], ["--strict"])] == [0, 65]
    assert validate(folder=tmp_path, environment={"LETRADE_TOPO_STRICT": "1"}).returncode == 65
    assert "service-without-messages" in validate(folder=tmp_path).stdout


def test_standard_input_is_a_file_too(tmp_path: Path) -> None:
    """For pipelines that make the topology."""
    done = validate("-", folder=tmp_path, stdin=BROKEN.encode())

    assert done.returncode == 65
    assert "<stdin>:5:17: error" in done.stdout


@pytest.mark.wide
def test_overlays_and_variables(tmp_path: Path) -> None:
    """By flag and by environment; a flag comes first."""
    write(tmp_path, HEADER + "variables: {kind: topik}\nexchanges: {x: {type: '${kind}'}}\n")
    write(tmp_path, "exchanges: {x: {durable: maybe}}\n", "overlay.yaml")

    assert "cannot be 'topik'" in validate(folder=tmp_path).stdout
    assert validate("--var", "kind=topic", folder=tmp_path).returncode == 0
    assert validate(folder=tmp_path, environment={"LETRADE_TOPO_VAR_KIND": "fanout"}).returncode == 0
    both = validate("--var", "kind=topic", folder=tmp_path, environment={"LETRADE_TOPO_VAR_KIND": "nope"})
    assert both.returncode == 0
    overlaid = validate("--overlay", "overlay.yaml", "--var", "kind=topic", folder=tmp_path)
    assert "overlay.yaml:1:26: error: wrong type" in overlaid.stdout
    by_environment = validate(folder=tmp_path, environment={"LETRADE_TOPO_OVERLAY": "overlay.yaml"})
    assert "overlay.yaml:1:26" in by_environment.stdout
    other = validate(folder=tmp_path, environment={"LETRADE_TOPO_FILE": "overlay.yaml"})
    assert "overlay.yaml:1:1: error: missing key" in other.stdout


@pytest.mark.parametrize("given", ["environment", "=x", ""])
def test_a_malformed_variable_is_a_usage_error(tmp_path: Path, given: str) -> None:
    """Exit 64, and how to write it."""
    done = validate("--var", given, folder=tmp_path)

    assert done.returncode == 64
    assert "NAME=VALUE" in done.stderr


def test_an_unknown_format_is_a_usage_error(tmp_path: Path) -> None:
    """Exit 64, not click's own 2, which would mean changes."""
    assert validate("--format", "yaml", folder=tmp_path).returncode == 64


@pytest.mark.wide
def test_formats_for_programs(tmp_path: Path) -> None:
    """Data alone on stdout, so that it can be piped; also when there is nothing to say."""
    write(tmp_path, BROKEN)

    assert json.loads(validate("--format", "json", folder=tmp_path).stdout)["errors"] == 2
    assert len(json.loads(validate("--format", "sarif", folder=tmp_path).stdout)["runs"][0]["results"]) == 2
    report = ElementTree.fromstring(validate("--format", "junit", folder=tmp_path).stdout)  # noqa: S314  # our own
    assert report.get("failures") == "2"
    assert validate("--format", "github", folder=tmp_path).stdout.count("::error ") == 2
    assert validate("--format", "markdown", folder=tmp_path).stdout.startswith("### `topology.yaml`: 2 errors")
    by_environment = validate(str(SHIPPED), folder=tmp_path, environment={"LETRADE_TOPO_FORMAT": "json"})
    assert json.loads(by_environment.stdout)["valid"] is True


def test_output_in_another_encoding_does_not_fail(tmp_path: Path) -> None:
    """A terminal that knows only ASCII still shows the problem."""
    write(tmp_path, HEADER + "exchanges: {가: {kind: 1}}\n")

    done = validate(folder=tmp_path, environment={"PYTHONIOENCODING": "ascii:backslashreplace", "LC_ALL": "C"})

    assert done.returncode == 65
    assert "unknown key" in done.stdout
