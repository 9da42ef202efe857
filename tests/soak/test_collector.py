"""A real collector takes the spans of a trade; it is killed under load, and none that it confirmed is missing.

`--keep-trace FILE` writes the picture of the trade's spans, as the collector wrote them.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.retry.world import until
from tests.soak.conftest import Summarise
from tests.tracing.collector_process import running_collector
from tests.tracing.picture import drawn
from tests.tracing.seen import spans_of_file
from tests.tracing.world import (
    COMMAND_KEY,
    COMMAND_QUEUE,
    COMMANDS,
    EXECUTOR,
    STRATEGY,
    traced_world,
    traceparent,
)

pytestmark = [pytest.mark.broker, pytest.mark.one_version, pytest.mark.long_form]

TRADE = ["publish", "deliver", "retry", "deliver", "publish", "deliver"]


def test_a_trade(broker: RunningBroker, tmp_path: Path, summarise: Summarise, pytestconfig: pytest.Config) -> None:
    """Six spans of two agents in one trace, each linked to the one before it; drawn where that is asked for."""
    with running_collector(tmp_path) as collector:
        with traced_world(broker, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as world:
            header, trace, parent = traceparent()
            world.trade({"traceparent": header})
            until(lambda: len(collector.of(trace)) >= len(TRADE), "all spans are in the collector's file")
        found = collector.of(trace)
    assert [span.operation for span in found] == TRADE
    assert {span.parent for span in found} == {parent}
    publish, first, retry, second, told, heard = found
    assert [first.links, retry.links, second.links, heard.links] == [
        (publish.span,),
        (first.span,),
        (retry.span,),
        (told.span,),
    ]
    picture = drawn(found)
    assert picture.count("<rect") == len(TRADE) + 3
    target = pytestconfig.getoption("--keep-trace")
    if target:
        Path(target).write_text(picture, encoding="utf-8")
    summarise(
        "a trade in a collector", broker.version, f"{len(found)} spans of {len({one.agent for one in found})} agents"
    )


def test_the_collector_is_killed(broker: RunningBroker, tmp_path: Path, summarise: Summarise) -> None:
    """While it is away messages pass as fast as ever; what agents call sent has arrived; the rest is counted."""
    with running_collector(tmp_path) as collector:
        port = collector.port
        with traced_world(
            broker, tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        ) as world:
            sender, taker = world.agents[STRATEGY], world.agents[EXECUTOR]
            ids: list[str] = []
            consumer = threading.Thread(target=world.take, args=(EXECUTOR, COMMAND_QUEUE, "a" * 300))
            consumer.start()

            def publish(count: int) -> None:
                ids.extend(world.publish(STRATEGY, COMMANDS, COMMAND_KEY, volume=1) for _ in range(count))

            publish(100)
            until(lambda: len(spans_of_file(collector.file)) >= 100, "spans are in the file")
            collector.kill()
            publish(100)
            with running_collector(tmp_path, port):
                publish(100)
                consumer.join(120)
                assert not consumer.is_alive()

                def settled() -> bool:
                    counts = [_counts(agent.admin("/metrics").text) for agent in (sender, taker)]
                    return all(sum(count.values()) == 300 for count in counts)

                until(settled, "every span was sent, dropped, or failed", 120)
                counted = [_counts(agent.admin("/metrics").text) for agent in (sender, taker)]
                sent = sum(count["sent"] for count in counted)
                until(
                    lambda: len({one.span for one in spans_of_file(collector.file)}) >= sent - _LOST, "they are there"
                )
    arrived = len({one.span for one in spans_of_file(tmp_path / "spans.json")})
    summarise("a collector killed under load", broker.version, f"{sent} of 600 spans sent, {arrived} in its file")


_LOST = 512
"""What a killed collector may have confirmed and not written: its batch."""


def _counts(metrics: str) -> dict[str, int]:
    found = re.findall(r'letrade_agent_trace_spans_total\{outcome="(\w+)"\} ([\d.]+)', metrics)
    return {outcome: int(float(count)) for outcome, count in found}
