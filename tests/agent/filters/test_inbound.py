"""What a service sees of what the broker delivers: every tampering has its reason word, every doubt is a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from letrade_agent.config import Undeclared
from letrade_agent.filters.keeping_up import KeepingUp
from letrade_agent.filters.verdicts import Delivery, Failed, Held, Repeated, Shown

from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys import base64url
from letrade_topo.keys.claims import HopClaims, HopRole
from letrade_topo.keys.jws import SigningKey, write_compact
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.replay import Replay
from letrade_topo.keys.signer import Signer
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import Topology
from letrade_topo.model.units import ByteSize
from tests.agent.filters.world import (
    COMMANDS,
    EXECUTE,
    MESSAGE_ID,
    QUEUE,
    TRADE,
    ServiceFilters,
    agent,
    delivery,
    envelope,
    header,
    keys_of,
    names_of,
    number_entry,
    publish,
    signed_trade,
    text_entry,
    text_of,
    trade,
    with_entries,
    with_properties,
)
from tests.keys import world as key_world
from tests.keys.world import NOW, HopBuilder, audience, signing_key, topology
from tests.topologies import loaded, orders

CONNECTOR = "exchange_connector"


def connector(**changes: Any) -> ServiceFilters:
    """The agent beside the consumer of trade commands."""
    return agent(CONNECTOR, **changes)


def jws_of(arrived: Delivery) -> bytes:
    """Its token."""
    return text_of(arrived.header, b"letrade-jws")


def with_token(arrived: Delivery, jws: bytes) -> Delivery:
    """The delivery with another token."""
    return with_entries(arrived, text_entry(b"letrade-jws", jws), without=[b"letrade-jws"])


def resigned(arrived: Delivery, key: SigningKey | None = None, **members: object) -> Delivery:
    """The delivery with another JOSE header, signed again; a member of None is left out."""
    jose, claims, _ = jws_of(arrived).split(b".")
    changed = {**json.loads(base64url.decode(jose) or b""), **members}
    kept = {name: value for name, value in changed.items() if value is not None}
    payload = base64url.decode(claims)
    assert payload is not None
    segment = base64url.encode(json.dumps(kept).encode())
    return with_token(arrived, write_compact(key or signing_key("strategy"), segment, payload))


def of_batch(place: int) -> Delivery:
    """A message of a batch of five."""
    bodies = [envelope({**TRADE, "strategy_id": n}) for n in range(5)]
    return delivery(agent().seal(*map(trade, bodies))[place], bodies[place])


def proof_of(arrived: Delivery, proof: bytes) -> Delivery:
    """The delivery with another proof."""
    return with_entries(arrived, text_entry(b"letrade-proof", proof), without=[b"letrade-proof"])


def test_an_honest_message_is_shown_as_it_was_published() -> None:
    """No header of the agents is left; the body is not touched at all; what was added to properties may stay."""
    message = trade(table=[text_entry(b"mine", b"yes"), number_entry(b"n", 5)])
    (payload,) = agent().seal(message)
    shown = connector().shown(delivery(payload))
    assert names_of(shown.header) == [b"mine", b"n"]
    assert (shown.exchange, shown.routing_key) == (None, None)
    assert shown.queue_label == QUEUE
    seen = ContentHeader.parse(shown.header)
    assert (seen.message_id, seen.content_type) == (MESSAGE_ID.encode(), b"application/json")


def test_a_table_that_only_agents_made_is_taken_off() -> None:
    """A client that sent no headers has none to read."""
    assert ContentHeader.parse(connector().shown(signed_trade()).header).headers is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: with_entries(one, number_entry(b"x-delivery-count", 3), text_entry(b"x-opt-anything", b"")),
        lambda one: with_entries(one, number_entry(b"x-acquired-count", 4), number_entry(b"x-delivery-count", 3)),
        lambda one: with_entries(one, number_entry(b"timestamp_in_ms", 1_764_000_000_000)),
        lambda one: with_properties(one, expiration=None, reply_to=b"amq.rabbitmq.reply-to.g1h2", user_id=b"strategy"),
        lambda one: with_properties(one, delivery_mode=None, priority=None, timestamp=None),
        lambda one: one._replace(redelivered=True),
    ],
    ids=[
        "counters",
        "counters of 4.3",
        "arrival",
        "short strings",
        "delivery mode, priority, timestamp",
        "redelivered",
    ],
)
def test_what_brokers_add_or_change_is_not_signed(changed: Callable[[Delivery], Delivery]) -> None:
    """The message is still the one that was published (row 44)."""
    assert connector().shown(changed(signed_trade())).queue_label == QUEUE


def test_every_message_of_a_batch_is_accepted_by_itself() -> None:
    """In any order: each proves its own place."""
    one = connector()
    for place in (3, 0, 4, 1, 2):
        one.shown(of_batch(place))


TAMPERINGS: list[tuple[str, Callable[[], Delivery], str]] = [
    ("body", lambda: signed_trade()._replace(body=envelope({**TRADE, "amount": 99})), "content"),
    ("routing key", lambda: signed_trade()._replace(routing_key=b"commands.cancel_order"), "destination"),
    ("exchange", lambda: signed_trade()._replace(exchange=b"letrade.events"), "destination"),
    (
        "key, and the hint too",
        lambda: with_entries(
            signed_trade()._replace(routing_key=b"commands.cancel_order"),
            text_entry(b"letrade-to", base64url.encode(COMMANDS) + b"." + base64url.encode(b"commands.cancel_order")),
            without=[b"letrade-to"],
        ),
        "content",
    ),
    ("message id", lambda: with_properties(signed_trade(), message_id=b"another"), "content"),
    ("no message id", lambda: with_properties(signed_trade(), message_id=None), "content"),
    ("correlation id", lambda: with_properties(signed_trade(), correlation_id=b""), "content"),
    ("content type", lambda: with_properties(signed_trade(), content_type=b"text/plain"), "content"),
    ("alg", lambda: resigned(signed_trade(), alg="EdDSA"), "algorithm"),
    ("alg none", lambda: resigned(signed_trade(), alg="none"), "algorithm"),
    ("kid of nobody", lambda: resigned(signed_trade(), kid="strategy:99"), "key_unknown"),
    ("kid of another", lambda: resigned(signed_trade(), kid="core_engine:1"), "signature"),
    ("typ", lambda: resigned(signed_trade(), typ="JWT"), "type"),
    ("crit", lambda: resigned(signed_trade(), crit=["exp"]), "token_malformed"),
    ("jku", lambda: resigned(signed_trade(), jku="https://evil"), "token_malformed"),
    ("another's key", lambda: resigned(signed_trade(), key=signing_key("core_engine")), "signature"),
    (
        "another's key, its own kid",
        lambda: resigned(signed_trade(), key=signing_key("core_engine"), kid="core_engine:1"),
        "issuer",
    ),
    (
        "duplicate header",
        lambda: with_entries(signed_trade(), text_entry(b"letrade-jws", jws_of(signed_trade()))),
        "token_duplicate",
    ),
    ("stripped", lambda: with_entries(signed_trade(), without=[b"letrade-jws", b"letrade-to"]), "token_missing"),
    ("no hint", lambda: with_entries(signed_trade(), without=[b"letrade-to"]), "token_malformed"),
    (
        "token of another AMQP type",
        lambda: with_entries(signed_trade(), number_entry(b"letrade-jws", 1), without=[b"letrade-jws"]),
        "token_malformed",
    ),
    ("old", lambda: signed_trade(now=NOW - 66), "expired"),
    ("of the future", lambda: signed_trade(now=NOW + 60), "not_yet_valid"),
    ("proof with one", lambda: proof_of(signed_trade(), b"0."), "content"),
    ("no proof", lambda: with_entries(of_batch(2), without=[b"letrade-proof"]), "content"),
    ("proof of another place", lambda: proof_of(of_batch(2), text_of(of_batch(1).header, b"letrade-proof")), "content"),
    (
        "proof for another index",
        lambda: proof_of(of_batch(2), b"1." + text_of(of_batch(2).header, b"letrade-proof").split(b".")[1]),
        "content",
    ),
    (
        "proof too long",
        lambda: proof_of(of_batch(0), text_of(of_batch(0).header, b"letrade-proof") + base64url.encode(bytes(33))),
        "content",
    ),
    ("CC", lambda: with_entries(signed_trade(), text_entry(b"CC", b"x")), "not_allowed"),
    ("BCC", lambda: with_entries(signed_trade(), text_entry(b"BCC", b"x")), "not_allowed"),
    ("another queue", lambda: signed_trade()._replace(queue="exchange_connector.cancel_order"), "destination"),
    (
        "through the default exchange",
        lambda: signed_trade()._replace(exchange=b"", routing_key=QUEUE.encode()),
        "destination",
    ),
    ("malformed table", lambda: malformed(signed_trade()), "token_malformed"),
]


def malformed(arrived: Delivery) -> Delivery:
    """The delivery with a field type that AMQP does not have."""
    payload = arrived.header.payload.replace(b"letrade-jwsS", b"letrade-jws?")
    return arrived._replace(header=ContentHeader.parse(payload))


@pytest.mark.parametrize(
    ("tampered", "reason"), [case[1:] for case in TAMPERINGS], ids=[case[0] for case in TAMPERINGS]
)
def test_tampering_is_refused_with_its_word(tampered: Callable[[], Delivery], reason: str) -> None:
    """Issue 3, must show; the word is token.md's."""
    failed = connector().failed(tampered())
    assert failed.reason == reason
    assert failed.queue_label in (QUEUE, "exchange_connector.cancel_order")


