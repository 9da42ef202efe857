"""What people see while it runs: progress on stderr, colours only where there are eyes for them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TextIO

import click

MOST_CREATES_SHOWN = 40
_DRAWN_EVERY_SECONDS = 0.1


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user did not say NO_COLOR (no-color.org)."""
    return not os.environ.get("NO_COLOR") and stream.isatty()


def say(text: str) -> None:
    """One line of talk on stderr."""
    click.echo(text, err=True)


class TerminalProgress:
    """Stages as counting lines on a terminal, and as one line each elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._lock = threading.Lock()
        self._title, self._done, self._total = "", 0, 0

    def say(self, text: str) -> None:
        """Something other than a stage goes on."""
        self._write(f"{text} …\n")

    def begin(self, title: str, total: int) -> None:
        """A stage with `total` changes begins."""
        self._title, self._done, self._total = title, 0, total
        if self._is_terminal:
            self._draw()

    def advance(self, count: int) -> None:
        """`count` more changes of the stage have ended."""
        with self._lock:
            self._done += count
        if self._is_terminal:
            self._draw()

    def end(self) -> None:
        """The stage has ended."""
        if self._is_terminal:
            self._draw()
            self._write("\n")
        else:
            self._write(f"{self._line()}\n")

    def _draw(self) -> None:
        self._write(f"\r{self._line()}\x1b[K")

    def _line(self) -> str:
        return f"{self._title}: {self._done:,}/{self._total:,}"

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a reader that went away ends no run half-way
            self._stream.write(text)
            self._stream.flush()


class PacedProgress:
    """Progress in very many small steps, drawn ten times a second.

    Args:
        progress: where it is drawn.
    """

    def __init__(self, progress: TerminalProgress) -> None:
        self._progress = progress
        self._pending = 0
        self._drawn_at = 0.0

    def begin(self, title: str, total: int) -> None:
        """Something with so many steps begins."""
        self._progress.begin(title, total)

    def advance(self, count: int) -> None:
        """So many more steps are done."""
        self._pending += count
        if time.monotonic() - self._drawn_at > _DRAWN_EVERY_SECONDS:
            self._draw()

    def end(self) -> None:
        """It is done."""
        self._draw()
        self._progress.end()

    def _draw(self) -> None:
        self._progress.advance(self._pending)
        self._pending, self._drawn_at = 0, time.monotonic()
