"""Resident memory of processes over time, and whether it stays flat."""

from __future__ import annotations

import time
from pathlib import Path


def megabytes(pid: int) -> float:
    """Resident memory of a process now."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"process {pid} has no resident memory")


class Memory:
    """Samples of one process.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._samples: list[tuple[float, float]] = []

    def sample(self) -> None:
        """Look once."""
        self._samples.append((time.monotonic(), megabytes(self._pid)))

    @property
    def most(self) -> float:
        """The most that was seen, in megabytes."""
        return max(size for _, size in self._samples)

    def growth(self, begin: float, end: float) -> float:
        """Megabytes that the line of least squares rises by within a part of the time.

        Args:
            begin, end: of the part, as shares of the time between the first sample and the last.
        """
        first, last = self._samples[0][0], self._samples[-1][0]
        counted = [(at, size) for at, size in self._samples if begin <= (at - first) / (last - first) <= end]
        middle = sum(at for at, _ in counted) / len(counted)
        mean = sum(size for _, size in counted) / len(counted)
        spread = sum((at - middle) ** 2 for at, _ in counted)
        slope = sum((at - middle) * (size - mean) for at, size in counted) / spread
        return slope * (counted[-1][0] - counted[0][0])