def test_the_issuer_of_a_refused_message_is_told_only_when_it_is_proven() -> None:
    """A name that somebody wrote is no issuer."""
    assert connector().failed(signed_trade()._replace(body=b"x")).issuer == "strategy"
    assert connector().failed(resigned(signed_trade(), kid="core_engine:1")).issuer == ""


def test_who_may_not_publish_is_refused_though_the_signature_holds() -> None:
    """An agent without policy, or a stolen key: the consumer's topology decides."""
    body = envelope(source="capital_manager")
    message = SignableMessage(COMMANDS, EXECUTE, SignedProperties(), body)
    signed = Signer(signing_key("capital_manager"), audience()).sign(
        [message], lifetime_seconds=60, issued_at=NOW, jti=bytes(16)
    )
    own = header(body, [text_entry(name, value) for name, value in signed[0].entries()])
    failed = connector().failed(Delivery(QUEUE, COMMANDS, EXECUTE, False, own, body))
    assert (failed.reason, failed.issuer) == ("not_allowed", "capital_manager")


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"{}", "envelope", "no message_id"),
        (envelope(source="core_engine"), "envelope", "'core_engine' is not 'strategy', the token's issuer"),
        (envelope({**TRADE, "amount": -1}), "schema", "/amount has to be greater than 0 (its value is sensitive)"),
    ],
)
def test_what_is_signed_is_judged_by_envelope_and_schema_too(body: bytes, reason: str, words: str) -> None:
    """A publisher's agent that checks less does not lower what a consumer gets."""
    lax = agent(model=loaded_letrade(mode="warn"))
    (payload,) = lax.seal(trade(body))
    failed = connector(model=key_world.topology()).failed(delivery(payload, body))
    assert (failed.reason, failed.issuer) == (reason, "strategy")
    assert words in failed.detail


