"""What an unquoted text holds by a slip more often than by intention: half a quote, a comma behind it, another line.

YAML takes all of this as part of the text. Quotes say that it is meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TYPOGRAPHIC: Final = {
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "：": ": ", "；": ": ", "–": "-", "—": "-", "，": ", ",
    "\u00a0": " ", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "", "\ufeff": "", "\u3000": " ",
}  # fmt: skip
"""Characters that look like one that YAML knows, or like none, and that one."""
TYPOGRAPHIC_SPACES: Final = frozenset(char for char, plain in TYPOGRAPHIC.items() if not plain.strip())
"""Those that look like a space or like nothing, and indent no line."""
_TYPOGRAPHIC: Final = re.compile(f"[{''.join(TYPOGRAPHIC)}]")
_GLUED_COMMENT: Final = re.compile(r"(?<=\S)#(?=\s)")
_SPACES: Final = re.compile(r"(?<=\S)\s{2,}(?=\S)")
_CLOSING: Final = {"]": "[", "}": "{"}
_SHELL: Final = re.compile(r"\$\(?(?P<name>[A-Za-z_]\w*)\)?|%(?P<other>[A-Za-z_]\w*)%")
_GLUED_DASH: Final = re.compile(r"-(?=[A-Za-z{*\"'])")


_SUSPICIOUS: Final = re.compile(rf"""[{"".join(TYPOGRAPHIC)}$%#]|\s\s|^-|[\]}},;'"]$""")


def may_have_slip(text: str) -> bool:
    """Whether a text is worth a closer look: nearly all are not."""
    return _SUSPICIOUS.search(text) is not None


@dataclass(frozen=True, slots=True)
class Slip:
    """One of them.

    Args:
        offset: where in the text, from 0.
        what: what is wrong, in one line.
        why: why, in a sentence.
        fix: what to do.
        meant: the text as it was probably meant.
    """

    offset: int
    what: str
    why: str
    fix: str
    meant: str


def shown(character: str) -> str:
    """A character by its look and number, or by its number alone."""
    number = f"U+{ord(character):04X}"
    return number if character.isspace() or character in "\u200b\u200c\u200d\u2060\ufeff" else f"{character} ({number})"


def slip_in(text: str, *, is_key: bool = False) -> Slip | None:
    """What is probably not meant in an unquoted text of one line."""
    otherwise = "; if it belongs to the text, put all of it in quotes."
    found = _TYPOGRAPHIC.search(text)
    if found and not (is_key and TYPOGRAPHIC[found[0]] == ": "):  # which makes one text of a key and its value
        meant = _TYPOGRAPHIC.sub(lambda one: TYPOGRAPHIC[one[0]], text).strip().strip("\"'").removeprefix("- ")
        why = f"{shown(found[0])} is not what YAML knows by that look; word processors and chats put it there."
        proper = TYPOGRAPHIC[found[0]].strip()
        if not proper:
            proper = "an ordinary space" if TYPOGRAPHIC[found[0]] else ""
        fix = f"Write {proper} instead{otherwise}" if proper else f"Delete it{otherwise}"
        return Slip(found.start(), "a character that only looks right", why, fix, meant)
    last = text[-1:]
    if last in ("'", '"') and text.count(last) % 2:
        why = f"The text ends with {last} and does not begin with it."
        return Slip(len(text) - 1, "half a pair of quotes", why, f"Remove it{otherwise}", text[:-1])
    if is_key:
        return None
    if last in _CLOSING and text.count(last) > text.count(_CLOSING[last]):
        opening = _CLOSING[last]
        why = f"Nothing opens what {last} closes here, so it is a part of the text."
        return Slip(
            len(text) - 1, "a bracket too many", why, f"Remove it, or write {opening} before{otherwise}", text[:-1]
        )
    if last in (",", ";"):
        why = f"In YAML the end of the line ends a value, and {last} becomes a part of it."
        return Slip(len(text) - 1, f"{last} at the end of a value", why, f"Remove it{otherwise}", text.rstrip(",; "))
    if found := _GLUED_COMMENT.search(text):
        why = "Without a space before it, # does not begin a comment but is a part of the text."
        return Slip(
            found.start(),
            "no space before a comment",
            why,
            f"Write a space before it{otherwise}",
            text[: found.start()],
        )
    if found := _SHELL.fullmatch(text):
        why = f"{text} is a variable of a shell, which nobody replaces here."
        fix = f"Write ${{{found['name'] or found['other']}}} and declare it under `variables`{otherwise}"
        return Slip(0, "a variable that is not replaced", why, fix, text)
    if found := _SPACES.search(text):
        why = "A comment begins with # and a space; without them all of the line is one text."
        fix = f"If a comment begins here, write # before it{otherwise}"
        return Slip(found.end(), "several spaces inside of a text", why, fix, text[: found.start()])
    if found := _GLUED_DASH.match(text):
        why = "An item of a list begins with a dash and a space; without the space the dash is a part of the text."
        return Slip(0, "no space behind a dash", why, f"Write a space behind it{otherwise}", text[found.end() :])
    return None


@dataclass(frozen=True, slots=True)
class Continuation:
    """A line that YAML reads as part of the text on the line before.

    Args:
        line: from 0.
        column: from 0.
        text: without the dash that it may begin with.
        has_dash: whether it begins like an item of a list.
    """

    line: int
    column: int
    text: str
    has_dash: bool


def continuations(lines: Sequence[str], first: int, last: int, *, end: int) -> list[Continuation]:
    """The further lines of an unquoted text.

    Args:
        lines: the file.
        first: the number of its first line.
        last: of its last.
        end: the column behind its last character.
    """
    found = []
    for number in range(first + 1, last + 1):
        line = lines[number][:end] if number == last else lines[number]
        text = line.strip()
        if text:
            has_dash = text.startswith("-")
            said = (text.removeprefix("-") if has_dash else text).strip().strip("\"'")
            found.append(Continuation(number, len(line) - len(line.lstrip()), said, has_dash))
    return found
