"""Several FILEs and folders: which topologies are meant, what is said of them together, and one exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from letrade_topo.cli.main import main
from letrade_topo.exit_codes import ExitCode
from tests.topologies import write

HEAD = "topology: 1\nname: {name}\nvhost: {name}\nownership: shared\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder `several` of two topologies."""
    monkeypatch.chdir(tmp_path)
    several = tmp_path / "several"
    several.mkdir()
    (several / "b.yaml").write_text(HEAD.format(name="b") + "users: {u: {tags: [monitoring]}}\n")
    (several / "a.yml").write_text("# about\n---\n" + HEAD.format(name="a") + "users: {u: {tags: [monitoring]}}\n")
    return several


def test_a_folder_is_its_topologies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of names, each once, however often it is named; what is none is left out aloud."""
    (folder / "production.yaml").write_text("ownership: exclusive\n")
    (folder / ".hidden.yaml").write_text("topology: 1\n")
    (folder / "notes.txt").write_text("topology: 1\n")
    (folder / "link.yaml").symlink_to(folder / "a.yml")

    assert main(["validate", "several", "several/b.yaml"]) == ExitCode.OK
    said = capsys.readouterr().err
    assert "several/a.yml, several/b.yaml: valid" in said
    assert "left out" in said
    assert "production.yaml" in said
    assert ".hidden" not in said


def test_a_broken_topology_is_not_taken_for_something_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All problems of all files at once."""
    (folder / "c.yaml").write_text(HEAD.format(name="c") + "users: {u: [\n")
    (folder / "d.yaml").write_text("topology: 2\nname: d\nvhost: d\n")

    assert main(["validate", "several", "--format", "json"]) == ExitCode.INVALID_FILE
    found = json.loads(capsys.readouterr().out)
    errors = {item["file"] for item in found["diagnostics"] if item["severity"] == "error"}
    assert errors == {"several/c.yaml", "several/d.yaml"}


def test_a_disagreement_is_shown_with_both_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In every command before it does anything."""
    (folder / "b.yaml").write_text(HEAD.format(name="b") + "users:\n  u: {}\n")

    assert main(["validate", "several"]) == ExitCode.INVALID_FILE
    shown = capsys.readouterr().out
    assert "several/b.yaml:6:6: error: user:u is declared otherwise in another file [files-disagree]" in shown
    assert "several/a.yml:7:12: declared here, too" in shown
    assert main(["plan", "several", "--username", "nobody"]) == ExitCode.INVALID_FILE
    assert "several/b.yaml:6:6" in capsys.readouterr().err


def test_two_files_of_different_brokers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run is on one broker; the option that overrides both ends the quarrel."""
    for name, port in (("a.yml", 1), ("b.yaml", 2)):
        path = folder / name
        path.write_text(path.read_text() + f"broker: {{management: 'https://127.0.0.1:{port}'}}\n")
    asked = ["plan", "several", "--username", "nobody"]

    assert main(asked) == ExitCode.INVALID_FILE
    said = capsys.readouterr().err
    assert "several/b.yaml:6:" in said
    assert "management" in said
    assert main([*asked, "--management", "https://127.0.0.1:1"]) == ExitCode.INVALID_FILE  # and no password
    assert "no password for the management API" in capsys.readouterr().err


def test_overlays_and_variables_are_for_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable goes to the files that declare it; one that none declares is refused."""
    overlay = write(folder / "production.yaml", {"environment": "production"})
    path = folder / "a.yml"
    path.write_text(path.read_text() + "variables: {level: 1}\nlimits: {max_queues: '${level}'}\n")

    assert main(["validate", "several", "--overlay", str(overlay), "--var", "level=5"]) == ExitCode.OK
    assert "left out" not in capsys.readouterr().err
    assert main(["validate", "several", "--var", "levle=5"]) == ExitCode.INVALID_FILE


def test_a_folder_without_a_topology(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to do would be a lie."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "values.yaml").write_text("replicas: 1\n")

    assert main(["plan", str(empty)]) == ExitCode.USAGE
    assert "topology:" in capsys.readouterr().err