def loaded_letrade(mode: str) -> Topology:
    """Letrade's topology with another mode."""
    model = topology()
    jwt = replace(model.security.jwt, mode=Enforcement(mode))
    return replace(model, security=replace(model.security, jwt=jwt))


def test_an_app_id_that_differs_is_no_envelope_of_its_issuer() -> None:
    """It is who sent it. A timestamp that a broker wrote is none of it."""
    assert connector().failed(with_properties(signed_trade(), app_id=b"core_engine")).reason == "envelope"
    arrived = signed_trade()
    table = arrived.header.headers
    assert table is not None
    stamped = header(arrived.body, table.entries, timestamp=1)
    same = {"message_id": MESSAGE_ID.encode(), "content_type": b"application/json"}
    connector().shown(arrived._replace(header=ContentHeader.parse(stamped.rewrite(replace=same))))


def test_another_message_id_than_the_envelopes_passes() -> None:
    """The token proves the property as it is, and the envelope with the body; it is counted."""
    body = envelope()
    (payload,) = agent().seal((publish(), header(body, message_id=b"a library's own"), body))
    consumer = connector()

    shown = consumer.shown(delivery(payload, body))

    assert ContentHeader.parse(shown.header).message_id == b"a library's own"
    assert consumer.measures.differing == {("deliver", "message_id"): 1}


def test_one_size_both_ways() -> None:
    """A larger body than the topology allows is held, as its limit may be on its way, and then is a dead letter."""
    body = envelope({**TRADE, "note": "x" * 2_000})
    (payload,) = agent().seal((publish(), header(body), body))
    arrived = delivery(payload, body)
    exactly, smaller = (with_limits(topology(), len(body) - less) for less in (0, 1))

    assert isinstance(connector(model=exactly).examine(arrived), Shown)
    verdict = connector(model=smaller).examine(arrived)
    assert isinstance(verdict, Held)
    failed = verdict.over
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.issuer, verdict.until_over) == ("oversize", "strategy", 60)
    assert failed.detail == f"message size {len(body)} is larger than configured max size {len(body) - 1}"


