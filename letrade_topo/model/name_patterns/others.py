"""The names of everybody else, in a form that answers quickly what they have in common with a beginning."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from letrade_topo.model.name_patterns.trie import common_length


class Others:
    """Names that a pattern must not match.

    Args:
        names: the names.
        beginnings: whatever begins with one of these is somebody else's too, for example a queue that an instance of
            another service makes at run time.
    """

    __slots__ = ("_claimed", "beginnings", "names")

    def __init__(self, names: Iterable[str], beginnings: Iterable[str] = ()) -> None:
        self.names: Sequence[str] = sorted(dict.fromkeys(names))
        self.beginnings: Sequence[str] = sorted(dict.fromkeys(beginnings))
        self._claimed = frozenset(self.beginnings)

    def below(self, beginning: str) -> Sequence[str]:
        """The names that begin so."""
        return _below(self.names, beginning)

    def claims_below(self, beginning: str) -> Sequence[str]:
        """The beginnings that begin so."""
        return _below(self.beginnings, beginning)

    def claim(self, text: str) -> bool:
        """Whether a text begins with one of the beginnings."""
        return bool(self._claimed) and any(text[:length] in self._claimed for length in range(len(text) + 1))

    def have(self, beginning: str) -> bool:
        """Whether a name of somebody else can begin so."""
        return _has_below(self.names, beginning) or _has_below(self.beginnings, beginning) or self.claim(beginning)

    def shared_length(self, beginning: str) -> int:
        """How many characters of a beginning the name of somebody else has that is most like it."""
        return max(_shared(self.names, beginning), _shared(self.beginnings, beginning))


def _below(texts: Sequence[str], beginning: str) -> Sequence[str]:
    low, length = bisect_left(texts, beginning), len(beginning)
    return texts[low : bisect_right(texts, beginning, low, key=lambda text: text[:length])]


def _has_below(texts: Sequence[str], beginning: str) -> bool:
    at = bisect_left(texts, beginning)
    return at < len(texts) and texts[at].startswith(beginning)


def _shared(texts: Sequence[str], beginning: str) -> int:
    at = bisect_left(texts, beginning)
    return max((common_length(beginning, text) for text in texts[max(at - 1, 0) : at + 1]), default=0)
