"""Dead letters that a real agent wrote, and replays that a real agent lets through."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika
from pika.spec import BasicProperties

from letrade_topo.queues.content import Properties
from letrade_topo.queues.link import LetterCopy
from tests.agents import AgentFactory, RunningAgent, login_of
from tests.queues.world import AUDIT, EXCHANGE, PLACED, QUEUE, Dead, LetterWorld

LIMIT_SECONDS = 60.0


def _agent(world: LetterWorld, start_agent: AgentFactory, service: str) -> RunningAgent:
    return start_agent(
        world.broker,
        service=service,
        topology=world.file,
        vhost=world.topology.vhost,
        login=login_of(world.broker, f"{world.topology.vhost}-{service}"),
        keys=world.keys,
    )


@contextmanager
def _consuming(agent: RunningAgent, queue: str) -> Iterator[list[tuple[str, str, BasicProperties, Any]]]:
    """What a service sees meanwhile; it acknowledges everything."""
    seen: list[tuple[str, str, BasicProperties, Any]] = []
    stop = threading.Event()

    def run() -> None:
        with pika.BlockingConnection(agent.parameters) as connection:
            channel = connection.channel()

            def on_message(_channel: Any, method: Any, properties: BasicProperties, body: bytes) -> None:
                seen.append((method.exchange, method.routing_key, properties, json.loads(body)))
                channel.basic_ack(method.delivery_tag)

            channel.basic_consume(queue, on_message)
            while not stop.is_set():
                connection.process_data_events(0.05)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _until(found: Sequence[object], count: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} after {LIMIT_SECONDS:g} s"
        time.sleep(0.05)


def _until_dead(world: LetterWorld, count: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while world.count() < count:
        assert time.monotonic() < deadline, f"{world.count()} of {count} dead letters"
        time.sleep(0.1)


def test_the_agent_takes_a_replay(one_world: LetterWorld, start_agent: AgentFactory) -> None:
    """In its lifetime and hours after it, with the original exchange and key, and the attempt to read."""
    agent = _agent(one_world, start_agent, "clerk")
    one_world.bury([Dead(1), Dead(2, age=7200, attempt=4)])
    with _consuming(agent, QUEUE) as seen:
        one_world.tool.run("dlq", "replay", "--yes", str(one_world.file)).check(0)
        _until(seen, 2)
    by_number = {
        content["payload"]["number"]: (exchange, key, properties) for exchange, key, properties, content in seen
    }
    for number, attempt in ((1, 2), (2, 5)):
        exchange, key, properties = by_number[number]
        assert (exchange, key, properties.headers["letrade-attempt"]) == (EXCHANGE, PLACED, attempt)
    assert (one_world.count(), agent.metric("messages_rejected_total")) == (0, 0)


def test_what_the_agent_refused(one_world: LetterWorld, start_agent: AgentFactory) -> None:
    """A real agent's dead letters: one that came too late, one that nobody signed. Shown, proven, replayed or not."""
    agent = _agent(one_world, start_agent, "clerk")
    message_id, late = one_world.letter(Dead(7, age=120))
    signed = Properties.parse(late.raw).rewritten(
        is_dropped=lambda name: name in (b"letrade-hop", b"letrade-reason", b"letrade-attempt"), added=(), without=()
    )
    _, forged = one_world.letter(Dead(8, signed=False))
    with _consuming(agent, QUEUE) as seen:
        one_world.publish([LetterCopy("", QUEUE, b"\x00\x00", forged.body)])
        one_world.publish([LetterCopy(EXCHANGE, PLACED, signed.encode(), late.body)])
        _until_dead(one_world, 2)
        listed = json.loads(one_world.tool.run("dlq", "ls", "--format", "json", str(one_world.file)).check(0).out)
        assert listed["queues"] == {QUEUE: 2}
        assert set(listed["reasons"]) == {"token_missing", "expired"}
        one_world.left(2)
        shown = one_world.tool.run("dlq", "show", message_id, str(one_world.file)).check(0).out
        assert "shop, proven" in shown
        assert f"by the agent of clerk from {QUEUE}" in shown
        one_world.left(2)
        refused = one_world.tool.run("dlq", "replay", "--yes", str(one_world.file)).check(77).out
        assert "--past-lifetime" in refused
        assert "its origin is not proven" in refused
        one_world.left(2)
        one_world.tool.run("dlq", "replay", "--yes", "--past-lifetime", str(one_world.file)).check(3)
        _until(seen, 1)
    assert seen[0][3]["payload"]["number"] == 7
    one_world.left(1)


def test_agents_take_a_fan_out(one_world: LetterWorld, start_agent: AgentFactory) -> None:
    """Hours after its lifetime, each queue that it was published for gets it, and each agent lets it through."""
    clerk, audit = (_agent(one_world, start_agent, service) for service in ("clerk", "audit"))
    one_world.bury([Dead(1, age=7200)])
    with _consuming(clerk, QUEUE) as at_clerk, _consuming(audit, AUDIT) as at_audit:
        one_world.tool.run("dlq", "replay", "--yes", "--fan-out", str(one_world.file)).check(0)
        _until(at_clerk, 1)
        _until(at_audit, 1)
    assert at_clerk[0][:2] == at_audit[0][:2] == (EXCHANGE, PLACED)
    assert one_world.count() == 0
