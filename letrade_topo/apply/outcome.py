"""What became of each change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from letrade_topo.plan.change import Change


class Status(StrEnum):
    """The result of one change."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One change and its result; `why` says the broker's reason when it is not done, `note` what doing it took."""

    change: Change
    status: Status
    why: str = ""
    note: str = ""


class Progress(Protocol):
    """Who is told how far a run is."""

    def say(self, text: str) -> None:
        """Something other than a stage goes on."""

    def begin(self, title: str, total: int) -> None:
        """A stage with `total` changes begins."""

    def advance(self, count: int) -> None:
        """`count` more changes of the stage have ended."""

    def end(self) -> None:
        """The stage has ended."""