def test_what_is_not_judged_may_be_larger() -> None:
    """Modes `warn` and `off`: delivered, and counted."""
    body = envelope({**TRADE, "note": "x" * 2_000})
    (payload,) = agent().seal((publish(), header(body), body))
    for mode in ("warn", "off"):
        consumer = connector(model=with_limits(loaded_letrade(mode), 1_000))
        consumer.shown(delivery(payload, body))
        assert consumer.measures.warned == ({("deliver", "oversize"): 1} if mode == "warn" else {})


def with_limits(model: Topology, message_size: int) -> Topology:
    """The same with another size."""
    return replace(model, limits=replace(model.limits, message_size=ByteSize(message_size)))


def test_an_unknown_key_is_held_and_then_refused() -> None:
    """token.md: a rotation may be under way; 60 seconds."""
    verdict = connector(keys=KeySet(None, {})).examine(signed_trade())
    assert isinstance(verdict, Held)
    assert isinstance(verdict.over, Failed)
    assert (verdict.over.reason, verdict.until_over) == ("key_unknown", 60)
    known = connector()
    assert isinstance(known.examine(signed_trade()), Shown)


def test_an_agent_without_keys_shows_nothing() -> None:
    """Fail closed."""
    assert connector(without_keys=True).failed(signed_trade()).reason == "key_unknown"


def test_a_type_that_this_topology_does_not_know_is_held() -> None:
    """A roll-out may be under way."""
    publisher = loaded(
        orders(messages={"order.new": {"exchange": "orders", "lifetime": "60s"}}, **_one_type("order.new"))
    )
    consumer = loaded(orders())
    (payload,) = agent("shop", model=publisher).seal(
        (publish(b"orders", b"order.new"), header(envelope({}, source="shop")), envelope({}, source="shop"))
    )
    arrived = delivery(
        payload, envelope({}, source="shop"), queue="clerk.orders", exchange=b"orders", routing_key=b"order.new"
    )
    verdict = agent("clerk", model=consumer).examine(arrived)
    assert isinstance(verdict, Held)
    assert isinstance(verdict.over, Failed)
    assert verdict.over.reason == "destination"


def _one_type(name: str) -> dict[str, Any]:
    return {
        "services": {"shop": {"publishes": [name]}, "clerk": {"consumes": [name]}},
        "queues": {"clerk.orders": {"service": "clerk", "messages": [name]}},
    }


def test_a_repeat_of_what_was_settled_is_told_as_such() -> None:
    """token.md: acknowledged and counted, never dead-lettered; one still open passes when it was given back."""
    one, arrived = connector(), signed_trade()
    one.filters.inbound.given_back(one.shown(arrived).remembered, NOW)
    shown = one.shown(arrived._replace(redelivered=True))
    one.filters.inbound.settled(shown.remembered, NOW)
    assert one.examine(arrived) == Repeated(QUEUE)


@pytest.mark.parametrize("end", ["settled", "rejected", "given_back"])
def test_copies_of_what_the_service_has_wait_and_are_repeats_then(end: str) -> None:
    """Ten at once are one message to the service. What is given back is shown once more, and the others wait again."""
    one = connector()
    copies = [signed_trade()._replace(number=number) for number in range(1, 11)]
    shown = one.shown(copies[0])
    for copy in copies[1:]:
        assert one.examine(copy) == Held(Repeated(QUEUE), 60)
        assert one.examine(copy._replace(redelivered=True)) == Held(Repeated(QUEUE), inf)
    getattr(one.filters.inbound, end)(shown.remembered, NOW + 1)
    verdicts = [one.examine(copy, NOW + 1) for copy in copies[1:]]
    if end == "given_back":
        assert isinstance(verdicts[0], Shown)
        assert verdicts[1:] == [Held(Repeated(QUEUE), 60)] * 8
    else:
        assert verdicts == [Repeated(QUEUE)] * 9


def test_copies_of_what_is_refused_are_repeats_of_a_dead_letter() -> None:
    """They wait for its hand-over: if that does not come to its end, the next one is handed over."""
    body = envelope({"strategy_id": 1})
    (payload,) = agent(model=loaded_letrade(mode="warn")).seal(trade(body))
    one = connector(model=key_world.topology())
    first, second = (delivery(payload, body)._replace(number=number) for number in (1, 2))
    assert one.failed(first).reason == "schema"
    assert one.examine(second) == Held(Repeated(QUEUE), 60)
    one.filters.inbound.let_go(1, NOW)
    assert one.failed(second).reason == "schema"
    one.filters.inbound.handed_over(2, NOW)
    assert one.examine(first) == Repeated(QUEUE)


