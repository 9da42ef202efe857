"""One trade through two agents with one retry: its spans, how they are linked, and that messages stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from tests.brokers import RunningBroker
from tests.retry.world import pika_connection, until
from tests.tracing.receiver import Receiver
from tests.tracing.seen import SeenSpan
from tests.tracing.world import (
    COMMAND_KEY,
    COMMAND_QUEUE,
    COMMANDS,
    EXECUTOR,
    STRATEGY,
    TracedWorld,
    traced_world,
    traceparent,
)

pytestmark = [pytest.mark.broker, pytest.mark.one_version]

TRADE = [
    ("publish", "strategy-agent"),
    ("deliver", "trade_execution-agent"),
    ("retry", "trade_execution-agent"),
    ("deliver", "trade_execution-agent"),
    ("publish", "trade_execution-agent"),
    ("deliver", "strategy-agent"),
]


def spans(receiver: Receiver, trace: str, count: int) -> list[SeenSpan]:
    """So many spans of a trace, waited for."""
    until(lambda: len(receiver.of(trace)) >= count, f"{count} spans of {trace}")
    assert len(receiver.of(trace)) == count
    return receiver.of(trace)


def test_a_trade(world: TracedWorld, receiver: Receiver) -> None:
    """All in the publisher's trace and below its span, and each knows what came before it."""
    header, trace, parent = traceparent()
    command, executed = world.trade({"traceparent": header})
    found = spans(receiver, trace, len(TRADE))
    assert [(span.operation, span.agent) for span in found] == TRADE
    publish, rejected, retry, delivered, told, _ = found
    assert {span.parent for span in found} == {parent}
    assert [span.links for span in found] == [
        (),
        (publish.span,),
        (rejected.span,),
        (retry.span,),
        (),
        (told.span,),
    ]
    assert len({span.span for span in found}) == len(found)
    assert [span.kind for span in found] == ["client", "consumer", "client", "consumer", "client", "consumer"]
    assert [span.is_error for span in found] == [False, True, False, False, False, False]
    assert [span.attributes.get("letrade.outcome") for span in (rejected, delivered)] == ["reject", "ack"]
    assert [span.attributes["letrade.attempt"] for span in (rejected, retry, delivered)] == [0, 1, 1]
    assert {span.attributes["messaging.message.id"] for span in found[:4]} == {command}
    assert {span.attributes["messaging.message.id"] for span in found[4:]} == {executed}
    assert delivered.began - retry.ended > 400e6, "half a second in the delay queue"
    assert {(span.attributes["server.address"], span.attributes["server.port"]) for span in found} == {
        ("127.0.0.1", world.broker.amqps_port)
    }
    assert publish.name == "publish letrade.commands:execute_trade.{symbol}"
    assert publish.attributes["messaging.destination.name"] == f"{COMMANDS}:{COMMAND_KEY}"
    assert rejected.name == f"deliver {COMMAND_QUEUE}"
    assert rejected.attributes["messaging.destination.template"] == (
        f"{COMMANDS}:execute_trade.{{symbol}}:{COMMAND_QUEUE}"
    )
    assert {headers["x-tenant"] for headers in receiver.headers} == {"a b"}
    assert set(receiver.paths) == {"/v1/traces"}


def test_a_trade_without_a_context(world: TracedWorld, receiver: Receiver) -> None:
    """The trace is the message id, and the publish begins it; nothing is added to the message."""
    command = world.publish(STRATEGY, COMMANDS, COMMAND_KEY, volume=1)
    rejected, again = world.take(EXECUTOR, COMMAND_QUEUE, "rr")
    assert not rejected.headers
    assert "traceparent" not in (again.headers or {})
    found = spans(receiver, UUID(command).hex, 5)
    assert [span.operation for span in found] == ["publish", "deliver", "retry", "deliver", "dead_letter"]
    publish, first, retry, second, dead = found
    assert publish.parent == ""
    assert publish.kind == "producer"
    assert {span.parent for span in found[1:]} == {publish.span}
    assert [span.links for span in found[1:]] == [(publish.span,), (first.span,), (retry.span,), (second.span,)]
    assert dead.is_error
    assert dead.attributes["error.type"] == dead.attributes["letrade.reason"] == "rejected"
    until(lambda: world.agents[EXECUTOR].metric("trace_spans_total", outcome="sent") >= 4, "they are counted")
    assert world.agents[EXECUTOR].metric("trace_spans_total", outcome="failed") == 0
    assert world.agents[EXECUTOR].metric("internal_errors_total") == 0


