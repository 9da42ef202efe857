"""Valid topologies with one slip of the hand: refused at that line, with nothing that only follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.exit_codes import ExitCode
from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology
from letrade_topo.load.source_text import decode_source
from letrade_topo.load.topology_file import load_sources
from tests.load.mutations import NAMES, Mutation, mutate
from tests.tool import Tool
from tests.topologies import SHIPPED

pytestmark = pytest.mark.wide

FOLDER = Path(__file__).parent / "mutated"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in (SHIPPED, *sorted(FOLDER.glob("*.yaml")))}
SEEDS = 5
MORE_SEEDS = 25
BY_PROCESS = ("key_misspelt", "unit_lost", "indent_moved", "quote_dropped", "bad_utf8")


def mutations(kind: str, seeds: range) -> Iterator[tuple[str, Mutation]]:
    """Mutations of one kind, of each topology in turn."""
    names = list(TEXTS)
    for seed in seeds:
        name = names[seed % len(names)]
        mutation = mutate(TEXTS[name], kind, seed)
        if mutation is not None:
            yield name, mutation


def errors(mutation: Mutation) -> list[Diagnostic]:
    """What is wrong with it."""
    try:
        load_sources([decode_source("topology.yaml", Path(), mutation.content)])
    except InvalidTopology as error:
        return [item for item in error.diagnostics if item.is_error]
    return []


def assert_told(name: str, mutation: Mutation) -> None:
    """An error where there must be one, every error on its line or the next, and one error for one slip."""
    found = errors(mutation)
    told = "\n".join(str(item) for item in found)
    text = mutation.content.decode(errors="replace").split("\n")[max(0, mutation.line - 2) : mutation.line + 2]
    context = "\n".join([f"{mutation.kind} in line {mutation.line} of {name}:", *text, told])
    assert found or not mutation.must_fail, context
    assert {item.location.line for item in found} <= mutation.lines, context
    assert len(found) <= 1, context
    assert all(item.why and item.fix for item in found), context


@pytest.mark.parametrize("name", TEXTS)
def test_the_topologies_are_valid(name: str) -> None:
    """Whatever is refused below is refused for its slip."""
    load_sources([decode_source(name, Path(), TEXTS[name].encode())])


@pytest.mark.parametrize("kind", NAMES)
def test_a_slip_is_told_where_it_is(kind: str) -> None:
    """Some of each kind, everywhere in three topologies."""
    for name, mutation in mutations(kind, range(SEEDS)):
        assert_told(name, mutation)


@pytest.mark.parametrize("kind", NAMES)
def test_more_slips(kind: str) -> None:
    """The same at other places."""
    for name, mutation in mutations(kind, range(SEEDS, MORE_SEEDS)):
        assert_told(name, mutation)


def test_there_are_enough_of_them() -> None:
    """A kind that finds no place would be tested by nothing."""
    found = [mutation for kind in NAMES for _, mutation in mutations(kind, range(SEEDS))]
    assert len(found) >= 200
    assert sum(mutation.must_fail for mutation in found) >= 180
    assert {mutation.kind for mutation in found} == set(NAMES)


@pytest.mark.parametrize("kind", BY_PROCESS)
def test_a_slip_ends_the_process_with_65(tmp_path: Path, kind: str) -> None:
    """No traceback, and the place on stdout."""
    name, mutation = next((name, one) for name, one in mutations(kind, range(100)) if one.must_fail)
    (tmp_path / "topology.yaml").write_bytes(mutation.content)

    answer = Tool(folder=tmp_path).run("validate").check(ExitCode.INVALID_FILE)

    assert any(f"topology.yaml:{line}:" in answer.out for line in mutation.lines), (name, answer.out)