def test_a_repeat_of_what_was_rejected_is_told_as_such() -> None:
    """The broker's redelivery has to be rejected again, it may not have heard; a copy not, and a retry is another."""
    one, arrived = connector(), signed_trade()
    one.filters.inbound.rejected(one.shown(arrived).remembered, NOW)
    assert one.examine(arrived._replace(redelivered=True)) == Repeated(QUEUE, is_rejected=True)
    assert one.examine(arrived) == Repeated(QUEUE)
    assert isinstance(one.examine(retried(1), NOW + 5), Shown)


def moved(**changes: Any) -> Delivery:
    """The trade as it comes when it was moved with its queue before it ever failed."""
    return retried(0, key=signing_key("move"), role=HopRole.MOVE, **changes)


def test_what_was_moved_is_no_retry() -> None:
    """The service sees it as it was published, and its copy that was not moved is a repeat."""
    one = connector()
    shown = one.shown(moved(), NOW + 11)
    assert (shown.exchange, shown.routing_key) == (COMMANDS, EXECUTE)
    assert shown.header == connector().shown(signed_trade()).header
    one.filters.inbound.settled(shown.remembered, NOW + 11)
    assert one.examine(signed_trade(), NOW + 12) == Repeated(QUEUE)


def test_a_rejection_that_the_move_overtook_is_told_again() -> None:
    """The queue was gone before the broker could hear of it, and nobody else has the message."""
    one = connector()
    one.filters.inbound.rejected(one.shown(signed_trade()).remembered, NOW)
    assert one.examine(moved(), NOW + 11) == Repeated(QUEUE, is_rejected=True)


def test_the_memory_survives_new_filters() -> None:
    """A reload opens no window."""
    memory = Replay()
    first, arrived = connector(replay=memory), signed_trade()
    first.filters.inbound.settled(first.shown(arrived).remembered, NOW)
    assert connector(replay=memory).examine(arrived) == Repeated(QUEUE)


def test_the_same_message_in_another_queue_is_no_repeat() -> None:
    """One message arrives once in every queue that it is routed to."""
    model = loaded(
        orders(
            queues={
                "clerk.orders": {"service": "clerk", "messages": ["order.placed"]},
                "clerk.more": {"service": "clerk", "messages": ["order.placed"]},
            },
            messages={"order.placed": {"exchange": "orders", "lifetime": "60s"}},
            services={"shop": {"publishes": ["order.placed"]}, "clerk": {"consumes": ["order.placed"]}},
        )
    )
    body = envelope({}, source="shop")
    (payload,) = agent("shop", model=model).seal((publish(b"orders", b"order.placed"), header(body), body))
    clerk = agent("clerk", model=model)
    here = delivery(payload, body, queue="clerk.orders", exchange=b"orders", routing_key=b"order.placed")
    clerk.filters.inbound.settled(clerk.shown(here).remembered, NOW)
    clerk.shown(here._replace(queue="clerk.more"))
    assert isinstance(clerk.examine(here), Repeated)


def test_a_full_memory_holds_and_lets_nothing_through() -> None:
    """token.md: consumption slows; nothing is let through unchecked. What is open already is a redelivery."""
    publisher, one = agent(), connector(replay=Replay(capacity=1))
    first, second = (delivery(publisher.seal(trade())[0]) for _ in range(2))
    shown = one.shown(first)
    verdict = one.examine(second)
    assert isinstance(verdict, Held)
    assert verdict.until_over == inf
    one.filters.inbound.given_back(shown.remembered, NOW)
    one.shown(first._replace(redelivered=True))
    later = delivery(publisher.seal(trade(), now=NOW + 400)[0])
    one.shown(later, NOW + 400)


def retried(attempt: int = 1, key: SigningKey | None = None, **changes: Any) -> Delivery:
    """The trade as its retry brings it back: through the default exchange, with a hop."""
    arrived = signed_trade()
    message = SignableMessage(
        COMMANDS,
        EXECUTE,
        SignedProperties(arrived.header.message_id, None, b"application/json", None, None),
        arrived.body,
    )

    def change(claims: HopClaims) -> HopClaims:
        return replace(claims, leaf=leaf_hash(message), attempt=attempt, **changes)

    builder = HopBuilder(key or signing_key(CONNECTOR), change, message)
    back = arrived._replace(exchange=b"", routing_key=QUEUE.encode())
    return with_entries(back, text_entry(b"letrade-hop", builder.token()), text_entry(b"letrade-attempt", b"99"))


