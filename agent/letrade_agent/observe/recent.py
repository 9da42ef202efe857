"""The last refusals, for people: when, of what, why. No content of a message."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MOST_KEPT = 50
_LONGEST_TEXT = 300
_DESTINATIONS = ("exchange", "queue", "destination")


class RecentRefusal(NamedTuple):
    """One refusal.

    Attributes:
        at: seconds since the epoch.
        event: what was refused, in the words of the log.
        reason: the word.
        destination: where it was going, or where it came from.
        text: what was wrong, with which figures.
    """

    at: float
    event: str
    reason: str
    destination: str
    text: str


class RecentRefusals:
    """Keeps the last of them; a listener of `letrade_topo.log.Log`."""

    def __init__(self) -> None:
        self._kept: deque[RecentRefusal] = deque(maxlen=MOST_KEPT)
        self.counts: Counter[str] = Counter()

    def __call__(self, now: float, event: str, fields: Mapping[str, Any]) -> None:
        """Note an event, if it is a refusal: if it has a field `reason`."""
        reason = fields.get("reason")
        if reason is None:
            return
        destination = " ".join(_text(fields[name]) for name in _DESTINATIONS if fields.get(name))
        if fields.get("routing_key"):
            destination = f"{destination} {_text(fields['routing_key'])}".strip()
        text = _text(fields.get("text") or fields.get("detail") or "")
        self._kept.append(RecentRefusal(now, event, str(reason), destination, text))
        self.counts[event] += 1

    def __iter__(self) -> Iterator[RecentRefusal]:
        """The newest first."""
        return reversed(self._kept)


def _text(value: Any) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
