"""Which parts of a file's text stand where a secret belongs, told from the text alone.

Not from the parsed document: what cannot be parsed is quoted, too. Knows YAML's forms of a value (plain, quoted, block,
flow, on the next line, with an anchor or a tag) and errs towards hiding: what cannot be told apart from a secret is
one. A well-formed reference, `{env: NAME}` or `{file: PATH}`, is none.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final, TypeAlias

from letrade_topo.load import shape

MASK: Final = "***"

_SECRET_KEY = re.compile(
    r"p\w*w\w*d|pass(?:w|code|phrase|ord)|^p(?:ass|w|sw|wd)$|kennwort|secret|token|credential"
    r"|(?:api|access|private)[._-]?key",
    re.IGNORECASE,
)
"""Keys that hold secrets, also misspelt: `pasword`, `passwd`, `pwd`."""
_ALIKE = 0.75
_LONGEST_KEY = 100

_KEY = re.compile(rf"""(?<![\w.-])([\w.-]{{1,{_LONGEST_KEY}}})["']?[ \t]*:""")
_WITHOUT_COLON = re.compile(
    rf"""(?:^[ \t]*(?:-[ \t]+)*|[{{,][ \t]*)["']?(?<![\w.-])([\w.-]{{1,{_LONGEST_KEY}}})["']?[ \t]*[ \t=](?=[^\s:#])""",
    re.MULTILINE,
)
_EXPLICIT = re.compile(
    rf"""^[ \t]*(?:-[ \t]+)*\?[ \t]+["']?([\w.-]{{1,{_LONGEST_KEY}}})["']?[ \t]*\n[ \t]*:""", re.MULTILINE
)
_PROPERTIES = re.compile(r"(?:[ \t]*[&!][^\s,\[\]{}]*)*[ \t]*")
_NAME = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s,\[\]{}#"'][^,\[\]{}#\n]*)"""
_ALGORITHM = r"(?:,[ \t]*algorithm[ \t]*:[ \t]+(?:sha256|sha512|md5)[ \t]*)?"
_REFERENCE = re.compile(rf"[ \t]*\{{[ \t]*(?:env|file)[ \t]*:[ \t]+{_NAME}{_ALGORITHM}\}}")
_UNMANAGED = re.compile(r"[ \t]+unmanaged[ \t]*(?=\n|\Z|[,}]|[ \t]#)")
_REFERENCE_BELOW = re.compile(
    rf"[ \t]*(?:#[^\n]*)?\n([ \t]+)(?:env|file)[ \t]*:[ \t]+{_NAME}[ \t]*(?:#[^\n]*)?(?=\n|\Z)"
)
_ANOTHER_KEY = re.compile(r"""\s*["']?[\w.-]{1,100}["']?[ \t]*:""")
_ALIAS = re.compile(r"[*]([^\s,\[\]{}]+)")
_ANCHOR = re.compile(r"&([^\s,\[\]{}]+)")
_CLOSING = {"{": "}", "[": "]"}
_SPACE = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SINGLE = re.compile(r"'(?:[^']|'')*+'")
_LONGEST_VALUE = 65_536
"""Characters; how far the end of a value in brackets is looked for."""
_URL_LOGIN = re.compile(r"://[^\s\"'<>]*@")
_URL_QUERY = re.compile(r"(://[^\s\"'<>?]*\?)[^\s\"'<>]+")

_TOKENS = re.compile(r"[^\s{}\[\],:\"'|>]+")
_SHORTEST_TOKEN = 4
_KNOWN_KEYS = frozenset(key for entry in shape.SECTIONS.values() for key in entry)
_NO_SECRETS = frozenset(
    {"env", "file", "name", "path", "value", "none", "null", "true", "false", "text", "plain"}
    | _KNOWN_KEYS
    | {"string", "number", "integer", "boolean", "object", "array", "properties", "required", "format", "pattern"}
)
"""Words of topologies and of JSON Schema, which a property named `token` has in its description."""
_FIRST_KEY = re.compile(r"""[ \t]*(?:\{|(?:#[^\n]*)?\n)\s*["']?([\w.-]{1,100})["']?[ \t]*:""")

Span: TypeAlias = tuple[int, int]


def is_secret_key(name: object) -> bool:
    """Whether the value of a key is a secret, as far as its name tells."""
    return isinstance(name, str) and len(name) <= _LONGEST_KEY and _names_secret(name)


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    return _SECRET_KEY.search(name) is not None or _is_like_password(name)


def _is_like_password(name: str) -> bool:
    lower = name.lower()
    return lower[:1] == "p" and len(lower) < 12 and SequenceMatcher(None, lower, "password").ratio() >= _ALIKE


@dataclass(frozen=True, slots=True)
class Secrets:
    """What of one text is hidden.

    Args:
        spans: from where to where, in order, not overlapping.
        tokens: the words that stand there, the longest first: they are hidden in what is said about the text, too.
    """

    spans: tuple[Span, ...]
    tokens: tuple[str, ...]

    def masked(self, text: str, start: int, end: int) -> str:
        """A part of the text without what is hidden.

        Args:
            text: the whole text.
            start, end: the part.
        """
        parts, at = [], start
        first = bisect_right(self.spans, (start, start)) - 1
        for begin, stop in self.spans[max(first, 0) :]:
            if begin >= end:
                break
            if stop > at:
                parts += [text[at : max(begin, at)], MASK]
                at = stop
        return _without_logins("".join([*parts, text[at:end]]))

    def redacted(self, words: str) -> str:
        """Words about the text without what is hidden in it."""
        for token in self.tokens:
            if token in words:
                words = words.replace(token, MASK)
        return _without_logins(words)


