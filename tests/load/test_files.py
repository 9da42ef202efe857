"""Files that are missing, unreadable, no text, no YAML, or too much of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from letrade_topo.load import yaml_parser, yaml_syntax
from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology
from letrade_topo.load.masking import masked
from letrade_topo.load.source_text import LARGEST_FILE_BYTES, decode_source
from letrade_topo.load.topology_file import load_topology
from tests.load.marked import HEADER, diagnostics


def refused(path: Path) -> tuple[Diagnostic, ...]:
    """What is said of a file that cannot be loaded."""
    with pytest.raises(InvalidTopology) as caught:
        load_topology(path)
    return caught.value.diagnostics


def written(folder: Path, content: bytes) -> Path:
    """A file with this content."""
    path = folder / "topology.yaml"
    path.write_bytes(content)
    return path


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path, without a line, and no traceback."""
    path = tmp_path / "nowhere.yaml"

    (item,) = refused(path)

    assert ("unreadable-file", str(path)) == (item.rule, str(item.location))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder is said to be one."""
    (item,) = refused(tmp_path)

    assert item.rule == "unreadable-file"
    assert "folder" in item.summary


def test_a_file_that_cannot_be_read() -> None:
    """The system's own words are shown. (Linux refuses to read a process's memory from its start, even to root.)"""
    (item,) = refused(Path("/proc/self/mem"))

    assert item.rule == "unreadable-file"
    assert "Input/output error" in item.why


def test_a_path_with_a_null_character() -> None:
    """What no system call accepts is an unreadable file."""
    (item,) = refused(Path("a\0b"))

    assert item.rule == "unreadable-file"


@pytest.mark.parametrize("content", [b"", b"# only\n# comments\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    """Nothing, comments alone, or a null document hold no topology."""
    (item,) = refused(written(tmp_path, content))

    assert item.rule == "empty-file"


@pytest.mark.parametrize("content", [b"- a\n", b"text\n", b"5\n"])
def test_a_top_level_that_is_no_mapping(tmp_path: Path, content: bytes) -> None:
    """A list or a single value is no topology."""
    (item,) = refused(written(tmp_path, content))

    assert (item.rule, item.location.line, item.location.column) == ("wrong-type", 1, 1)


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"topology: 1\nname: \xff\n", 2, 7),
        ("topology: 1\n".encode("utf-16"), 0, 0),
        (b"topology: 1\nname: a\x00b\n", 2, 8),
        ("가: \x1b\n".encode(), 1, 4),
    ],
)
def test_a_file_that_is_not_utf_8_text(tmp_path: Path, content: bytes, line: int, column: int) -> None:
    """The position of the first bad byte, in characters."""
    (item,) = refused(written(tmp_path, content))

    assert ("encoding", line, column) == (item.rule, item.location.line, item.location.column)


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    """Files that were saved on Windows load, and positions stay right."""
    text = HEADER.replace("\n", "\r\n") + "exchanges:\r\n  x: {kind: 1}\r\n"
    source = decode_source("t.yaml", Path(), b"\xef\xbb\xbf" + text.encode())

    (item,) = diagnostics(source.text)

    assert (
        item.rule,
        item.location.line,
        item.location.column,
        item.excerpt,
    ) == ("unknown-key", 6, 7, "  x: {kind: 1}")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """The size is looked at before the content."""
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)

    (item,) = refused(path)

    assert item.rule == "file-too-big"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exchanges:\n\tx: {}\n", "spaces only"),
        ("exchanges: {x: {}\n", "is not closed"),
        ("environment: 'x\n", "quoted text is not closed"),
        ("environment: @x\n", "may not begin with @"),
        ("environment: a: b\n", "colon"),
        ('environment: "\\q"\n', "escape"),
        ("exchanges:\n  x: {}\n y: {}\n", "does not fit the mapping"),
        ("exchanges\nqueues: {}\n", "colon"),
        ("ignore:\n  - a\n  b: c\n", "a dash is missing"),
        ("%YAML 3.0\n---\na: b\n", "YAML version"),
    ],
)
def test_a_syntax_error_is_explained(text: str, words: str) -> None:
    """One diagnostic, in words for people who do not know libyaml."""
    (item,) = diagnostics(text)

    assert item.rule == "yaml-syntax"
    assert words in f"{item.summary} {item.why}"
    assert item.location.line > 0


def test_a_file_that_is_cut_off_says_so() -> None:
    """A list that is open at the end of the file names where it began."""
    (item,) = diagnostics("topology: 1\nignore: [a,\n  b")

    assert item.location.line == 3
    assert "line 2" in item.why


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", None)])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 100_000, (1, 101)),
        ("[" * 102 + "@", (1, 101)),  # the reader looks ahead, and what it stumbles over there is not what we say
        ("a: " + "{b: " * 200 + "}" * 200, (1, 400)),
        ("a: " + "{" * 5_000, (1, 103)),
        ("- " * 5_000, (1, 201)),
        ("x: [1,\n  b, é😀, '[', \"[{\", p, &a [1], !!seq " + "[" * 5_000, (2, 136)),
        ("\n\n- - k: &x [ # [[[\n" + " [" * 5_000, (4, 194)),
    ],
)
def test_deep_nesting_is_refused_without_a_crash(
    text: str, place: tuple[int, int], loader: type[yaml.SafeLoader] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Depth is counted by us, whatever limit the reader has, and however far it looks ahead."""
    if loader is None:
        pytest.skip("PyYAML without libyaml")
    monkeypatch.setattr(yaml_parser, "LOADER", loader)

    (item,) = diagnostics(text)

    assert (item.rule, item.location.line, item.location.column) == ("too-deep", *place)


