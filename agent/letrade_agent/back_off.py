"""How long to wait before the next attempt at something that fails. Whoever waits adds a jitter of its own."""

from __future__ import annotations

_MOST_DOUBLINGS = 16


def back_off(first: float, failures: int, longest: float) -> float:
    """Seconds to wait: doubled with every failure.

    Args:
        first: seconds, before anything is doubled.
        failures: how often to double.
        longest: seconds.
    """
    return min(longest, first * 2.0 ** min(failures, _MOST_DOUBLINGS))
