"""The text of a topology file: read, decoded, and quoted in diagnostics without literal secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Location
from letrade_topo.model.rules import Severity

LARGEST_FILE_BYTES = 64 * 2**20
LONGEST_EXCERPT = 400
SHA_DIGITS = 12

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""YAML 1.1, 5.1: what a file may not contain unescaped."""

_SECRET_KEY = re.compile(r"p\w*w\w*d|passphrase|secret|token|credential", re.IGNORECASE)
"""Keys that hold secrets, also misspelt: `pasword`, `passwd`, `pwd`."""
_KEY = re.compile(r"""(?<![\w.-])([\w.-]{1,100})["']?[ \t]*:[ \t]*""")
_VALUE = re.compile(r"""(?![{\s])(?:"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?|[^,}#]+)""")
_LOGIN_OF_URL = re.compile(r"://[^/\s@]+@")
MASK = "***"


def is_secret_key(name: object) -> bool:
    """Whether the value of a key is a secret, as far as its name tells."""
    return isinstance(name, str) and _SECRET_KEY.search(name[:100]) is not None


def masked(text: str) -> str:
    """A line of YAML without the secrets that stand in it literally."""
    result, end = [], 0
    for entry in _KEY.finditer(text):
        value = _VALUE.match(text, entry.end())
        if entry.start() >= end and value and is_secret_key(entry[1]):
            result += [text[end : entry.end()], MASK]
            end = value.end()
    return _LOGIN_OF_URL.sub(f"://{MASK}@", "".join([*result, text[end:]]))


@dataclass(frozen=True, slots=True)
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
        object.__setattr__(self, "lines", re.split("\r\n|[\n\r\x85\u2028\u2029]", self.text))

    def excerpt(self, line: int) -> str:
        """The text of a line (from 1), with passwords that stand in it masked."""
        if not 0 < line <= len(self.lines):
            return ""
        return masked(self.lines[line - 1][:LONGEST_EXCERPT])


def topology_sha(texts: Iterable[SourceText]) -> str:
    """What tells one content of a topology's files from another: in metrics of agents and of the controller alike."""
    return sha256("\0".join(text.text for text in texts).encode()).hexdigest()[:SHA_DIGITS]


def read_source(path: Path) -> SourceText:
    """Read a file.

    Raises:
        InvalidTopology: it is missing, no file, unreadable, too big, or not UTF-8 text.
    """
    name = str(path)
    try:
        size = path.stat().st_size if path.is_file() else 0
        if size > LARGEST_FILE_BYTES:
            raise _refused("file-too-big", name, f"the file has {size} bytes", f"at most {LARGEST_FILE_BYTES} are read")
        content = path.read_bytes()
    except FileNotFoundError:
        fix = "Check the path, or name the file: letrade-topo validate FILE"
        raise _refused("unreadable-file", name, "there is no such file", "", fix) from None
    except IsADirectoryError:
        raise _refused("unreadable-file", name, "this is a folder, not a file", "", "Name the file in it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused("unreadable-file", name, "the file cannot be read", f"The system says: {reason}.") from None
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


def _refused(rule: str, name: str, summary: str, why: str, fix: str = "", before: str | None = None) -> InvalidTopology:
    location = Location(name)
    if before is not None:
        location = Location(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
    return InvalidTopology([Diagnostic(rule, Severity.ERROR, location, summary, why, fix)])