def find_secrets(text: str) -> Secrets:
    """Look for all secrets of a text."""
    spans = _merged(_spans(text))
    tokens = {token for start, end in spans for token in _TOKENS.findall(text[start:end])}
    told = {token for token in tokens if len(token) >= _SHORTEST_TOKEN and token.lower() not in _NO_SECRETS}
    return Secrets(spans, tuple(sorted(told, key=lambda token: (-len(token), token))))


def masked(line: str) -> str:
    """A single line of YAML without the secrets that stand in it literally."""
    return find_secrets(line).masked(line, 0, len(line))


def _without_logins(text: str) -> str:
    return _URL_QUERY.sub(rf"\1{MASK}", _URL_LOGIN.sub(f"://{MASK}@", text))


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return tuple(merged)


def _spans(text: str) -> Iterator[Span]:
    aliases: set[str] = set()
    for pattern in (_KEY, _WITHOUT_COLON, _EXPLICIT):
        hidden_until = 0
        for found in pattern.finditer(text):
            if found.start(1) < hidden_until or not is_secret_key(found[1]):
                continue
            span = None if _is_entry(text, found) else _value(text, found.start(1), found.end())
            if span is not None:
                hidden_until = span[1]
                aliases |= set(_ALIAS.findall(text, *span))
                yield span
    if aliases:  # their values stand where the anchors are
        for found in _ANCHOR.finditer(text):
            if found[1] in aliases and (span := _value(text, found.start(), found.end())) is not None:
                yield span


def _is_entry(text: str, found: re.Match[str]) -> bool:
    """Whether a key is the name of a queue, a service or the like, such as `token.issued`, whose entry follows."""
    first = _FIRST_KEY.match(text, found.end())
    if first is None:
        return False
    return "." in found[1] or (first[1] in _KNOWN_KEYS and not _is_like_password(found[1]))


def _value(text: str, key: int, at: int) -> Span | None:
    """The value that begins behind a key, unless it is a reference.

    Args:
        text: the whole text.
        key: where the key begins.
        at: where the value may begin.
    """
    line = text.rfind("\n", 0, key) + 1
    block = _block_end(text, _line_end(text, at), key - line)
    if (
        _REFERENCE.match(text, at)
        or _UNMANAGED.match(text, at)
        or ((below := _REFERENCE_BELOW.match(text, at)) and below.end() == block)
    ):
        return None
    start = _BLANKS.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
    begin = _PROPERTIES.match(text, at).end()  # type: ignore[union-attr]  # likewise
    bracket = _open_bracket(text, line, key)
    is_flow = bool(bracket)
    if is_flow:
        begin = _PROPERTIES.match(text, _SPACE.match(text, begin).end()).end()  # type: ignore[union-attr]  # likewise
    limit = max(block, min(at + _LONGEST_VALUE, len(text))) if is_flow else block
    match text[begin : begin + 1]:
        case "{" | "[":
            end = _closing(text, begin, limit) or max(block, _line_end(text, begin))
        case "'" | '"' as quote if is_flow:
            end = _unquoted(text, begin, quote, limit) or max(block, _line_end(text, begin))
        case _ if is_flow:
            end = _flow_end(text, begin, limit, _CLOSING[bracket])
        case _:
            end = block
    return start, end


def _open_bracket(text: str, start: int, end: int) -> str:
    """The innermost bracket that opens on the line before a key and is open there, or nothing."""
    opened, at = [""], start
    while at < end:
        match text[at]:
            case "{" | "[" as bracket:
                opened.append(bracket)
            case "}" | "]" if len(opened) > 1:
                opened.pop()
            case "'" | '"' as quote:
                at = (_unquoted(text, at, quote, end) or at + 1) - 1
        at += 1
    return opened[-1]


def _closing(text: str, at: int, limit: int) -> int | None:
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    while at < limit:
        match text[at]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
                if depth == 0:
                    return at + 1
            case "'" | '"' as quote:
                at = (_unquoted(text, at, quote, limit) or at + 1) - 1
        at += 1
    return None


def _unquoted(text: str, at: int, quote: str, limit: int) -> int | None:
    """Behind the quote that closes the one at `at`."""
    found = (_DOUBLE if quote == '"' else _SINGLE).match(text, at, limit)
    return found.end() if found else None


def _flow_end(text: str, at: int, limit: int, closing: str) -> int:
    """The end of a plain value in brackets; a comma belongs to it unless another key follows."""
    while at < limit:
        if text[at] == closing or (text[at] == "," and _ANOTHER_KEY.match(text, at + 1)):
            return at
        at += 1
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _block_end(text: str, at: int, column: int) -> int:
    """The end of the lines below that belong to a key in this column: those further in, and items beside it."""
    last = at
    while at < len(text):
        end = _line_end(text, at + 1)
        line = text[at + 1 : end]
        content = line.lstrip()
        indent = len(line) - len(content)
        if content:
            if not (indent > column or (indent == column and content.startswith("-"))):
                break
            last = end
        at = end
    return last
