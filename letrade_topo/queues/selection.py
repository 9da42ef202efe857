"""Which dead letters are meant: by queue, reason, routing key, age, id. All that is given has to be true."""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.model.routing import binding_matches
from letrade_topo.queues.letter import Letter


@dataclass(frozen=True, slots=True)
class Selection:
    """What a letter has to be; a letter that does not say when it died is neither older nor newer than anything.

    Args:
        queues: one of these failed it; empty: any.
        reasons: for one of these reasons; empty: any.
        keys: its original routing key matches one of these patterns (`*` one word, `#` any number); empty: any.
        ids: it has one of these ids; empty: any.
        older_seconds: it died longer ago than this.
        newer_seconds: it died more recently than this.
    """

    queues: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()
    older_seconds: float | None = None
    newer_seconds: float | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def matches(self, letter: Letter, now: float) -> bool:
        """Whether a letter is meant."""
        if self.queues and letter.queue not in self.queues:
            return False
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.ids and letter.id not in self.ids:
            return False
        if self.keys and not any(binding_matches(pattern, letter.routing_key) for pattern in self.keys):
            return False
        age = letter.age(now)
        if self.older_seconds is not None and (age is None or age <= self.older_seconds):
            return False
        return self.newer_seconds is None or (age is not None and age < self.newer_seconds)
