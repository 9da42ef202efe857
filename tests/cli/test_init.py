"""`letrade-topo init`: in an empty folder, what it prints works as it stands; in a full one, nothing is touched."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
import yaml

from letrade_topo.node.errors import RabbitMQMissing
from letrade_topo.node.installation import find_installation
from letrade_topo.scaffold.scaffold import RECIPES, Forge, Template, ignored, name_of
from tests.brokers import root_folder
from tests.tool import Tool


def newcomer(folder: Path, version: str) -> Tool:
    """Somebody who has set no variable; the tests may have to say where RabbitMQ is."""
    try:
        here = find_installation().version
    except RabbitMQMissing:
        here = ""
    root = {} if here.startswith(f"{version}.") else {"LETRADE_TOPO_BROKER_ROOT": str(root_folder(version))}
    return Tool(root, folder)


@pytest.mark.parametrize("template", ["minimal", pytest.param("letrade", marks=pytest.mark.wide)])
@pytest.mark.broker
def test_what_it_prints_works_as_it_stands(one_broker_version: str, tmp_path: Path, template: str) -> None:
    """From nothing to a broker in sync: no variable is set, no file written, nothing read but three commands."""
    folder = tmp_path / "My Shop"
    folder.mkdir()
    tool = newcomer(folder, one_broker_version)
    begin = time.monotonic()
    printed = tool.run("init", "--template", template).check(0).out.splitlines()

    try:
        assert "valid" in tool.run("validate", "--strict").check(0).err
        assert [line.split()[1] for line in printed] == ["broker", "apply", "drift"]
        for line in printed:
            program, *arguments = line.split()
            assert program == "letrade-topo"
            tool.run(*arguments).check(0)
        assert "taking the private one in .letrade/broker" in tool.run("drift").check(0).err
        assert "letrade.dlq: 0 messages" in tool.run("dlq", "ls").check(0).out
        named = tool.having(LETRADE_TOPO_USERNAME="somebody").run("drift").check(65)
        assert "private" not in named.err, "who is named is not taken for somebody else"
        tool.run("broker", "stop").check(0)
        for command in (("drift",), ("dlq", "ls")):
            stopped = tool.run(*command).check(64).err
            assert "the private one in .letrade/broker is stopped: start it, `letrade-topo broker start`" in stopped
        print(f"{template}: {time.monotonic() - begin:.1f} s from an empty folder to a broker in sync")
    finally:
        tool.run("broker", "stop", "--delete").check(0)


@pytest.mark.wide
@pytest.mark.parametrize("forge", Forge)
@pytest.mark.parametrize("template", Template)
def test_every_template_is_valid_and_what_is_secret_is_not_kept(tmp_path: Path, template: str, forge: Forge) -> None:
    """Without a warning; keys are their owner's alone, below what git leaves out; the recipe checks this file."""
    tool = Tool(folder=tmp_path)

    tool.run("init", "bus", "--template", template, "--ci", forge).check(0)

    folder = tmp_path / "bus"
    assert tool.run("validate", "--strict", "bus/topology.yaml").check(0).out == ""
    assert (folder / ".gitignore").read_text() == "/.letrade/\n"
    private = list((folder / ".letrade").rglob("*.jwk"))
    assert private
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    shown = {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".letrade/" not in str(path)
    }
    assert shown == {"topology.yaml", "topology.schema.json", ".gitignore", RECIPES[forge]}
    recipe = (folder / RECIPES[forge]).read_text(encoding="utf-8")
    assert yaml.safe_load(recipe)
    assert "letrade-topo validate --strict" in recipe
    assert (folder / "topology.yaml").read_text().startswith("# yaml-language-server: $schema=topology.schema.json\n")


@pytest.mark.wide
def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Not even half of it is written, and every file in the way is named."""
    tool = Tool(folder=tmp_path)
    (tmp_path / "topology.yaml").write_text("mine\n")
    (tmp_path / ".gitlab-ci.yml").write_text("mine\n")

    refused = tool.run("init", "--ci", "gitlab").check(77)

    assert "topology.yaml, .gitlab-ci.yml are there already" in refused.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitlab-ci.yml", "topology.yaml"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine\n"}


def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The name would be that of policies."""
    refused = Tool(folder=tmp_path).run("init", "--name", "My.Shop").check(64)

    assert "--name" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [("shop", "shop"), ("My Shop", "my-shop"), ("2026-bus", "bus"), ("größe", "gr-e"), ("", "bus"), ("__", "bus")],
)
def test_a_folder_gives_its_name(folder: str, name: str) -> None:
    """As far as a topology can be called so."""
    assert name_of(folder) == name


@pytest.mark.parametrize(
    ("existing", "afterwards"),
    [
        ("", "/.letrade/\n"),
        ("*.pyc", "*.pyc\n/.letrade/\n"),
        ("*.pyc\r\n", "*.pyc\r\n/.letrade/\n"),
        (".letrade/\n", ".letrade/\n"),
    ],
)
def test_lines_that_are_there_stay(existing: str, afterwards: str) -> None:
    """What git leaves out already is left out still."""
    assert ignored(existing) == afterwards