def test_a_retry_is_shown_with_its_attempt_where_it_was_first_published() -> None:
    """The service sees the exchange and key that it knows, and which attempt it is: the signed one."""
    shown = connector().shown(retried(attempt=2), NOW + 20)
    assert (shown.exchange, shown.routing_key) == (COMMANDS, EXECUTE)
    table = ContentHeader.parse(shown.header).headers
    assert table is not None
    assert table.entries == (number_entry(b"letrade-attempt", 2),)


def kept_up(until: float) -> KeepingUp:
    """An agent whose consumer was idle for a quarter of an hour."""
    keeping_up = KeepingUp()
    for moment in range(900):
        keeping_up.keeps_up(QUEUE, until - 900 + moment)
    return keeping_up


HOP_ENDS = NOW + 310


def test_a_retry_that_is_late_though_its_queue_was_kept_up_with_is_not_honest() -> None:
    """Somebody kept it, and puts it back: an hour later, or as soon as the memory against repeats is over."""
    late = retried(expires_at=HOP_ENDS)._replace(number=1)
    for after in (10, 3600, 6 * 86_400):
        failed = connector(keeping_up=kept_up(HOP_ENDS + after)).failed(late, HOP_ENDS + after)
        assert (failed.reason, failed.detail) == ("expired", f"the hop had expired {after} s before")


def test_a_retry_that_is_late_because_nobody_consumed_is_shown() -> None:
    """Its service was away for hours: never consumed since the agent is up, or not since the hop had ended."""
    late = retried(expires_at=HOP_ENDS)
    connector().shown(late, HOP_ENDS + 7200)
    connector(keeping_up=kept_up(HOP_ENDS)).shown(late, HOP_ENDS + 7200)


def test_a_retry_that_was_given_back_is_no_late_one() -> None:
    """Its service had it for long, and died, and was away; the broker delivers it again."""
    keeping_up = KeepingUp()
    one = connector(keeping_up=keeping_up)
    inbound, late = one.filters.inbound, retried(expires_at=HOP_ENDS)
    shown = one.shown(late, NOW + 20)
    for moment in range(900):
        inbound.keeps_up(QUEUE, NOW + moment, was_active=True)
    assert one.examine(late._replace(redelivered=True), NOW + 900) == Held(Repeated(QUEUE), inf), "it has it still"
    inbound.given_back(shown.remembered, NOW + 900)
    assert one.failed(late, NOW + 7200).reason == "expired", "a copy that was kept"
    shown = one.shown(late._replace(redelivered=True), NOW + 7200)
    inbound.settled(shown.remembered, NOW + 7200)
    assert one.failed(late._replace(redelivered=True), NOW + 9000).reason == "expired"


def test_a_retry_that_waits_is_no_late_one() -> None:
    """It came in time, and its key or its object did not, or a copy of it is with the service."""
    keeping_up = KeepingUp()
    one = connector(keeping_up=keeping_up)
    inbound, early = one.filters.inbound, retried(expires_at=HOP_ENDS)._replace(number=1)
    one.shown(early, NOW + 20)
    for moment in range(900):
        inbound.keeps_up(QUEUE, NOW + moment, was_active=True)
    one.shown(early, NOW + 900)


@pytest.mark.parametrize("is_active", [False, True])
def test_an_idle_consumer_of_a_queue_with_one_active_one_may_be_another_than_that(is_active: bool) -> None:
    """It gets nothing, however much there is: so it proves nothing, until it has got something."""
    model = key_world.topology()
    queue = replace(model.queues[QUEUE], single_active_consumer=True)
    one = connector(model=replace(model, queues={**model.queues, QUEUE: queue}))
    for moment in range(900):
        one.filters.inbound.keeps_up(QUEUE, HOP_ENDS - 800 + moment, was_active=is_active)
    verdict = one.examine(retried(expires_at=HOP_ENDS), HOP_ENDS + 100)
    assert isinstance(verdict, Failed if is_active else Shown)


