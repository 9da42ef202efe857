"""Progress: bars where there are eyes for them, one line a stage elsewhere."""

from __future__ import annotations

import io
import time

from letrade_topo.cli.terminal import TerminalProgress, waiting


class Terminal(io.StringIO):
    """A stream with eyes behind it."""

    def isatty(self) -> bool:
        """It has."""
        return True


def stage(stream: io.StringIO) -> str:
    """What is written of one stage of 40 changes."""
    progress = TerminalProgress(stream)
    progress.begin("queues", 40)
    progress.advance(10)
    progress.advance(30)
    progress.end()
    return stream.getvalue()


def test_on_a_terminal_there_is_a_bar() -> None:
    """It grows in its place, and leaves a line."""
    drawn = stage(Terminal()).split("\r")
    assert drawn[1:] == [
        "[....................] queues: 0/40\x1b[K",
        "[#####...............] queues: 10/40\x1b[K",
        "[####################] queues: 40/40\x1b[K",
        "queues: 40/40\x1b[K\n",
    ]


def test_elsewhere_there_is_a_line() -> None:
    """A log keeps what is written."""
    assert stage(io.StringIO()) == "queues: 40/40\n"


def test_a_stage_of_nothing() -> None:
    """It is done."""
    terminal = Terminal()
    TerminalProgress(terminal).begin("queues", 0)
    assert "[####################] queues: 0/0" in terminal.getvalue()


def test_what_takes_long_is_said_and_leaves_nothing() -> None:
    """On a terminal alone."""
    terminal, log = Terminal(), io.StringIO()
    deadline = time.monotonic() + 60
    with waiting("reading the broker", terminal):
        while "reading the broker" not in terminal.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert terminal.getvalue().startswith("\rreading the broker … ")
    assert terminal.getvalue().endswith("\r\x1b[K")
    with waiting("reading the broker", log):
        pass
    assert log.getvalue() == ""
