"""Log lines: their form, what is bounded, and the last refusals."""

from __future__ import annotations

import io
import json

import pytest
from letrade_agent.observe.recent import MOST_KEPT, RecentRefusals

from letrade_topo.log import MOST_ALIKE, WINDOW_SECONDS, Log, LogFormat
from tests.agent.observe.world import NOW, StandingClock, WrittenLog


def test_json_line() -> None:
    """One object a line: time in UTC with milliseconds, level, event, service, facts."""
    written = WrittenLog()
    written.log("info", "ready", {"listen": "127.0.0.1:5672", "nodes": ["a", "b"], "key": b"r\xffk", "none": None})

    [line] = written.lines
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.000Z",
        "level": "info",
        "event": "ready",
        "service": "strategy",
        "listen": "127.0.0.1:5672",
        "nodes": ["a", "b"],
        "key": "r\\xffk",
        "none": None,
    }


def test_text_line() -> None:
    """Words as they are, everything else quoted: a line is a line, whatever a name holds."""
    written = WrittenLog(LogFormat.TEXT)
    written.log("warning", "refused", {"key": "a b", "name": 'x="1"\nready', "count": 3})

    [line] = written.lines
    assert line == (
        '2027-01-15T08:00:00.000Z warning refused service=strategy key="a b" name="x=\\"1\\"\\nready" count=3'
    )


@pytest.mark.parametrize(
    "value", ["line\nbreak", "\x1b[31m", "\udcff", "x" * 100_000, b"\x00\xff", {"a": {b"b": 1}}, object()]
)
@pytest.mark.parametrize("log_format", list(LogFormat))
def test_any_value_is_one_line(value: object, log_format: LogFormat) -> None:
    """No value breaks a line, the terminal, or the log."""
    written = WrittenLog(log_format)
    written.log("info", "event", {"value": value})

    [line] = written.lines
    assert line.isprintable() or log_format is LogFormat.JSON
    assert "\x1b" not in line
    assert len(line) < 5000


def test_refusals_that_repeat() -> None:
    """The first at once, then one line for each window, with the count."""
    written = WrittenLog()
    for _ in range(1000):
        written.log("warning", "publish_refused", {"reason": "schema", "text": "bad"})
    written.log("warning", "publish_refused", {"reason": "oversize"})
    assert len(written.lines) == 2

    written.clock.now += WINDOW_SECONDS
    written.log.tick()
    assert json.loads(written.lines[-1])["more"] == 999

    for _ in range(10):
        written.log("warning", "publish_refused", {"reason": "schema", "text": "bad"})
    assert len(written.lines) == 3, "a storm that goes on gets one line a window"
    written.clock.now += WINDOW_SECONDS
    written.log.tick()
    assert json.loads(written.lines[-1])["more"] == 10

    written.clock.now += WINDOW_SECONDS
    written.log.tick()
    written.log("warning", "publish_refused", {"reason": "schema", "text": "bad"})
    assert "more" not in json.loads(written.lines[-1]), "after a quiet window it is told at once again"
    assert len(written.lines) == 5


def test_any_event_is_bounded() -> None:
    """A storm of connections writes a few lines, and how many there were."""
    written = WrittenLog()
    for number in range(500):
        written.log("info", "client_connected", {"peer": number})
    assert len(written.lines) == MOST_ALIKE

    written.log.flush()
    assert json.loads(written.lines[-1])["more"] == 500 - MOST_ALIKE


def test_debug_is_not_written() -> None:
    """It is heard by listeners alone."""
    written = WrittenLog()
    heard: list[str] = []
    written.log.listen(lambda _now, event, _fields: heard.append(event))
    written.log("debug", "detail", {})

    assert written.lines == []
    assert heard == ["detail"]


def test_log_that_nobody_reads() -> None:
    """A closed stream is no reason to stop."""
    stream = io.StringIO()
    log = Log(stream, LogFormat.JSON, StandingClock())
    stream.close()

    log("info", "event")


def test_recent_refusals() -> None:
    """The last fifty, the newest first, also those that the log only counted; nothing but refusals."""
    written, recent = WrittenLog(), RecentRefusals()
    written.log.listen(recent)
    written.log("info", "ready", {})
    for number in range(MOST_KEPT + 20):
        facts = {"reason": "schema", "exchange": "orders", "routing_key": f"key{number}", "text": "x" * 1000}
        written.log("warning", "publish_refused", facts)

    kept = list(recent)

    assert len(kept) == MOST_KEPT
    assert kept[0].destination == f"orders key{MOST_KEPT + 19}"
    assert (kept[0].at, kept[0].reason) == (NOW, "schema")
    assert len(kept[0].text) < 400
