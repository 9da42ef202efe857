"""Many dead letters at a glance: counted by reason, queue, type and age; the first of them one by one.

Bounded: what a publisher can make up, like a reason, is counted under `(other)` beyond some number of names.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from letrade_topo.queues.letter import UNKNOWN, Letter

OTHER: Final = "(other)"
MOST_NAMES: Final = 200
AGES: Final = (
    ("under 1 min", 60.0),
    ("1 to 10 min", 600.0),
    ("10 to 60 min", 3600.0),
    ("1 to 6 h", 21_600.0),
    ("6 to 24 h", 86_400.0),
    ("1 to 7 d", 604_800.0),
    ("over 7 d", float("inf")),
)


class Summary:
    """Counts letters.

    Args:
        most_letters: so many are kept one by one.
    """

    def __init__(self, most_letters: int) -> None:
        self._most = most_letters
        self.count = 0
        self.size = 0
        self.reasons: Counter[str] = Counter()
        self.queues: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.ages: Counter[str] = Counter()
        self.oldest: float | None = None
        self.newest: float | None = None
        self.letters: list[Letter] = []
        self.claims = 0
        self.claims_near_end = 0

    @property
    def by_age(self) -> list[tuple[str, int]]:
        """Counts by age, the youngest first; those that do not say it last."""
        return [(name, self.ages[name]) for name in (*(name for name, _ in AGES), UNKNOWN) if self.ages[name]]

    def add(self, letter: Letter, now: float) -> None:
        """Count one."""
        self.count += 1
        self.size += letter.size
        if letter.claimed is not None:
            self.claims += 1
            self.claims_near_end += letter.claimed.is_near_end(now)
        _count(self.reasons, letter.reason)
        _count(self.queues, letter.queue or UNKNOWN)
        _count(self.types, letter.message_type or UNKNOWN)
        age = letter.age(now)
        self.ages[UNKNOWN if age is None else next(name for name, end in AGES if age < end)] += 1
        if age is not None:
            self.oldest = age if self.oldest is None else max(self.oldest, age)
            self.newest = age if self.newest is None else min(self.newest, age)
        if len(self.letters) < self._most:
            self.letters.append(letter)


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHER] += 1
