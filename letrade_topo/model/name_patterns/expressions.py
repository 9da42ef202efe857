"""Fragments of regular expressions with one meaning for Python, for PCRE on text and for PCRE on bytes.

RabbitMQ compiles without the option `unicode`: there a character beyond ASCII is several bytes, so it must not stand in
a class or before a quantifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from letrade_topo.model.routing import SYMBOLS, spell

_ESCAPED_IN_CLASS = frozenset("\\]^-[")


def size_of(expression: str) -> int:
    """Bytes of an expression, as RabbitMQ counts them."""
    return len(expression) if expression.isascii() else len(expression.encode())


def any_of(expressions: Iterable[str]) -> str:
    """An expression of which one of these is the whole; each of them once."""
    unique = list(dict.fromkeys(expressions))
    return unique[0] if len(unique) == 1 else f"(?:{'|'.join(unique)})"


def branches(tails: Mapping[str, Sequence[str]], *, optional: bool) -> str:
    """An expression of texts by their first characters.

    Args:
        tails: the first characters, by the expression of what follows each of them.
        optional: nothing at all is matched, too.
    """
    parts: list[str] = []
    for tail, firsts in tails.items():
        single = [first for first in firsts if first.isascii() and first not in SYMBOLS]
        if single:
            parts.append(_repeated(_class(single), tail))
        parts += [spell(first) + tail for first in firsts if first not in single]
    if not optional:
        return any_of(parts)
    if len(parts) == 1 and _is_one_character(parts[0]):
        return f"{parts[0]}?"
    return f"(?:{'|'.join(parts)})?"


def _class(characters: Sequence[str]) -> str:
    """One of these ASCII characters; a range, where at least three follow each other."""
    if len(characters) == 1:
        return spell(characters[0])
    points, texts, at = sorted(map(ord, characters)), list[str](), 0
    while at < len(points):
        end = at
        while end + 1 < len(points) and points[end + 1] == points[end] + 1:
            end += 1
        if end - at >= 2:
            texts.append(f"{_in_class(points[at])}-{_in_class(points[end])}")
        else:
            texts += [_in_class(point) for point in points[at : end + 1]]
        at = end + 1
    return f"[{''.join(texts)}]"


def _in_class(point: int) -> str:
    character = chr(point)
    return f"\\{character}" if character in _ESCAPED_IN_CLASS else character


def _repeated(first: str, tail: str) -> str:
    """Join a class to what follows it; three of one kind become `[0-9]{3}`."""
    if not first.startswith("["):
        return first + tail
    counted, _, rest = tail.removeprefix(f"{first}{{").partition("}")
    if tail.startswith(f"{first}{{") and counted.isdigit():
        return f"{first}{{{int(counted) + 1}}}{rest}"
    rest = tail.removeprefix(first + first)
    if len(rest) < len(tail) and not rest.startswith(("?", "{")):
        return f"{first}{{3}}{rest}"
    return first + tail


def _is_one_character(part: str) -> bool:
    if part.startswith("["):
        return part.index("]", 1) == len(part) - 1 and "\\" not in part
    return len(part) == 1 and part.isascii()
