"""What people see while it runs: progress on stderr, colours only where there are eyes for them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

import click

MOST_CREATES_SHOWN = 40
MOST_ALIKE_SHOWN = 12
_DRAWN_EVERY_SECONDS = 0.1
_DRAWN_AFTER_SECONDS = 0.5
_BAR_CELLS = 20


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal whose user did not say NO_COLOR (no-color.org)."""
    return not os.environ.get("NO_COLOR") and stream.isatty()


def say(text: str) -> None:
    """One line of talk on stderr."""
    click.echo(text, err=True)


class TerminalProgress:
    """Stages as bars on a terminal, and as one line each elsewhere."""

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
        self._write(f"\r{self._line()}\x1b[K\n" if self._is_terminal else f"{self._line()}\n")

    def _draw(self) -> None:
        filled = min(_BAR_CELLS, _BAR_CELLS * self._done // self._total) if self._total else _BAR_CELLS
        bar = "#" * filled + "." * (_BAR_CELLS - filled)
        self._write(f"\r[{bar}] {self._line()}\x1b[K")

    def _line(self) -> str:
        return f"{self._title}: {self._done:,}/{self._total:,}"

    def _write(self, text: str) -> None:
        _write(self._stream, text)


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a reader that went away ends no run half-way
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def waiting(text: str, stream: TextIO | None = None) -> Iterator[None]:
    """On a terminal, say what takes longer than a moment, and for how long; nothing is left of it. Elsewhere silent."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield
        return
    done = threading.Event()

    def draw() -> None:
        start = time.monotonic()
        while not done.wait(_DRAWN_AFTER_SECONDS):
            _write(stream, f"\r{text} … {time.monotonic() - start:.0f} s\x1b[K")

    drawing = threading.Thread(target=draw, name="waiting", daemon=True)
    drawing.start()
    try:
        yield
    finally:
        done.set()
        drawing.join()
        _write(stream, "\r\x1b[K")


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
