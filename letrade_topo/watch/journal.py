"""What a controller remembers for its page: the last look at the broker, and what happened lately."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from letrade_topo.watch.looks import Look
from letrade_topo.watch.schedule import PassOutcome
from letrade_topo.watch.source import Watched

MOST_KEPT: Final = 40
"""Events; those of a quiet month fit in."""
_TOLD: Final = frozenset(
    {
        "drift",
        "in_sync",
        "repaired",
        "repair_failed",
        "repair_waits",
        "pass_failed",
        "recovered",
        "leading",
        "standby",
        "unled",
        "topology_reloaded",
        "topology_reload_failed",
    }
)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Something that happened.

    Args:
        at: seconds since the epoch.
        event: as the log calls it.
        fields: what the log says of it.
    """

    at: float
    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A look at the broker.

    Args:
        watched: for whose topology.
        look: what was found.
        at: seconds since the epoch.
    """

    watched: Watched
    look: Look
    at: float


@dataclass(frozen=True, slots=True)
class EndedPass:
    """A pass.

    Args:
        at: when it ended, in seconds since the epoch.
        outcome: how.
        problem: why it failed; empty when it did not.
    """

    at: float
    outcome: PassOutcome
    problem: str = ""


class Journal:
    """Written by the controller, read by whoever asks for the page; on two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[JournalEntry] = deque(maxlen=MOST_KEPT)
        self._looked: LookedAt | None = None
        self._ended: EndedPass | None = None

    def looked(self, watched: Watched, look: Look, at: float) -> None:
        """The broker was read."""
        self._looked = LookedAt(watched, look, at)

    def passed(self, at: float, outcome: PassOutcome, problem: str = "") -> None:
        """A pass has ended."""
        self._ended = EndedPass(at, outcome, problem)

    def told(self, at: float, event: str, fields: Mapping[str, Any]) -> None:
        """The log was told of something."""
        if event in _TOLD:
            with self._lock:
                self._entries.append(JournalEntry(at, event, dict(fields)))

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """What happened, the newest first."""
        with self._lock:
            return tuple(reversed(self._entries))

    @property
    def last_look(self) -> LookedAt | None:
        """The last look; None before the first, and for who stands by."""
        return self._looked

    @property
    def last_pass(self) -> EndedPass | None:
        """How the last pass ended; None before."""
        return self._ended