@pytest.mark.wide
def test_a_busy_queue_is_kept_up_with_while_what_comes_was_just_signed() -> None:
    """Ordinary or not; an old message shows that there is a backlog, and a message of high priority shows nothing."""
    model = loaded(
        orders(
            messages={
                "order.placed": {"exchange": "orders", "lifetime": "24h"},
                "order.urgent": {"exchange": "orders", "lifetime": "24h", "priority": "high"},
            },
            queues={"clerk.orders": {"service": "clerk", "messages": ["order.placed", "order.urgent"]}},
            services={
                "shop": {"publishes": ["order.placed", "order.urgent"]},
                "clerk": {"consumes": ["order.placed", "order.urgent"]},
            },
        )
    )
    shop, body = agent("shop", model=model), envelope({}, source="shop")

    def proven_until(waited: list[int], key: bytes = b"order.placed") -> float:
        keeping_up = KeepingUp()
        clerk = agent("clerk", model=model, keeping_up=keeping_up)
        for moment, seconds in enumerate(waited):
            now = NOW + 4 * moment
            message = (publish(b"orders", key), header(body, content_type=b"application/json"), body)
            (payload,) = shop.seal(message, now=now - seconds)
            clerk.examine(delivery(payload, body, queue="clerk.orders", exchange=b"orders", routing_key=key), now)
        return keeping_up.until("clerk.orders")

    assert proven_until([0] * 100) == NOW + 4 * 99
    assert proven_until([10] * 100) == NOW + 4 * 99
    assert proven_until([11] * 100) == -inf
    assert proven_until([0] * 50 + [60] + [0] * 49) == -inf
    assert proven_until([0] * 100, b"order.urgent") == -inf


def test_each_attempt_is_another_delivery() -> None:
    """A settled first attempt does not swallow the second; the second again is a repeat."""
    one = connector()
    one.filters.inbound.settled(one.shown(signed_trade()).remembered, NOW)
    second = one.shown(retried(1), NOW + 20)
    one.filters.inbound.settled(second.remembered, NOW + 20)
    assert isinstance(one.examine(retried(1), NOW + 21), Repeated)
    one.shown(retried(2), NOW + 22)


@pytest.mark.parametrize(
    ("hop", "reason"),
    [
        (lambda: retried(key=signing_key("strategy")), "hop_role"),
        (lambda: retried(key=signing_key("replay"), role=HopRole.MOVE), "hop_role"),
        (lambda: moved(queue="exchange_connector.cancel_order"), "hop_queue"),
        (lambda: retried(issued_at=NOW + 19, expires_at=NOW + 19), "expired"),
        (lambda: retried(queue="exchange_connector.cancel_order"), "hop_queue"),
        (lambda: retried(routing_key="commands.cancel_order"), "content"),
        (lambda: with_entries(retried(), text_entry(b"letrade-hop", b"a.b.c")), "hop_malformed"),
        (lambda: with_entries(retried(), text_entry(b"letrade-hop", b"x"), without=[b"letrade-hop"]), "hop_malformed"),
    ],
)
def test_a_hop_that_is_not_right_is_refused(hop: Callable[[], Delivery], reason: str) -> None:
    """Retry state is signed (S4)."""
    assert connector().failed(hop(), NOW + 20).reason == reason


def mixed() -> Topology:
    """A queue fed by an exchange that is judged and by one that is not; a third is warned of."""
    names = {"judged": "enforce", "free": "off", "warned": "warn"}
    types = {f"{name}.type": {"exchange": name, "lifetime": "60s"} for name in names}
    return loaded(
        orders(
            exchanges={name: {"mode": mode} for name, mode in names.items()},
            messages=types,
            services={"shop": {"publishes": list(types)}, "clerk": {"consumes": list(types)}},
            queues={
                "clerk.all": {"service": "clerk", "messages": list(types)},
                "clerk.free": {"service": "clerk", "messages": ["free.type"]},
                "clerk.warned": {"service": "clerk", "messages": ["warned.type"]},
            },
        )
    )


def unsigned(exchange: bytes, queue: str, *, to: bytes | None = None, routing_key: bytes = b"k") -> Delivery:
    """A message that no agent has seen."""
    table = None if to is None else [text_entry(b"letrade-to", base64url.encode(to) + b"." + base64url.encode(b"k"))]
    return Delivery(queue, exchange, routing_key, False, header(b"x", table), b"x")


@pytest.mark.parametrize(
    ("arrived", "passes"),
    [
        (unsigned(b"judged", "clerk.all"), False),
        (unsigned(b"free", "clerk.all"), True),
        (unsigned(b"warned", "clerk.all"), True),
        (unsigned(b"", "clerk.all", routing_key=b"clerk.all"), False),
        (unsigned(b"", "clerk.free", routing_key=b"clerk.free"), True),
        (unsigned(b"", "clerk.warned", routing_key=b"clerk.warned"), True),
        (unsigned(b"judged", "clerk.all", to=b"free"), False),
        (unsigned(b"", "clerk.all", to=b"free"), False),
        (unsigned(b"", "clerk.sub.1", to=b"free"), False),
        (unsigned(b"unheard.of", "clerk.all", to=b"free"), False),
        (unsigned(b"free", "clerk.sub.1"), True),
    ],
)
def test_the_mode_is_the_exchanges_and_nothing_that_a_message_says_changes_it(arrived: Delivery, passes: bool) -> None:
    """S3, fail closed: `letrade-to` alone is nobody's word."""
    verdict = agent("clerk", model=mixed()).examine(arrived)
    assert isinstance(verdict, Shown if passes else Failed), verdict