def _refuse_brackets(_loader: object) -> None:
    raise yaml.scanner.ScannerError(problem="the document is too complex", problem_mark=None)


@pytest.mark.parametrize(("levels", "rule"), [(99, "yaml-syntax"), (100, "yaml-syntax"), (101, "too-deep")])
def test_a_reader_with_a_limit_of_its_own_decides_nothing(
    levels: int, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a coming version says of a bracket, and without saying where: `too-deep` is what is too deep for us."""
    monkeypatch.setattr(yaml_parser, "LOADER", yaml.SafeLoader)
    monkeypatch.setattr(yaml_syntax, "LOADER", yaml.SafeLoader)
    monkeypatch.setattr(yaml.SafeLoader, "fetch_flow_sequence_start", _refuse_brackets)

    (item,) = diagnostics("[" * levels + "]" * levels)

    assert item.rule == rule
    if rule == "yaml-syntax":
        assert "too complex" in item.why


@pytest.mark.parametrize(
    "text",
    [
        "key: a" + "[" * 200 + ": x",
        "key: b " + "[" * 200 + ": x",
        "key: '" + "[" * 200,
        "key: x # " + "[" * 200 + "\n @",
        "[" + "[]," * 200 + "@",
        "{'" + "[" * 200 + "', b: @",
    ],
)
def test_a_bracket_that_opens_nothing_is_not_counted(text: str) -> None:
    """In a text, a comment, or closed again: what is wrong is something else."""
    (item,) = diagnostics(text)

    assert item.rule == "yaml-syntax"


def test_a_bomb_of_aliases_is_refused() -> None:
    """Aliases of aliases are counted as often as they would be written out."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    (item,) = diagnostics("\n".join(lines))

    assert item.rule == "too-many-values"


def test_a_chain_of_aliases_does_not_nest_without_end() -> None:
    """Depth through aliases counts like depth on the page."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500))]

    (item,) = diagnostics("\n".join(lines))

    assert item.rule == "too-deep"


def test_an_alias_in_a_list_and_as_a_key() -> None:
    """An alias may also stand for a key; its position is that of its use."""
    assert list(diagnostics(HEADER + "environment: &x e\nignore: [&y 'queue:z']\nexchanges: {*x : {}}\n")) == []
    (item,) = diagnostics(HEADER + "environment: &x e\n*x : {}\n")
    assert (item.rule, item.location.line, item.location.column) == ("unknown-key", 6, 1)


def test_all_problems_are_shown_at_once_by_position() -> None:
    """Of the file, of shape, and of rules together."""
    text = (
        HEADER + "exchanges:\n  x: {kind: 1}\n  x: {}\nretry: {delay: 5}\n"
        "queues:\n  q: {service: nobody, messages: [nothing]}\n  r: {max_length: x}\n"
    )

    found = [(item.rule, item.location.line) for item in diagnostics(text)]

    assert found == [
        ("unknown-key", 6),
        ("duplicate-key", 7),
        ("duration", 8),
        ("undeclared-service", 10),
        ("undeclared-message", 10),
        ("wrong-type", 11),
    ]


def test_what_is_not_there_is_not_judged_while_parts_are_unreadable() -> None:
    """A consumer that could not be read is no reason to call its message unconsumed."""
    text = (
        HEADER + "exchanges: {x: {}}\nmessages: {a.b: {exchange: x, lifetime: 1s}}\n"
        "services:\n  s: {publishes: [a.b]}\n  r: {consumes: a.b}\n"
    )

    assert [item.rule for item in diagnostics(text)] == ["wrong-type"]


def test_names_are_not_looked_up_in_a_section_that_is_unreadable() -> None:
    """One mistake at the head of a section does not make every use of it wrong."""
    text = HEADER + "exchanges: [x]\nmessages: {a.b: {exchange: x, lifetime: 1s}}\nqueues: {q: {messages: [a.c]}}\n"

    assert [item.rule for item in diagnostics(text)] == ["wrong-type", "undeclared-message"]


def test_two_missing_keys_are_two_problems() -> None:
    """Both are named, although they are missing at the same place."""
    assert [item.rule for item in diagnostics("topology: 1\n")] == ["missing-key", "missing-key"]


def test_the_exception_names_every_error() -> None:
    """Commands that only print the exception still show all of it."""
    with pytest.raises(InvalidTopology) as caught:
        load_topology(Path("a\0b"))

    assert "unreadable-file" not in str(caught.value)
    assert "cannot be read" in str(caught.value)


def test_a_literal_secret_is_shown_nowhere(tmp_path: Path) -> None:
    """Not in words and not in the quoted line, whatever is wrong on that line."""
    lines = [
        "broker: {password: geheim123, management: 'https://me:geheim456@h', unknwn: 1}",
        "users: {u: {pasword: geheim789, x: 1}}",
        "services: {s: {db_token: 'geheim000', password: \"geheim111\"}}",
        'variables: {"password":"a\\"geheim", x: [1]}',
    ]
    path = written(tmp_path, (HEADER + "\n".join(lines) + "\n").encode())

    said = refused(path)

    assert len(said) >= 5
    assert "geheim" not in "".join(f"{item.summary} {item.why} {item.fix} {item.excerpt}" for item in said)


@pytest.mark.parametrize(
    "value",
    ["\n    geheim", "*geheim", "!geheim x", "0177", "1:30:59", "|\n    geheim", "&geheim x", "'geheim", "[geheim]"],
)
def test_a_literal_secret_is_not_quoted_whatever_yaml_makes_of_it(value: str) -> None:
    """Also where it is an alias, a tag, an ambiguous number, or on the next line."""
    said = diagnostics(HEADER + f"broker:\n  password: {value}\n")

    assert said
    words = " ".join(f"{item.summary} {item.why} {item.fix} {item.excerpt}" for item in said)
    assert not any(secret in words for secret in ("geheim", "0177", "1:30:59"))


def test_masking_takes_no_time_on_a_hostile_line() -> None:
    """A line made to confuse the search for secrets is as quick as any other."""
    line = "pw" * 200 + ": x"

    assert masked(line) == line
