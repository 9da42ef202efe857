"""The thread that makes spans of what was recorded, and sends them: now, again after a failure, or not at all.

It takes nothing from the event loop but its turns of the interpreter. A collector that is away costs spans, which are
counted; what is told in the log is that it is away, and that it is back.
"""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from letrade_agent.back_off import back_off
from letrade_agent.config import TraceSettings
from letrade_agent.limits import TraceLimits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.otlp.wire import Wire, rejected
from letrade_agent.tracing.recorder import Batch, Recorder
from letrade_agent.tracing.spans import MessageSpan, Spans

_RETRYABLE: Final = frozenset(
    (
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    )
)
"""OTLP 1.x, "Retryable Response Codes"."""


class _Answer(NamedTuple):
    """Of a collector.

    Attributes:
        taken: how many spans it has.
        problem: why it has not all; empty: it has.
        again_after: seconds until the request may be made again; None: it need not be.
    """

    taken: int
    problem: str = ""
    again_after: float | None = None


class Sender:
    """Sends what a recorder holds.

    Args:
        recorder: has the batches.
        spans: makes spans of them; may be exchanged at any time (`switch`).
        wire: writes requests.
        settings: where to.
        measures: what became of spans.
        tell: takes level, event and particulars; called in the thread that sends.
        ended: called there when it has sent the last.
        limits: how many at once, and how often.
        user_agent: of the requests.
    """

    def __init__(
        self,
        recorder: Recorder,
        spans: Spans,
        wire: Wire,
        settings: TraceSettings,
        measures: Measures,
        tell: Log,
        ended: Callable[[], None],
        limits: TraceLimits,
        user_agent: str,
    ) -> None:
        self._recorder = recorder
        self._spans = spans
        self._wire = wire
        self._settings = settings
        self._counts = measures.spans
        self._tell = tell
        self._ended = ended
        self._limits = limits
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": user_agent,
            **({"Content-Encoding": "gzip"} if settings.gzip else {}),
            **dict(settings.headers),
        }
        self._pool = PoolManager(
            num_pools=1,
            maxsize=1,
            retries=False,
            timeout=Timeout(total=settings.timeout_seconds),
            ca_certs=_path(settings.ca_file),
            cert_file=_path(settings.cert_file),
            key_file=_path(settings.key_file),
        )
        self._stopping = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def switch(self, spans: Spans) -> None:
        """Another topology is in force."""
        self._spans = spans

    def stop(self) -> None:
        """Send what is there, once, and end."""
        self._stopping.set()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(self._limits.every_seconds)
            try:
                self._send_all()
            except Exception as error:  # noqa: BLE001  # a bug here must end neither the thread nor the agent
                self._tell("error", "this_is_a_bug", {"job": "traces", "problem": repr(error)})
        self._ended()

    def _send_all(self) -> None:
        """What waits now; with what comes meanwhile it would go on for ever."""
        spans: list[MessageSpan] = []
        for batch in self._batches():
            try:
                spans.extend(self._spans.of(batch))
            except Exception as error:  # noqa: BLE001  # one message must not cost the spans of all others
                self._counts["failed"] += len(batch.rows)
                self._tell("error", "this_is_a_bug", {"job": "spans", "problem": repr(error)})
            while len(spans) >= self._limits.request_spans:
                self._send(spans[: self._limits.request_spans])
                del spans[: self._limits.request_spans]
        if spans:
            self._send(spans)

    def _batches(self) -> Iterator[Batch]:
        recorder = self._recorder
        for _ in range(len(recorder.waiting)):
            batch = recorder.waiting.popleft()
            yield batch
            recorder.taken += batch.weight

    def _send(self, spans: list[MessageSpan]) -> None:
        body = self._wire.request(spans)
        if self._settings.gzip:
            body = gzip.compress(body, compresslevel=1)
        for attempt in range(self._limits.attempts):
            answer = self._ask(body, len(spans))
            if answer.problem:
                self._failing(answer.problem)
            if answer.again_after is None or self._stopping.is_set():
                break
            longest = self._limits.longest_retry_seconds
            seconds = back_off(self._limits.first_retry_seconds, attempt, longest)
            self._stopping.wait(max(min(answer.again_after, longest), random.uniform(seconds / 2, seconds)))  # noqa: S311
        self._counts["sent"] += answer.taken
        self._counts["failed"] += len(spans) - answer.taken
        if not answer.problem and self._is_failing:
            self._is_failing = False
            self._tell("info", "traces_sent_again", {"endpoint": self._settings.endpoint})

    def _ask(self, body: bytes, count: int) -> _Answer:
        try:
            response = self._pool.request(
                "POST",
                self._settings.endpoint,
                body=body,
                headers=self._headers,
                redirect=False,
                preload_content=False,
            )
            try:
                said = response.read(self._limits.answer_bytes)
            finally:
                response.release_conn()
        except (HTTPError, OSError) as error:
            return _Answer(0, str(error), 0.0)
        if response.status == HTTPStatus.OK:
            refused = min(rejected(said), count)
            return _Answer(count - refused, f"the collector refused {refused} of {count} spans" if refused else "")
        again = _retry_after(response) if response.status in _RETRYABLE else None
        return _Answer(0, f"the collector answered {response.status}", again)

    def _failing(self, problem: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            self._tell("warning", "traces_not_sent", {"endpoint": self._settings.endpoint, "problem": problem})


def _retry_after(response: BaseHTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _path(file: Path | None) -> str | None:
    return None if file is None else str(file)
