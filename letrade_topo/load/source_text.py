"""The text of a topology file: read, decoded, and quoted in diagnostics without literal secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Location
from letrade_topo.load.masking import Secrets, find_secrets
from letrade_topo.model.rules import Severity
from letrade_topo.reading import CannotRead, Trouble, Trust, read_file

LARGEST_FILE_BYTES = 64 * 2**20
LONGEST_EXCERPT = 400
SHA_DIGITS = 12

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""YAML 1.1, 5.1: what a file may not contain unescaped."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class SourceText:
    """One file.

    Args:
        name: as the user gave it.
        directory: what relative paths in the file are relative to.
        text: its content.
    """

    name: str
    directory: Path
    text: str = field(repr=False)
    lines: list[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", _LINE_BREAK.split(self.text))

    def location(self, offset: int) -> Location:
        """The place of a character, counted from 0."""
        *before, line = _LINE_BREAK.split(self.text[:offset])
        return Location(self.name, len(before) + 1, len(line) + 1)

    def excerpt(self, line: int) -> str:
        """The text of a line (from 1), with passwords that stand in it masked."""
        if not 0 < line <= len(self.lines):
            return ""
        starts, text = self._text
        start = starts[line - 1]
        return self.secrets.masked(text, start, start + min(len(self.lines[line - 1]), LONGEST_EXCERPT))

    @cached_property
    def secrets(self) -> Secrets:
        """What of it is hidden; looked for when something is to be said of it."""
        return find_secrets(self._text[1])

    @cached_property
    def _text(self) -> tuple[list[int], str]:
        """Where its lines begin in the text with line feeds alone, and that text."""
        starts = [0, *accumulate(len(line) + 1 for line in self.lines)]
        return starts, "\n".join(self.lines)


def topology_sha(texts: Iterable[SourceText]) -> str:
    """What tells one content of a topology's files from another: in metrics of agents and of the controller alike."""
    return sha256("\0".join(text.text for text in texts).encode()).hexdigest()[:SHA_DIGITS]


def read_source(path: Path, *, streams: bool = False) -> SourceText:
    """Read a file.

    Args:
        path: the file.
        streams: also a stream of this process (`<(command)` in a shell), for programs that run once.

    Raises:
        InvalidTopology: it is missing, no file, unreadable, too big, others can change it, or it is not UTF-8 text.
    """
    name = str(path)
    try:
        content = read_file(path, trust=Trust.DECIDES, most=LARGEST_FILE_BYTES, streams=streams)
    except CannotRead as error:
        raise _unreadable(name, error) from None
    return decode_source(name, path.parent, content)


def decode_source(name: str, directory: Path, content: bytes) -> SourceText:
    """Decode the content of a file; only UTF-8 is accepted, with or without a byte order mark.

    Raises:
        InvalidTopology: too big, not UTF-8, or with characters that YAML does not allow.
    """
    if len(content) > LARGEST_FILE_BYTES:
        why = f"at most {LARGEST_FILE_BYTES} are read"
        raise _refused("file-too-big", name, f"the file has {len(content)} bytes", why)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        why = "It begins with the byte order mark of UTF-16."
        raise _refused("encoding", name, "the file is not UTF-8", why, "Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        why = f"The byte 0x{content[error.start]:02x} does not belong there in UTF-8."
        raise _refused("encoding", name, "the file is not UTF-8", why, "Save it as UTF-8.", before) from None
    if found := _NOT_ALLOWED.search(text):
        summary = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
        fix = "Delete it, or write it as an escape in double quotes."
        raise _refused("encoding", name, summary, "It is a control character.", fix, text[: found.start()])
    return SourceText(name, directory, text)


def _unreadable(name: str, error: CannotRead) -> InvalidTopology:
    match error.trouble:
        case Trouble.MISSING:
            fix = "Check the path, or name the file: letrade-topo validate FILE"
            return _refused("unreadable-file", name, "there is no such file", "", fix)
        case Trouble.FOLDER:
            return _refused("unreadable-file", name, "this is a folder, not a file", "", "Name the file in it.")
        case Trouble.TOO_BIG:
            return _refused(
                "file-too-big", name, "the file is too big", f"At most {LARGEST_FILE_BYTES} bytes are read."
            )
        case Trouble.OPEN_TO_OTHERS:
            why, fix = f"{error.why[:1].upper()}{error.why[1:]}.", f"{error.fix[:1].upper()}{error.fix[1:]}."
            return _refused("file-open-to-others", name, error.what, why, fix)
        case _:
            return _refused("unreadable-file", name, "the file cannot be read", f"The system says: {error.why}.")


def _refused(rule: str, name: str, summary: str, why: str, fix: str = "", before: str | None = None) -> InvalidTopology:
    location = Location(name)
    if before is not None:
        location = Location(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
    return InvalidTopology([Diagnostic(rule, Severity.ERROR, location, summary, why, fix)])