def test_what_its_publisher_does_not_sample_is_not_recorded(world: TracedWorld, receiver: Receiver) -> None:
    """The publisher's decision holds; its header arrives as it was."""
    header, trace, _ = traceparent(sampled=False)
    sampled, other, _ = traceparent()
    world.publish(STRATEGY, COMMANDS, COMMAND_KEY, {"traceparent": header, "tracestate": "a=b"}, volume=1)
    world.publish(STRATEGY, COMMANDS, COMMAND_KEY, {"traceparent": sampled}, volume=1)
    first, _ = world.take(EXECUTOR, COMMAND_QUEUE, "aa")
    assert first.headers == {"traceparent": header, "tracestate": "a=b"}
    spans(receiver, other, 2)
    assert receiver.of(trace) == []


def test_a_refused_publish(world: TracedWorld, receiver: Receiver) -> None:
    """It has a span that says why."""
    header, trace, _ = traceparent()
    with pytest.raises(Exception, match=r"(?i)nack"):
        world.publish(STRATEGY, COMMANDS, "cancel_trade", {"traceparent": header, "x-note": "hush"}, note="hush")
    (span,) = spans(receiver, trace, 1)
    assert span.is_error
    assert "hush" not in str(receiver.spans), "neither bodies nor headers"
    assert "eyJ" not in str(receiver.spans), "nor tokens"
    assert span.attributes["error.type"] == "undeclared"


def test_given_back_and_lost(world: TracedWorld, receiver: Receiver) -> None:
    """A delivery that goes back to its queue, and one whose channel ends, end their spans; each has one of its own."""
    header, trace, _ = traceparent()
    world.publish(STRATEGY, COMMANDS, COMMAND_KEY, {"traceparent": header}, volume=1)
    with pika_connection(world.agents[EXECUTOR].parameters) as connection:
        channel = connection.channel()
        channel.basic_nack(_got(channel))
        _got(channel)
    world.take(EXECUTOR, COMMAND_QUEUE, "a")
    found = spans(receiver, trace, 4)
    assert [span.attributes.get("letrade.outcome") for span in found] == [None, "requeue", "lost", "ack"]
    assert len({span.span for span in found}) == 4


def _got(channel: Any) -> int:
    """The tag of what `basic.get` brings, waited for."""
    found: list[Any] = []

    def get() -> Any:
        found.append(channel.basic_get(COMMAND_QUEUE)[0])
        return found[-1]

    until(get, f"{COMMAND_QUEUE} has a message")
    return int(found[-1].delivery_tag)


def test_exemplars(world: TracedWorld, receiver: Receiver) -> None:
    """A bucket of the latency histogram names a trace, for who asks for OpenMetrics."""
    header, trace, _ = traceparent()
    world.publish(STRATEGY, COMMANDS, COMMAND_KEY, {"traceparent": header}, volume=1)
    world.take(EXECUTOR, COMMAND_QUEUE, "a")
    for service, direction in ((STRATEGY, "publish"), (EXECUTOR, "deliver")):
        agent = world.agents[service]
        text = _openmetrics(agent.admin_port)
        found = {
            sample.exemplar.labels["trace_id"]
            for family in openmetrics(text)  # type: ignore[no-untyped-call]
            for sample in family.samples
            if sample.exemplar is not None and sample.labels.get("direction") == direction
        }
        assert trace in found


def _openmetrics(port: int) -> str:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    return requests.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=60).text


def test_one_agent_alone(broker: RunningBroker, receiver: Receiver, tmp_path: Path) -> None:
    """Links name what another agent would have called its span: whoever is not traced is missing, and no more."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "alone"}
    with traced_world(broker, tmp_path, environment, (EXECUTOR,)) as world:
        header, trace, parent = traceparent()
        world.trade({"traceparent": header})
        found = spans(receiver, trace, 4)
        assert {(span.agent, span.parent) for span in found} == {("alone", parent)}
        assert 'letrade_agent_trace_spans_total{outcome="sent"} 0.0' in world.agents[STRATEGY].admin("/metrics").text


def test_a_collector_that_is_away(broker: RunningBroker, tmp_path: Path) -> None:
    """Messages pass; it is told of once."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with traced_world(broker, tmp_path, environment) as world:
        world.trade()
        agent = world.agents[EXECUTOR]
        until(lambda: any(line.get("event") == "traces_not_sent" for line in agent.log()), "it is told")
        assert agent.stop() == 0
        told = [line for line in agent.log() if line.get("event") == "traces_not_sent"]
        assert len(told) == 1
        assert "refused" in told[0]["problem"]
