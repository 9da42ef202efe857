"""Editors: the language server that they run for YAML judges, completes and explains a topology by our schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from letrade_topo.render.topology_schema import text
from tests.load import test_mistakes
from tests.load.marked import diagnostics
from tests.load.test_mutations import TEXTS
from tests.render.language_server import LanguageServer, language_server

MODELINE = "# yaml-language-server: $schema=topology.schema.json\n"
KNOWN_TO_A_SCHEMA = {
    "duration", "json-schema", "missing-value", "not-allowed-value", "out-of-range", "secret-literal",
    "secret-reference", "size", "topology-name", "unknown-key", "wrong-type",
}  # fmt: skip
"""The rules about one value by itself."""
NOT_KNOWN = {
    "topology: 1.0": "the integer 1, in JSON Schema",
    "    on: orders": "a missing key and an unknown one; that one was meant as the other is nothing that a schema says",
    'password: {env: "${P}"}': "what variables there are",
}

pytestmark = pytest.mark.wide  # --fast has no Node


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the schema lies."""
    folder = tmp_path_factory.mktemp("editor")
    (folder / "topology.schema.json").write_text(text(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LanguageServer]:
    """The server; it starts in a second."""
    with language_server(folder) as server:
        yield server


def written(folder: Path, name: str, content: str) -> Path:
    """A topology that names its schema in its first line."""
    path = folder / name
    path.write_text(MODELINE + content, encoding="utf-8")
    return path


def test_the_first_error_stands_in_the_line_that_validate_names(server: LanguageServer, folder: Path) -> None:
    """Of mistakes that people make; all those that a schema can know, at least fifty."""
    mistakes = [case.values[0] for case in test_mistakes.CASES]  # type: ignore[attr-defined]  # pytest's own
    known = [one for one in mistakes if one.rule in KNOWN_TO_A_SCHEMA and one.bad not in NOT_KNOWN]
    files = {written(folder, f"{number}.yaml", one.text(one.bad)): one for number, one in enumerate(known)}

    said = server.errors(files)

    for path, mistake in files.items():
        errors = [item for item in diagnostics(path.read_text(encoding="utf-8")) if item.is_error]
        assert said[path], f"{mistake.bad}: the language server finds nothing; validate says {errors[0]}"
        assert said[path][0][0] == errors[0].location.line, f"{mistake.bad}: {said[path]}; validate says {errors[0]}"
    assert len(known) >= 50


def test_what_is_right_has_no_error(server: LanguageServer, folder: Path) -> None:
    """The shipped topology and those in which everything stands that a topology knows."""
    said = server.errors([written(folder, name, content) for name, content in TEXTS.items()])

    assert list(said.values()) == [[]] * len(TEXTS)


@pytest.mark.parametrize(
    ("content", "offered"),
    [
        ("", {"topology", "name", "vhost", "exchanges", "messages", "services", "queues"}),
        ("queues:\n  a.b:\n    ", {"service", "messages", "retry", "dead_letter", "message_ttl"}),
        ("queues:\n  a.b:\n    type: ", {"quorum", "classic", "stream"}),
        ("queues:\n  a.b:\n    retry: ", {"none"}),
        ("queues:\n  a.b:\n    retry:\n      ", {"max_retries", "delay", "multiplier"}),
        ("ownership: ", {"shared", "exclusive"}),
        ("exchanges:\n  x:\n    type: ", {"topic", "direct", "fanout", "headers"}),
        ("services:\n  s:\n    password:\n      ", {"env", "file"}),
        ("security:\n  jwt:\n    mode: ", {"enforce", "warn", '"off"'}),
        ("messages:\n  a.b:\n    schema:\n      type: ", {"object", "string", "integer"}),
    ],
)
def test_keys_and_words_are_offered(server: LanguageServer, folder: Path, content: str, offered: set[str]) -> None:
    """Whatever may stand at the end of the text."""
    path = written(folder, f"typed-{abs(hash(content))}.yaml", content)
    lines = (MODELINE + content).split("\n")

    found = server.completions(path, len(lines), len(lines[-1]) + 1)

    assert offered <= found.keys(), found.keys()


def test_a_key_is_explained(server: LanguageServer, folder: Path) -> None:
    """In the words of the reference page."""
    path = written(folder, "explained.yaml", "topology: 1\nname: shop\nvhost: shop\nownership: shared\n")

    assert "what undeclared objects in the vhost mean" in server.hover(path, 5, 3).lower()
