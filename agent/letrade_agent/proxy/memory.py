"""Memory goes back to the system: what has become free, which glibc keeps, and code that only the start has needed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Final

_DONTNEED: Final = 4
"""MADV_DONTNEED of Linux's mman.h."""


def _find_trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library, which has its own ways
        return lambda _: None
    return trim


class Spare:
    """Notices when much memory has become free.

    Args:
        worth_bytes: freed since the last time, that are worth the while.
        trim: gives memory back, all but so many bytes.
    """

    def __init__(self, worth_bytes: int, trim: Callable[[int], object] | None = None) -> None:
        self._worth_bytes = worth_bytes
        self._trim = _find_trim() if trim is None else trim
        self._most = 0

    def look(self, used: int) -> None:
        """To be called about once a second.

        Args:
            used: bytes that are held in what comes and goes.
        """
        self._most = max(self._most, used)
        if self._most - used >= self._worth_bytes:
            self._trim(0)
            self._most = used


def release() -> None:
    """Give back what the start leaves behind: free memory, and code of libraries of which an agent needs a part.

    The kernel maps sixteen pages around each that is touched (`fault_around_bytes`), and loading two libraries of
    14 MB each touches many. What is needed again is mapped again from the page cache, some microseconds for 64 KiB.
    Only what can be executed is given back: it is never written to, so that nothing can be lost.
    """
    _find_trim()(0)
    try:
        advise = ctypes.CDLL(None, use_errno=True).madvise
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, AttributeError):  # another system
        return
    for line in lines:
        place, rights, _, _, inode, *_ = line.split(maxsplit=5)
        if rights == "r-xp" and inode != "0":
            start, end = (int(address, 16) for address in place.split("-"))
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)
