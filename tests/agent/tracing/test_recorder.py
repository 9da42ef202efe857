"""What waits has a bound; what is thrown away is counted; and without tracing nothing is called."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

from letrade_agent.config import TraceSettings
from letrade_agent.limits import DEFAULT_LIMITS
from letrade_agent.measures import Measures
from letrade_agent.tracing.contexts import Sampler
from letrade_agent.tracing.recorder import Recorder, TracedPublish

from bench.agents.messages import MessageKind
from bench.data_path import BothLegs, measure
from tests.agent.tracing.test_contexts import GOOD, header

METHOD = b"\x00<\x00(\x00\x00\x01e\x01k\x00"


def recorder(measures: Measures, waiting_bytes: int) -> Recorder:
    """One that records everything."""
    limits = replace(DEFAULT_LIMITS.traces, waiting_bytes=waiting_bytes)
    return Recorder(Sampler(TraceSettings("http://127.0.0.1")), measures, lambda: 2.0, limits)


def test_no_more_waits_than_there_is_room_for() -> None:
    """Neither few large ones nor many small ones; what is taken makes room again."""
    measures = Measures()
    found = recorder(measures, 10_000)
    tracer = found.of_connection(("broker", 5671))
    for _ in range(100):
        tracer.publish(METHOD, header(GOOD), 5)
        tracer.end(1.0)
    assert 0 < len(found.waiting) < 20
    assert measures.spans["dropped"] == 100 - len(found.waiting)
    assert sum(batch.weight for batch in found.waiting) <= 10_000
    found.taken += found.waiting.popleft().weight
    tracer.publish(METHOD, header(GOOD), 5)
    tracer.end(1.0)
    assert measures.spans["dropped"] == 100 - len(found.waiting)


def test_a_call_is_a_batch() -> None:
    """What one read held has one beginning and one end."""
    found = recorder(Measures(), 10_000)
    tracer = found.of_connection(("broker", 5671))
    tracer.publish(METHOD, header(GOOD), 5)
    tracer.publish(METHOD, header(f"{GOOD[:-1]}0"), 5)
    tracer.publish(METHOD, header(GOOD), 5, "schema")
    tracer.end(1.0)
    tracer.end(1.5)
    (batch,) = found.waiting
    assert (batch.began, batch.ended, batch.server) == (1.0, 2.0, ("broker", 5671))
    assert [row.error for row in batch.rows if isinstance(row, TracedPublish)] == ["", "schema"]


def test_off_nothing_is_called() -> None:
    """Not one function of tracing, and no package for it is loaded."""
    called: set[str] = set()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and "/letrade_agent/tracing/" in frame.f_code.co_filename:
            called.add(frame.f_code.co_name)

    legs = BothLegs(MessageKind.TICK, 10)
    publish = legs.prepare_publish()
    sys.setprofile(profile)
    written = publish()
    deliver = legs.prepare_deliver(written)
    deliver()
    sys.setprofile(None)
    assert called == set()


def test_off_costs_no_call_and_on_few() -> None:
    """Calls of Python and of C a message, which do not depend on the machine."""
    off, on = (measure(MessageKind.TICK, 100, 2, traced=traced) for traced in (False, True))
    for leg in ("publish", "deliver"):
        assert on[leg].python_calls - off[leg].python_calls <= 6.5
        assert on[leg].c_calls - off[leg].c_calls <= 10
