"""Log lines of programs that run on: one event each, as JSON or as text; what repeats is counted, not repeated.

Whoever logs gives facts, never a body, a token or a secret; nothing here can tell.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO, TypeAlias

WINDOW_SECONDS: Final = 10.0
MOST_ALIKE: Final = 20
"""Lines of one event in a window, before the rest is only counted; of a refusal with its reason it is one."""
_MOST_KINDS: Final = 1000
_LONGEST_VALUE: Final = 2000

Fields: TypeAlias = Mapping[str, Any]
Listener: TypeAlias = Callable[[float, str, Fields], None]


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "json"
    TEXT = "text"


class _Kind:
    """How often one kind of event happened in its window."""

    __slots__ = ("began", "fields", "last_level", "shown", "suppressed")

    def __init__(self, began: float) -> None:
        self.began = began
        self.shown = 0
        self.suppressed = 0
        self.fields: Fields = {}
        self.last_level = "info"


class Log:
    """Writes log lines; call it with a level, an event and its fields.

    Args:
        stream: where to.
        log_format: JSON or text.
        clock: seconds since the epoch.
        always: fields of every line, for example the service.
    """

    def __init__(
        self, stream: TextIO, log_format: LogFormat, clock: Callable[[], float], always: Fields | None = None
    ) -> None:
        self._stream = stream
        self._format = _as_json if log_format is LogFormat.JSON else _as_text
        self._clock = clock
        self._always = dict(always or {})
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell somebody of every event, also of those that are only counted: (time, event, fields)."""
        self._listeners.append(listener)

    def __call__(self, level: str, event: str, fields: Fields | None = None) -> None:
        """Log an event.

        Args:
            level: debug, info, warning, error. Debug is not written.
            event: a word.
            fields: its facts; a field `reason` makes it a refusal.
        """
        fields = fields or {}
        now = self._clock()
        for listener in self._listeners:
            listener(now, event, fields)
        if level == "debug":
            return
        kind = self._kind(event, str(fields.get("reason", "")), now)
        most = 1 if "reason" in fields else MOST_ALIKE
        if kind.shown >= most:
            kind.suppressed += 1
            kind.fields, kind.last_level = fields, level
            return
        kind.shown += 1
        self._write(now, level, event, fields)

    def tick(self) -> None:
        """End windows that are over; say how often what was not shown happened. To be called about once a second."""
        now = self._clock()
        for key in [key for key, kind in self._kinds.items() if self._is_over(kind, now)]:
            self._end(key, now)

    def flush(self) -> None:
        """End every window, before the last line."""
        now = self._clock()
        for key in list(self._kinds):
            self._end(key, now)

    def _kind(self, event: str, reason: str, now: float) -> _Kind:
        key = (event, reason)
        if key in self._kinds and self._is_over(self._kinds[key], now):
            self._end(key, now)
        if len(self._kinds) >= _MOST_KINDS:  # words of events are few; this only keeps a mistake bounded
            self.flush()
            self._kinds.clear()
        return self._kinds.setdefault(key, _Kind(now))

    @staticmethod
    def _is_over(kind: _Kind, now: float) -> bool:
        return not 0 <= now - kind.began < WINDOW_SECONDS

    def _end(self, key: tuple[str, str], now: float) -> None:
        """End a window. What was suppressed gets its line, and another window in which it is only counted."""
        kind = self._kinds[key]
        if not kind.suppressed:
            del self._kinds[key]
            return
        repeated = {**kind.fields, "more": kind.suppressed, "within_seconds": round(max(now - kind.began, 0), 1)}
        self._write(now, kind.last_level, key[0], repeated)
        kind.began, kind.suppressed = now, 0

    def _write(self, now: float, level: str, event: str, fields: Fields) -> None:
        line = {"time": _moment(now), "level": level, "event": event, **self._always, **fields}
        with contextlib.suppress(OSError, ValueError):  # nobody reads the log: no reason to stop relaying
            text = self._format(line).encode(errors="backslashreplace").decode()  # names of files may be no text
            self._stream.write(text + "\n")
            self._stream.flush()


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(line: Fields) -> str:
    return json.dumps({name: _plain(value) for name, value in line.items()}, ensure_ascii=False)


def _as_text(line: Fields) -> str:
    head = f"{line['time']} {line['level']:<7} {line['event']}"
    rest = [f"{name}={_word(_plain(value))}" for name, value in line.items() if name not in ("time", "level", "event")]
    return " ".join([head, *rest])


def _plain(value: Any) -> Any:
    """A value as JSON has it: names from the wire are bytes and may be no text at all."""
    match value:
        case str():
            return value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
        case bytes():
            return _plain(value.decode(errors="backslashreplace"))
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return _plain(str(value))


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    simple = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if simple else json.dumps(text, ensure_ascii=False)