def test_warn_delivers_and_counts_what_would_have_been_refused() -> None:
    """S3; agents' headers are stripped all the same, and an honest message is not counted."""
    clerk = agent("clerk", model=mixed())
    shown = clerk.shown(unsigned(b"warned", "clerk.warned", to=b"warned"))
    assert (names_of(shown.header), shown.remembered.identity) == ([], None)
    body = envelope({}, source="shop")
    message = (publish(b"warned", b"warned.type"), header(body), body)
    (payload,) = agent("shop", model=mixed()).seal(message)
    honest = delivery(payload, body, queue="clerk.warned", exchange=b"warned", routing_key=b"warned.type")
    first = clerk.shown(honest)
    assert clerk.measures.warned == {("deliver", "token_missing"): 1}
    clerk.filters.inbound.settled(first.remembered, NOW)
    clerk.shown(honest)
    assert clerk.measures.warned == {("deliver", "token_missing"): 1, ("deliver", "repeat"): 1}


def test_off_is_not_looked_at_and_counted() -> None:
    """Nothing is remembered of it, either."""
    clerk = agent("clerk", model=mixed())
    shown = clerk.shown(malformed(unsigned(b"free", "clerk.free", to=b"x")))
    clerk.filters.inbound.settled(shown.remembered, NOW)
    assert len(clerk.replay) == 0
    assert clerk.measures.unverified == {("deliver", "off"): 1}


@pytest.mark.parametrize(
    ("exchange", "queue", "passes"),
    [
        (b"elsewhere", "unheard.of", True),
        (b"letrade.commands", "unheard.of", True),
        (b"", "exchange_connector.reply.1", True),
        (b"letrade.commands", "exchange_connector.reply.1", False),
        (b"letrade.commands", QUEUE, False),
        (b"", QUEUE, False),
        (b"elsewhere", QUEUE, False),
        (b"", "amq.rabbitmq.reply-to", True),
    ],
)
def test_what_is_declared_is_verified_in_adoption_too(exchange: bytes, queue: str, passes: bool) -> None:
    """A4: `undeclared: pass` opens only what the topology does not know; the strict default opens nothing."""
    arrived = unsigned(exchange, queue)
    one = connector(undeclared=Undeclared.PASS)
    assert isinstance(one.examine(arrived), Shown if passes else Failed)
    assert one.measures.unverified == ({("deliver", "undeclared"): 1} if passes else {})
    assert isinstance(connector().examine(arrived), Failed)


def test_a_header_of_no_agent_leaves_as_it_came() -> None:
    """A3: bytes that need no change."""
    arrived = unsigned(b"elsewhere", "unheard.of")
    own = header(b"x", [text_entry(b"a", b"b")])
    shown = connector(undeclared=Undeclared.PASS).shown(arrived._replace(header=own))
    assert shown.header is own.payload


def test_verifying_is_measured_by_algorithm() -> None:
    """For `verify_duration_seconds`; what names no known key is not measured under a made-up label."""
    one = connector()
    examine = one.filters.inbound.examine
    assert isinstance(examine(signed_trade(), NOW), Shown)
    assert isinstance(examine(resigned(signed_trade(), kid="strategy:99"), NOW), Held)
    assert {name: sum(found.counts) for name, found in one.measures.verify_seconds.items()} == {"ES256": 1}


def test_keys_of_another_service_verify_and_do_not_sign() -> None:
    """Whosever private keys are in the folder, the public ones are everyone's."""
    connector(keys=keys_of("strategy")).shown(signed_trade())


def test_a_binary_token_is_a_token() -> None:
    """token.md: brokers convert one type into the other."""
    arrived = signed_trade()
    payload = arrived.header.payload.replace(b"letrade-jwsS", b"letrade-jwsx")
    connector().shown(arrived._replace(header=ContentHeader.parse(payload)))
    assert HeaderTable.parse(arrived.header.encoded_headers or b"").get(b"letrade-jws") is not None
