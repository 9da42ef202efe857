"""What is sent, again after a failure, given up, and counted; and who may not wait for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from letrade_agent.config import TraceSettings
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.measures import Measures
from letrade_agent.otlp.sender import Sender
from letrade_agent.otlp.wire import Wire
from letrade_agent.tracing.contexts import Sampler
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.tracing.spans import Spans

from tests.agent.tracing.test_contexts import GOOD, TRACE, header
from tests.retry.world import until
from tests.tracing.receiver import Receiver, running_receiver

METHOD = b"\x00<\x00(\x00\x00\x01e\x01k\x00"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where spans go."""
    with running_receiver() as found:
        yield found


class Sending:
    """A sender with its recorder."""

    def __init__(self, url: str, **settings: Any) -> None:
        limits = replace(DEFAULT_LIMITS.traces, every_seconds=0.02, first_retry_seconds=0.02, request_spans=10)
        self.settings = TraceSettings(f"{url}/v1/traces", timeout_seconds=5.0, **settings)
        self.measures = Measures()
        self.recorder = Recorder(Sampler(self.settings), self.measures, time.time, limits)
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self.over = threading.Event()
        self.sender = Sender(
            self.recorder,
            Spans(lambda _, __: None, frozenset()),
            Wire((("service.name", "shop-agent"),), ("letrade-agent", "0")),
            self.settings,
            self.measures,
            lambda _, event, about: self.told.append((event, about)),
            self.over.set,
            limits,
            "letrade-agent/0",
        )

    def record(self, count: int, payload: bytes | None = None) -> None:
        """So many publishes."""
        tracer = self.recorder.of_connection(("broker.example", 5671))
        for _ in range(count):
            tracer.publish(METHOD, header(GOOD) if payload is None else payload, 7)
        tracer.end(time.time())

    def counted(self) -> dict[str, int]:
        """By outcome."""
        return dict(self.measures.spans)


def test_all_is_sent(receiver: Receiver) -> None:
    """In requests of a bounded size, over one connection, with what the collector needs to know."""
    sending = Sending(receiver.url, gzip=True, headers=(("x-token", "hush"),))
    sending.record(25)
    sending.sender.start()
    until(lambda: sending.counted()["sent"] == 25, "all are sent")
    assert len(receiver.spans) == 25
    assert {span.trace for span in receiver.spans} == {TRACE}
    assert [headers["x-token"] for headers in receiver.headers] == ["hush"] * 3
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert receiver.spans[0].attributes["server.address"] == "broker.example"
    assert sending.recorder.taken > 0
    assert sending.told == []


def test_the_last_is_sent_at_the_end(receiver: Receiver) -> None:
    """What was recorded before the stop, once."""
    sending = Sending(receiver.url)
    sending.sender.start()
    sending.record(3)
    sending.sender.stop()
    assert sending.over.wait(60)
    assert len(receiver.spans) == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_again(receiver: Receiver, status: int) -> None:
    """What the standard calls retryable; it is told once that it failed, and that it works."""
    receiver.answers = [status, status]
    sending = Sending(receiver.url)
    sending.record(3)
    sending.sender.start()
    until(lambda: sending.counted()["sent"] == 3, "they are sent")
    until(lambda: len(sending.told) == 2, "it is told")
    assert [event for event, _ in sending.told] == ["traces_not_sent", "traces_sent_again"]
    assert len(receiver.headers) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 500, 301])
def test_not_again(receiver: Receiver, status: int) -> None:
    """Anything else; a redirection is not followed, because headers may hold a secret."""
    receiver.answers = [status]
    sending = Sending(receiver.url)
    sending.record(3)
    sending.sender.start()
    until(lambda: sending.counted()["failed"] == 3, "they are given up")
    assert sending.told[0][1]["problem"] == f"the collector answered {status}"
    sending.record(1)
    until(lambda: sending.counted()["sent"] == 1, "the next is sent")


def test_a_collector_that_takes_some(receiver: Receiver) -> None:
    """Its answer counts."""
    receiver.refuses = 2
    sending = Sending(receiver.url)
    sending.record(3)
    sending.sender.start()
    until(lambda: sending.counted()["sent"] == 1, "one is counted as sent")
    assert sending.counted()["failed"] == 2


def test_a_collector_that_is_away() -> None:
    """Given up after some attempts."""
    sending = Sending("http://127.0.0.1:1")
    sending.record(3)
    sending.sender.start()
    until(lambda: sending.counted()["failed"] == 3, "they are given up")
    assert [event for event, _ in sending.told] == ["traces_not_sent"]


def test_what_cannot_be_read_costs_no_other(receiver: Receiver) -> None:
    """A header that is none."""
    sending = Sending(receiver.url)
    sending.record(1, header(GOOD) + b"more")
    sending.record(2)
    sending.sender.start()
    until(lambda: sending.counted()["sent"] == 2, "the others are sent")


def test_nothing_of_it_is_loaded_where_nothing_is_traced() -> None:
    """The agent without its variables needs none of the packages."""
    program = (
        "import sys; import letrade_agent.app; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_packages() -> None:
    """The agent says what to install, and does not go on without traces."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import time\n"
        "from letrade_agent.config import TraceSettings\n"
        "from letrade_agent.limits import DEFAULT_LIMITS\n"
        "from letrade_agent.measures import Measures\n"
        "from letrade_agent.otlp.traces import Traces\n"
        "from tests.topologies import shipped\n"
        "try:\n"
        "    Traces(TraceSettings('http://x'), 'strategy', shipped(), Measures(), print, DEFAULT_LIMITS, time.time)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "InvalidSetting pip install 'letrade-topo[agent,otel]', or unset the variable"
