"""Regular expressions as RabbitMQ reads them (PCRE): whether they can be one, and whether they mean whole names.

Judged by their structure alone, in words of our own: what is not known here is neither refused nor taken for granted.
What an expression matches is `letrade_topo.model.pcre`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

MOST_REPEATS: Final = 65_535
_POSIX = frozenset(
    {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper"}
    | {"word", "xdigit"}
)
_GROUP = re.compile(
    r"\(\?(?:"
    r"(?P<comment>\#[^)]*\))"
    r"|(?P<whole>R\)|[+-]?\d+\)|&\w+\)|P>\w+\)|P=\w+\)|C\d*\)|\^?[imsxnJUXa]*(?:-[imsxnJUX]+)?\))"
    r"|(?P<look>=|!|<=|<!)"
    r"|(?P<open>:|\||>|P?<[A-Za-z_]\w{0,31}>|'[A-Za-z_]\w{0,31}'|\^?[imsxnJUX]*(?:-[imsxnJUX]+)?:)"
    r"|(?P<condition>\((?:\d+|[+-]\d+|<\w+>|'\w+'|R\d*|R&\w+|DEFINE|\w+)\)|(?=\(\?(?:=|!|<=|<!)))"
    r")"
)
_REPEAT = re.compile(r"\{(?P<least>\d+)(?P<range>,(?P<most>\d*))?\}")
_BRACED = re.compile(
    r"\\(?:[pP](?:\{\^?[\w& -]+\}|[A-Z])|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{1,2})|o\{[0-7]+\}|c[ -~]"
    r"|g(?P<number>-?\d+|\{-?\d+\})|[gk](?:\{(?P<braced>[A-Za-z_]\w*)\}|<(?P<angled>\w+)>|'(?P<quoted>\w+)')"
    r"|(?P<digit>[1-9]))"
)
_NEED_MORE = {
    "p": "a property of characters",
    "P": "a property of characters",
    "g": "a group",
    "k": "a group",
    "o": "digits",
}
_SETS = frozenset("dDhHsSvVwWpPRN")
_KNOWN_ESCAPES = frozenset("abABcCdDeEfGhHKnNrRsStvVwWXzZ")
_UNREPEATABLE = frozenset({"^", "$", r"\A", r"\z", r"\Z", r"\b", r"\B", r"\G"})
_CATEGORIES = re.compile(
    r"\^?(?:C[cfnos]?|L[lmotu&]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?|Any|X(?:an|ps|sp|wd|uc))"
)
_VERBS = re.compile(
    r"\(\*(?:UTF8?|UCP|CR|LF|CRLF|ANYCRLF|ANY|BSR_ANYCRLF|BSR_UNICODE|NO_START_OPT|NO_AUTO_POSSESS|LIMIT_\w+=\d+"
    r"|ACCEPT|FAIL|F|COMMIT|(?:PRUNE|SKIP|THEN|MARK)(?::[^)]+)?|:[^)]+)\)"
)
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w*):\]")
_COLLATING = re.compile(r"\[([.=])[^\]]*\1\]")


class UnreadableExpression(Exception):
    """An expression that PCRE cannot compile; its text says why, in words that follow a colon."""


@dataclass(slots=True)
class Group:
    """A group, or the whole expression: alternatives of parts. A part is a text, or a group with what repeats it.

    Args:
        opening: how it begins.
        alternatives: what may stand there.
        repeat: what follows it: `*`, `+?`, `{2}`, or nothing.
    """

    opening: str = ""
    alternatives: list[list[Part]] = field(default_factory=lambda: [[]])
    repeat: str = ""

    @property
    def is_look_around(self) -> bool:
        """Whether it takes no room."""
        return self.opening in {"(?=", "(?!", "(?<=", "(?<!", "(?#", "flags"}


@dataclass(slots=True)
class Atom:
    """One character, class or escape, with what repeats it."""

    text: str
    repeat: str = ""


Part = Group | Atom


@lru_cache(maxsize=4096)
def read(expression: str) -> Group:
    """The structure of an expression.

    Raises:
        UnreadableExpression: PCRE would not compile it.
    """
    return ExpressionReader(expression).read()


def why_unreadable(expression: str) -> str | None:
    """Why RabbitMQ would refuse an expression, or None as far as can be told."""
    try:
        read(expression)
    except (UnreadableExpression, RecursionError) as error:
        why = str(error) if isinstance(error, UnreadableExpression) else "it is nested too deeply"
        return f"{expression!r} is not a regular expression: {why}."
    return None


def doubt_about(expression: str) -> str | None:
    """Why it cannot be told whether RabbitMQ takes an expression, or None: versions read it differently."""
    reader = ExpressionReader(expression)
    try:
        reader.read()
    except (UnreadableExpression, RecursionError):
        return None
    return reader.doubt or None


def _is_unrepeatable(part: Part) -> bool:
    if isinstance(part, Group):
        return part.opening in {"(?#", "flags"}
    return part.text in _UNREPEATABLE


def _has_no_length(group: Group) -> bool:
    """Whether something within repeats without end, or as often as it likes."""
    for part in (part for parts in group.alternatives for part in parts):
        if part.repeat[:1] in {"*", "+"} or re.match(r"\{\d+,\d*\}", part.repeat):
            return True
        if isinstance(part, Group) and not part.is_look_around and _has_no_length(part):
            return True
    return False


class ExpressionReader:
    """Goes over an expression once.

    Attributes:
        bars: where the alternatives of the whole expression part.
    """

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0
        self._open: list[Group] = []
        self._captures = 0
        self._names: set[str] = set()
        self._references: list[tuple[str, str]] = []
        self._resets = False
        self.bars: list[int] = []
        self.doubt = ""

    def read(self) -> Group:
        """The structure of all of it."""
        whole = current = Group()
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == "(":
                opened = self._group()
                current.alternatives[-1].append(opened)
                if opened.opening not in {"(?#", "flags", "recursion"}:
                    self._open.append(current)
                    current = opened
            elif character == ")":
                if not self._open:
                    raise UnreadableExpression("a ) closes nothing")
                if current.opening in {"(?<=", "(?<!"} and _has_no_length(current):
                    raise UnreadableExpression(f"{current.opening!r} looks back over no fixed length")
                current = self._open.pop()
                self._at += 1
            elif character == "|":
                if not self._open:
                    self.bars.append(self._at)
                current.alternatives.append([])
                self._at += 1
            elif character in "*+?" or _REPEAT.match(self._text, self._at):
                self._repeat(current.alternatives[-1])
            else:
                current.alternatives[-1] += self._atoms()
        if self._open:
            raise UnreadableExpression("a ( is not closed")
        self._check_references()
        return whole

    def _check_references(self) -> None:
        for name, text in self._references:
            is_there = int(name) <= self._captures or self._resets if name.isdigit() else name in self._names
            if not is_there and text in {r"\8", r"\9"}:
                self.doubt = self.doubt or f"{text!r} refers to a group that is not there, which newer versions refuse"
            elif not is_there:
                raise UnreadableExpression(f"{text!r} refers to a group that is not there")

    def _group(self) -> Group:
        if verb := _VERBS.match(self._text, self._at):
            self._at = verb.end()
            return Group("flags")
        if not self._text.startswith("(?", self._at):
            if self._text.startswith("(*", self._at):
                self.doubt = self.doubt or "what begins with '(*' is known to some versions alone"
            self._at += 1
            self._captures += 1
            return Group("(")
        found = _GROUP.match(self._text, self._at)
        if found is None:
            raise UnreadableExpression(f"{self._text[self._at : self._at + 3]!r} begins no kind of group")
        self._at = found.end()
        if found["comment"]:
            return Group("(?#")
        if found["whole"]:
            return self._whole(found["whole"])
        if found["condition"] is not None:
            if number := re.fullmatch(r"\((\d+)\)", found["condition"]):
                self._references.append((number[1], found[0]))
            return Group("(?(")
        if name := re.fullmatch(r"(?:P?<|')(\w+)[>']", found["open"] or ""):
            if name[1] in self._names:
                raise UnreadableExpression(f"two groups are called {name[1]!r}")
            self._names.add(name[1])
            self._captures += 1
        self._resets = self._resets or found["open"] == "|"
        if (found["open"] or "").startswith("^"):
            self.doubt = self.doubt or "'(?^' is known to some versions alone"
        return Group(found[0])

    def _whole(self, text: str) -> Group:
        """A group that is closed at once: flags, or a way back to another group."""
        if reference := re.fullmatch(r"(?:&|P>|P=)(\w+)\)|(\d+)\)", text):
            name = reference[1] or reference[2]
            if name != "0":
                self._references.append((name, f"(?{text}"))
            return Group("recursion")
        if text[0] in "R0+C" or text[1:2].isdigit():
            self.doubt = self.doubt or ("what repeats itself within itself may never end" if text[0] in "R0" else "")
            return Group("recursion")
        if "^" in text or "a" in text:
            self.doubt = self.doubt or f"'(?{text}' is known to some versions alone"
        return Group("flags")

    def _repeat(self, parts: list[Part]) -> None:
        found = _REPEAT.match(self._text, self._at)
        text = found[0] if found else self._text[self._at]
        if not parts or parts[-1].repeat or _is_unrepeatable(parts[-1]):
            raise UnreadableExpression(f"{text!r} repeats nothing")
        if found:
            least, most = int(found["least"]), int(found["most"] or found["least"])
            if found["most"] and most < least:
                raise UnreadableExpression(f"{text!r} ends before it begins")
            if max(least, most) > MOST_REPEATS:
                raise UnreadableExpression(f"{text!r} repeats more than {MOST_REPEATS} times")
        self._at += len(text)
        if self._text[self._at : self._at + 1] in {"?", "+"}:
            text += self._text[self._at]
            self._at += 1
        parts[-1].repeat = text

    def _atoms(self) -> Iterator[Atom]:
        match self._text[self._at]:
            case "\\":
                yield from self._escape()
            case "[":
                text = self._class()
                if re.fullmatch(r"\[([:.=]).*\1\]", text):
                    raise UnreadableExpression(f"{text!r} stands only within another pair of brackets")
                yield Atom(text)
            case character:
                self._at += 1
                yield Atom(character)

    def _escape(self) -> Iterator[Atom]:
        start = self._at
        kind = self._text[start + 1 : start + 2]
        if not kind:
            raise UnreadableExpression("it ends with a backslash")
        if kind == "Q":
            end = self._text.find(r"\E", start + 2)
            quoted = self._text[start + 2 : end if end >= 0 else len(self._text)]
            self._at = start + 2 + len(quoted) + (2 if end >= 0 else 0)
            yield from (Atom(f"\\{character}" if character in "^$" else character) for character in quoted)
            return
        if kind == "E":
            self._at += 2
            return
        self._at = self._escape_end(start)
        yield Atom(self._text[start : self._at])

    def _escape_end(self, start: int) -> int:
        kind = self._text[start + 1 : start + 2]
        if kind in {"u", "U", "l", "L"} or self._text.startswith(r"\N{", start):
            raise UnreadableExpression(f"'\\{kind}' means nothing here")
        if braced := _BRACED.match(self._text, start):
            name = braced["braced"] or braced["angled"] or braced["quoted"] or braced["number"] or braced["digit"]
            if name and not name.strip("{}").startswith("-"):
                self._references.append((name.strip("{}"), braced[0]))
            if kind in "pP" and not _CATEGORIES.fullmatch(braced[0][2:].strip("{}")):
                self.doubt = self.doubt or f"whether {braced[0]!r} names characters depends on the version"
            return braced.end()
        if kind in _NEED_MORE:
            raise UnreadableExpression(f"'\\{kind}' does not name {_NEED_MORE[kind]}")
        if self._text.startswith(r"\x{", start):
            raise UnreadableExpression(r"'\x{' is not followed by digits of base 16")
        if kind.isascii() and kind.isalpha() and kind not in _KNOWN_ESCAPES:
            self.doubt = self.doubt or f"'\\{kind}' means nothing, and newer versions refuse it"
        return start + 2

    def _class(self) -> str:
        """From a [ to its ]."""
        start = self._at
        at = start + 1
        at += self._text.startswith("^", at)
        before: str | None = None
        is_range = after_set = False
        while at < len(self._text):
            character = self._text[at]
            if character == "]" and (at > start + 1 + self._text.startswith("^", start + 1)):
                self._at = at + 1
                return self._text[start : self._at]
            posix = _POSIX_CLASS.match(self._text, at)
            if _COLLATING.match(self._text, at):
                raise UnreadableExpression("classes of characters with [. or [= are not known")
            if posix:
                if posix[2] not in _POSIX:
                    raise UnreadableExpression(f"{posix[0]!r} is no class of characters")
                at, before, is_range = posix.end(), None, False
                continue
            if self._text.startswith(r"\Q", at):
                end = self._text.find(r"\E", at)
                at, before, is_range = (end + 2 if end >= 0 else len(self._text)), None, False
                continue
            end = self._escape_end(at) if character == "\\" else at + 1
            item = self._text[at:end]
            is_plain = len(item) == 1
            if is_range and len(item) > 1 and item[1] in _SETS:
                raise UnreadableExpression(f"the range {before}-{item} has no end")
            if is_range and before is not None and is_plain and ord(before) > ord(item):
                raise UnreadableExpression(f"the range {before}-{item} runs backwards")
            if item == "-" and before is not None and not is_range:
                is_range = True
            elif item == "-" and after_set and self._text[end : end + 1] != "]":
                self.doubt = self.doubt or "a range that begins with a set of characters is refused by newer versions"
            else:
                before, is_range = (item if is_plain and not is_range else None), False
            after_set = len(item) > 1 and item[1] in _SETS
            at = end
        raise UnreadableExpression("a [ is not closed")
