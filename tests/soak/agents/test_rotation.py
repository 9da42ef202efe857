"""Keys rotate while messages flow: nothing is refused, and what is signed with the new key arrives."""

from __future__ import annotations

import json
from itertools import groupby

import pytest

from letrade_topo.keys import base64url
from letrade_topo.keys.headers import JWS_HEADER
from tests.agents import RunningAgent
from tests.soak.agents.world import DEAD, EXCHANGE, KEY, CampaignWorld, nothing_refused, until
from tests.soak.conftest import Summarise

SECONDS_PER_ROTATION = 60
"""The long form has more of them, the short form one."""

TIMES = ("--publish-for", "8s", "--retire-after", "60s")
"""So long the clerk's agent may do nothing, and still know the new key when the shop's agent begins to sign with it."""
SPY = "spy"
SPIED_AT_ONCE = 5_000


def test_keys_rotate_under_load(world: CampaignWorld, pytestconfig: pytest.Config, summarise: Summarise) -> None:
    """Publisher and consumer go on through rotations on their first connection; each message arrives once."""
    rate = pytestconfig.getoption("rate")
    rotations = max(1, int(pytestconfig.getoption("seconds") / SECONDS_PER_ROTATION))
    shop, clerk = world.agent("shop"), world.agent("clerk")
    _bind_spy(world)
    publisher, consumer = world.publisher(shop, rate=rate), world.consumer(clerk)
    kids = [_kid(shop)]
    for _ in range(rotations):
        world.tool.run("keys", "rotate", str(world.keys), *TIMES).check(0)
        until(lambda: _kid(shop) != kids[-1], "the shop signs with the new key")
        kids.append(_kid(shop))
        until(lambda: _state_of(clerk, kids[-2]) == "retired", "the old key is retired")
        mark = publisher.sent + rate
        until(lambda: publisher.sent > mark, "messages flow")  # noqa: B023  # called before the next round
    publisher.finish()
    publisher.wait()
    until(lambda: consumer.seen.different == publisher.sent, "all messages have come")
    consumer.finish()
    consumer.wait()

    nothing_refused(shop, clerk)
    assert publisher.refused.total == 0
    assert publisher.confirmed.different == publisher.sent
    assert (publisher.opened, consumer.opened) == (1, 1)
    assert (consumer.duplicates, consumer.out_of_order) == (0, 0)
    assert world.is_empty(DEAD)
    signed = _spied(world)
    assert len(signed) == publisher.sent
    assert [kid for kid, _ in groupby(signed)] == kids, "each key once, one after the other"
    summarise(
        "keys rotate under load",
        world.broker.version,
        f"{publisher.sent} messages at {rate} a second through {rotations} rotations: none refused, dead-lettered,"
        " lost, repeated or out of order; signed with each key in turn: "
        + ", ".join(str(signed.count(kid)) for kid in kids),
    )


def _kid(agent: RunningAgent) -> str:
    return str(agent.status()["keys"]["signing_kid"])


def _state_of(agent: RunningAgent, kid: str) -> str:
    return next(str(key["state"]) for key in agent.status()["keys"]["signature_keys"] if key["kid"] == kid)


def _bind_spy(world: CampaignWorld) -> None:
    """A queue of the administrator's that gets a copy of each message as it is at the broker."""
    world.broker.ctl("set_permissions", "-p", world.vhost, world.broker.username, ".*", ".*", ".*")
    for method, path, body in (
        ("PUT", f"/api/queues/{world.vhost}/{SPY}", {"durable": True}),
        ("POST", f"/api/bindings/{world.vhost}/e/{EXCHANGE}/q/{SPY}", {"routing_key": KEY}),
    ):
        answer = world.broker.api(method, path, json=body)
        assert answer.ok, answer.text


def _spied(world: CampaignWorld) -> list[str]:
    """The kid of each message's token, in the order of the queue."""
    question = {"count": SPIED_AT_ONCE, "ackmode": "ack_requeue_false", "encoding": "base64"}
    tokens: list[str] = []
    while True:
        answer = world.broker.api("POST", f"/api/queues/{world.vhost}/{SPY}/get", json=question)
        assert answer.ok, answer.text
        if not answer.json():
            break
        tokens += [message["properties"]["headers"][JWS_HEADER.decode()] for message in answer.json()]
    headers = [base64url.decode(token.partition(".")[0].encode()) for token in tokens]
    return [str(json.loads(header or b"")["kid"]) for header in headers]
