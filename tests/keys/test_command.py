"""`letrade-topo keys` as its users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from letrade_topo.keys.states import MEANINGS, State
from tests.tool import Tool
from tests.topologies import orders, write

TOPOLOGY = str(Path(__file__).parents[2] / "topology.yaml")


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """The tool in an empty folder."""
    return Tool(folder=tmp_path)


@pytest.mark.wide
def test_init(tool: Tool) -> None:
    """Made keys are data, the rest is talk; a second run makes nothing."""
    first = tool.run("keys", "init", "keys", TOPOLOGY).check(0)
    second = tool.run("keys", "init", "keys", TOPOLOGY).check(0)

    assert len(first.out.splitlines()) == 11
    assert second.out == ""
    assert "exists    keys/strategy/signing.jwk" in second.err


def test_folder_from_the_environment(tool: Tool) -> None:
    """The folder, as every argument, may be a variable."""
    tool.having(LETRADE_TOPO_KEYS="keys", LETRADE_TOPO_FILE=TOPOLOGY).run("keys", "init").check(0)

    assert (tool.folder / "keys/public/jwks.json").is_file()


@pytest.mark.wide
def test_services_of_several_topologies(tool: Tool) -> None:
    """One folder for all of them, unless they sign by different algorithms."""
    for name in ("one", "two"):
        write(tool.folder / f"{name}.yaml", orders(name=name, vhost=name))
    made = tool.run("keys", "init", "keys", "one.yaml", "two.yaml").check(0)
    document = orders(
        name="three", vhost="three", security={"jwt": {"algorithm": "EdDSA"}, "tls": {"client_certificates": True}}
    )
    write(tool.folder / "three.yaml", document)

    assert "0 left as they are" in made.err
    assert {path.name for path in (tool.folder / "keys").iterdir()} >= {"shop", "clerk", "public"}
    assert "EdDSA" in tool.run("keys", "init", "keys", ".").check(64).err


@pytest.mark.wide
def test_topology_with_an_overlay(tool: Tool) -> None:
    """The algorithm and the services are those of the topology with its overlays."""
    (tool.folder / "eddsa.yaml").write_text("security: {jwt: {algorithm: EdDSA}}\n")
    made = tool.run("keys", "init", "keys", TOPOLOGY, "--overlay", "eddsa.yaml", "--valid-for", "never").check(0)

    assert made.out.count("(EdDSA)") == 6
    shown = json.loads(tool.run("keys", "show", "keys", "--format", "json").check(0).out)
    assert all(key["retired_at"] is None for key in shown["keys"])


@pytest.mark.wide
def test_show(tool: Tool) -> None:
    """A table for people and a document for programs; a warning on stderr when a key ends soon."""
    tool.run("keys", "init", "keys", TOPOLOGY, "--valid-for", "492h").check(0)

    table = tool.run("keys", "show", "keys").check(0)
    document = json.loads(tool.run("keys", "show", "keys", "--format", "json").check(0).out)

    assert len(table.out.splitlines()) == 12
    assert table.err.count("expires in 20 days: rotate the keys of strategy") == 2
    assert document["format_version"] == 1
    assert {key["state"] for key in document["keys"]} == {"current"}


def test_show_of_an_expired_key(tool: Tool) -> None:
    """A key that has ended makes the exit code 1, so that a pipeline sees it."""
    tool.run("keys", "init", "keys", TOPOLOGY, "--valid-for", "1ms").check(0)
    path = tool.folder / "keys/public/jwks.json"
    document = json.loads(path.read_text())
    for key in document["keys"]:
        key["retired_at"] = key["created_at"]
    path.write_text(json.dumps(document))

    shown = tool.run("keys", "show", "keys").check(1)
    assert "has expired: rotate the keys of strategy" in shown.err


@pytest.mark.wide
def test_rotate(tool: Tool) -> None:
    """A rotation says what it made and from when it is used; a second one too early is refused by exit code."""
    tool.run("keys", "init", "keys", TOPOLOGY).check(0)

    rotated = tool.run("keys", "rotate", "keys", "--service", "strategy").check(0)
    again = tool.run("keys", "rotate", "keys", "--service", "strategy").check(77)

    assert rotated.out.count("made") == 2
    assert "deploy the files before" in rotated.err
    assert "a rotation is under way" in again.err
    assert tool.run("keys", "show", "keys").check(0).out.count(" next ") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("show", "nowhere"), 65, "there is no file nowhere/public/jwks.json"),
        (("rotate", "nowhere"), 65, "there is no key folder nowhere"),
        (("rotate", ".", "--publish-for", "5"), 64, "has no unit"),
        (("rotate", ".", "--publish-for", "never"), 64, "is not a duration"),
        (("init",), 64, "Missing argument 'DIR'"),
        (("init", "keys", "nowhere.yaml"), 65, "nowhere.yaml"),
    ],
)
def test_errors(tool: Tool, arguments: tuple[str, ...], code: int, expected: str) -> None:
    """What is wrong is said in a sentence, with the exit code of its kind."""
    assert expected in tool.run("keys", *arguments).check(code).err


@pytest.mark.wide
def test_key_set_that_is_garbage(tool: Tool) -> None:
    """An invalid key set is exit code 65 for every command."""
    tool.run("keys", "init", "keys", TOPOLOGY).check(0)
    (tool.folder / "keys/public/jwks.json").write_text("garbage")

    for arguments in (("show", "keys"), ("rotate", "keys"), ("init", "keys", TOPOLOGY)):
        assert "is not a valid key file" in tool.run("keys", *arguments).check(65).err


def test_every_state_has_a_meaning() -> None:
    """No state is shown that nobody can look up."""
    assert set(MEANINGS) == set(State)
