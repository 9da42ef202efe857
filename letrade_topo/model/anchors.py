"""Whether a regular expression means whole names, and how to write it so that it does."""

from __future__ import annotations

import re
from itertools import pairwise

from letrade_topo.model.expressions import Atom, ExpressionReader, Group, Part, UnreadableExpression, read

_START = frozenset({"^", r"\A"})
_END = frozenset({"$", r"\z", r"\Z"})
_ANYTHING = re.compile(r"\.[*+][?+]?")


def is_anchored(expression: str, *, at_end: bool = True) -> bool:
    """Whether an expression can match only whole names, whichever alternative is taken; `.*` at an end is meant so.

    Args:
        expression: any.
        at_end: the end counts, too, not the beginning alone.
    """
    try:
        whole = read(expression)
        return all(_begins(parts) and (not at_end or _ends(parts)) for parts in whole.alternatives)
    except (UnreadableExpression, RecursionError):
        return False


def anchored(expression: str) -> str:
    """The expression for whole names that was probably meant: `orders|bills` is `^(?:orders|bills)$`."""
    alternatives = [_bare(text) for text in _alternatives(expression)]
    joined = "|".join(alternatives)
    return f"^(?:{joined})$" if len(alternatives) > 1 or not joined else f"^{joined}$"


def _begins(parts: list[Part]) -> bool:
    for part in parts:
        match part:
            case Group() if part.is_look_around:
                continue
            case Group():
                optional = part.repeat[:1] in {"*", "?"} or part.repeat.startswith("{0")
                return not optional and all(_begins(inner) for inner in part.alternatives)
            case Atom():
                return (part.text in _START and not part.repeat) or _is_anything(part)
    return False


def _ends(parts: list[Part]) -> bool:
    return _begins([_mirrored(part) for part in reversed(parts)])


def _mirrored(part: Part) -> Part:
    """A part as it looks from behind."""
    if isinstance(part, Group):
        inner = [[_mirrored(one) for one in reversed(parts)] for parts in part.alternatives]
        return Group(part.opening, inner, part.repeat)
    if part.text in _START | _END:
        return Atom("^" if part.text in _END else "$", part.repeat)
    return part


def _is_anything(atom: Atom) -> bool:
    return _ANYTHING.fullmatch(atom.text + atom.repeat) is not None


def _alternatives(expression: str) -> list[str]:
    """The texts of the alternatives; of one group around everything, those within."""
    reader = ExpressionReader(expression)
    try:
        whole = reader.read()
    except (UnreadableExpression, RecursionError):
        return [expression]
    bounds = [-1, *reader.bars, len(expression)]
    texts = [expression[start + 1 : end] for start, end in pairwise(bounds)]
    if len(texts) > 1:
        return texts
    bare = _bare(expression)
    match whole.alternatives[0]:
        case [*_] if bare != expression:
            return [bare] if len(_alternatives(bare)) == 1 else _alternatives(bare)
        case [Group(opening="(" | "(?:", repeat="")]:
            return _alternatives(expression[len(whole.alternatives[0][0].opening) : -1])  # type: ignore[union-attr]
        case _:
            return texts


def _bare(text: str) -> str:
    """Without anchors at its ends."""
    text = re.sub(r"\A(?:\^|\\A)+", "", text)
    return re.sub(r"(?<!\\)((?:\\\\)*)(?:\$|\\[zZ])+\Z", r"\1", text)
