"""What goes wrong around an agent while messages flow: its files, and its broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.node.settings import Listener
from tests.agents import RunningAgent
from tests.soak.agents.ends import LoadConsumer, LoadPublisher
from tests.soak.agents.world import DEAD, CampaignWorld, nothing_refused, until
from tests.soak.conftest import Summarise

BEFORE = 300
"""Messages between two steps."""


def test_files_turn_bad_under_load(world: CampaignWorld, pytestconfig: pytest.Config, summarise: Summarise) -> None:
    """The topology is replaced by a broken one, the JWKS by garbage: the old ones stay, and two metrics say so."""
    rate = pytestconfig.getoption("rate")
    shop, clerk = world.agent("shop"), world.agent("clerk")
    publisher, consumer = world.publisher(shop, rate=rate), world.consumer(clerk)
    jwks = world.keys / "public" / "jwks.json"
    good = {world.topology: world.topology.read_bytes(), jwks: jwks.read_bytes()}
    _flow(publisher)
    _replace(world.topology, good[world.topology].replace(b"lifetime: 60s", b"lifetime: soon"))
    _replace(jwks, good[jwks][: len(good[jwks]) // 2] + b"\xff\x00 garbage")
    for agent in (shop, clerk):
        until(lambda: _reloaded(agent) == (0, 0), "both metrics say that a reload failed")  # noqa: B023  # called at once
        assert agent.admin("/readyz").status_code == 200, "it goes on with what it has"
    _flow(publisher)
    for path, content in good.items():
        _replace(path, content)
    for agent in (shop, clerk):
        until(lambda: _reloaded(agent) == (1, 1), "both metrics say that the last reload was good")  # noqa: B023  # likewise
    _flow(publisher)
    _finish(publisher, consumer)

    nothing_refused(shop, clerk)
    assert publisher.refused.total == 0
    assert (publisher.opened, consumer.opened) == (1, 1)
    assert (consumer.duplicates, consumer.out_of_order) == (0, 0)
    assert world.is_empty(DEAD)
    failed = {agent.service: _failures(agent) for agent in (shop, clerk)}
    summarise(
        "topology and JWKS turn bad",
        world.broker.version,
        f"{publisher.sent} messages at {rate} a second: none refused, lost or repeated; failed reloads {failed}",
    )


def test_the_broker_restarts_under_load(
    world: CampaignWorld, pytestconfig: pytest.Config, summarise: Summarise
) -> None:
    """Clients are told 320 and come back through the same agents; nothing that was confirmed is lost."""
    rate = pytestconfig.getoption("rate")
    shop, clerk = world.agent("shop"), world.agent("clerk")
    publisher, consumer = world.publisher(shop, rate=rate), world.consumer(clerk)
    _flow(publisher)
    ports = world.broker.node.ports
    world.broker.node.stop()
    until(lambda: publisher.ends["320"] and consumer.ends["320"], "both clients were told")
    until(lambda: shop.metric("broker_up") == 0, "the metric says so")
    world.broker.node.start()
    assert world.broker.node.ports.listeners[Listener.AMQPS] == ports.listeners[Listener.AMQPS], "its port was taken"
    until(lambda: min(publisher.opened, consumer.opened) >= 2, "both clients are back")
    _flow(publisher)
    _finish(publisher, consumer)

    assert publisher.refused.total == 0
    assert not consumer.seen.missing(publisher.confirmed)
    again = publisher.repeated + consumer.redelivered
    assert consumer.duplicates <= again, "only what publisher or broker sent again may come twice"
    nothing_refused(shop, clerk)
    assert world.is_empty(DEAD)
    summarise(
        "the broker restarts",
        world.broker.version,
        f"{publisher.sent} messages, {publisher.confirmed.different} confirmed, none lost; {publisher.repeated} sent"
        f" again, {consumer.duplicates} delivered twice; longest time between two confirms"
        f" {publisher.longest_gap:.1f} s; clients were told {dict(publisher.ends)} and {dict(consumer.ends)}",
    )


def _flow(publisher: LoadPublisher) -> None:
    mark = publisher.confirmed.different + BEFORE
    until(lambda: publisher.confirmed.different >= mark, "messages flow")
    publisher.check()


def _finish(publisher: LoadPublisher, consumer: LoadConsumer) -> None:
    """The publisher has an answer for everything, and all that it sent has come."""
    publisher.finish()
    publisher.wait()
    until(lambda: consumer.seen.different == publisher.sent, "all messages have come")
    consumer.finish()
    consumer.wait()


def _replace(path: Path, content: bytes) -> None:
    """In one step, as deployments do."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _reloaded(agent: RunningAgent) -> tuple[float, float]:
    return agent.metric("config_last_reload_successful"), agent.metric("keys_last_reload_successful")


def _failures(agent: RunningAgent) -> int:
    return sum(int(agent.metric(f"{source}_reloads_total", outcome="error")) for source in ("config", "keys"))
