"""Every reason for which a token is refused, and that the first check that fails names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest

from letrade_topo.keys import base64url
from letrade_topo.keys.claims import HOP_TYP, MESSAGE_TYP
from letrade_topo.keys.headers import TokenHeaders, write_proof, write_to
from letrade_topo.keys.jwk import Role, Validity
from letrade_topo.keys.jws import SigningKey, write_compact, write_header
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.signer import Signer
from letrade_topo.keys.token import Arrival, Origin
from letrade_topo.model.security import JwtAlgorithm
from tests.keys.world import (
    COMMAND,
    JTI,
    LIFETIME_SECONDS,
    NOW,
    QUEUE,
    accepted,
    arrival_of,
    audience,
    headers_of,
    key_set,
    public_key,
    reason,
    signed_arrival,
    signing_key,
    verifier,
    verify,
)


def with_header(arrival: Arrival, **headers: Any) -> Arrival:
    """The delivery with other headers."""
    return arrival._replace(headers=arrival.headers._replace(**headers))


def token_of(arrival: Arrival) -> bytes:
    """Its token."""
    token = arrival.headers.jws[0]
    assert token is not None
    return token


def forged(change: Callable[[dict[str, Any]], object], key: SigningKey | None = None) -> Arrival:
    """The command with a token whose claims are changed and signed again."""
    key = key or signing_key("strategy")
    arrival = signed_arrival()
    claims = json.loads(base64url.decode(token_of(arrival).split(b".")[1]) or b"")
    change(claims)
    header = write_header(key.algorithm, key.kid, MESSAGE_TYP)
    return with_header(arrival, jws=(write_compact(key, header, json.dumps(claims).encode()),))


def with_jose_header(**members: object) -> Arrival:
    """The command with a token of another JOSE header, signed."""
    arrival = signed_arrival()
    payload = base64url.decode(token_of(arrival).split(b".")[1])
    assert payload is not None
    header = {"alg": "ES256", "kid": "strategy:1", "typ": MESSAGE_TYP, **members}
    segment = base64url.encode(json.dumps(header).encode())
    return with_header(arrival, jws=(write_compact(signing_key("strategy"), segment, payload),))


def test_accepted() -> None:
    """A message that arrives as it was signed is accepted, with everything that is known about it."""
    verdict = accepted(verify(signed_arrival()))

    assert verdict.origin.token.kid == "strategy:1"
    assert verdict.origin.token.claims.issuer == "strategy"
    assert verdict.origin.destination == (b"letrade.commands", b"commands.execute_trade")
    assert verdict.route.message_type == "commands.execute_trade"
    assert (verdict.origin.leaf_index, verdict.attempt, verdict.hop) == (0, 0, None)
    assert verdict.valid_until == NOW + LIFETIME_SECONDS + 5


def test_token_missing() -> None:
    """Without a token a message is nobody's."""
    assert reason(verify(with_header(signed_arrival(), jws=()))) is Reason.TOKEN_MISSING


def test_token_duplicate() -> None:
    """Two tokens are refused, even two that are the same: readers differ in which they take."""
    arrival = signed_arrival()

    assert reason(verify(with_header(arrival, jws=(token_of(arrival),) * 2))) is Reason.TOKEN_DUPLICATE


@pytest.mark.parametrize(
    "headers",
    [
        {"jws": (None,)},
        {"jws": (b"",)},
        {"jws": (b"a.b.c",)},
        {"jws": (b"x" * 5000,)},
        {"to": ()},
        {"to": (None,)},
        {"to": (b"",)},
        {"to": (b"YQ",)},
        {"to": (b"YQ.YQ.YQ",)},
        {"to": (b"YQ==.YQ",)},
        {"to": (write_to(b"a", b"b" * 300),)},
        {"to": (write_to(b"letrade.commands", b"commands.execute_trade"),) * 2},
    ],
)
def test_token_malformed(headers: dict[str, Any]) -> None:
    """A token, or a letrade-to, that is not of its form."""
    assert reason(verify(with_header(signed_arrival(), **headers))) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("member", ["crit", "b64", "zip", "jku", "jwk", "x5c", "x5u", "x5t", "cty"])
def test_further_members_of_the_header(member: str) -> None:
    """A critical or any other member beside alg, kid and typ is malformed, though the signature is right."""
    assert reason(verify(with_jose_header(**{member: "x"}))) is Reason.TOKEN_MALFORMED


def test_key_unknown_is_held() -> None:
    """A key that is not known may be on its way: the delivery is held, then refused."""
    verdict = verify(with_jose_header(kid="strategy:2"))

    assert reason(verdict) is Reason.KEY_UNKNOWN
    assert isinstance(verdict, Refused)
    assert verdict.hold


def test_encryption_key_and_forgotten_key_are_unknown() -> None:
    """A key that is for encryption, or that is forgotten, verifies nothing."""
    forgotten = public_key(signing_key("strategy"), validity=Validity(0, None, NOW - 10, NOW))

    assert reason(verify(signed_arrival(), keys=key_set(forgotten))) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "EdDSA", "RS256", "es256", ""])
def test_algorithm_is_fixed_by_the_key(alg: str) -> None:
    """A token does not choose its algorithm."""
    assert reason(verify(with_jose_header(alg=alg))) is Reason.ALGORITHM


def test_unsecured_token() -> None:
    """`alg: none` without a signature is refused for its algorithm."""
    token = token_of(with_jose_header(alg="none"))
    arrival = with_header(signed_arrival(), jws=(token[: token.rindex(b".") + 1],))

    assert reason(verify(arrival)) is Reason.ALGORITHM


@pytest.mark.parametrize("typ", ["JWT", HOP_TYP, "at+jwt", "LETRADE-MSG+JWT", ""])
def test_type_is_exact(typ: str) -> None:
    """A token made for something else is not a message token."""
    assert reason(verify(with_jose_header(typ=typ))) is Reason.TYPE


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_any_altered_segment(segment: int) -> None:
    """A token of which one character is changed is refused, whichever it is."""
    arrival = signed_arrival()
    parts = token_of(arrival).split(b".")
    for place in range(0, len(parts[segment]), 7):
        altered = bytearray(parts[segment])
        altered[place] = ord("A") if altered[place] != ord("A") else ord("B")
        token = b".".join([*parts[:segment], bytes(altered), *parts[segment + 1 :]])

        assert reason(verify(with_header(arrival, jws=(token,)))) in (
            Reason.SIGNATURE,
            Reason.TOKEN_MALFORMED,
            Reason.KEY_UNKNOWN,
            Reason.ALGORITHM,
            Reason.TYPE,
        )


def test_signature_of_another_key() -> None:
    """A token that names a key and is signed with another is refused."""
    key = replace(signing_key("core_engine"), kid="strategy:1", issuer="strategy")

    assert reason(verify(arrival_of(COMMAND, headers_of(COMMAND, key=key)[0]))) is Reason.SIGNATURE


def test_missing_signature() -> None:
    """A token whose signature is empty is refused."""
    token = token_of(signed_arrival())

    assert reason(verify(with_header(signed_arrival(), jws=(token[: token.rindex(b".") + 1],)))) is Reason.SIGNATURE


@pytest.mark.parametrize("name", ["iss", "aud", "iat", "exp", "jti", "v", "n", "mr"])
def test_claims_are_all_needed(name: str) -> None:
    """A claim that is missing, or of another type, is refused."""
    assert reason(verify(forged(lambda claims: claims.pop(name)))) is Reason.CLAIMS
    wrong: tuple[object, ...] = (None, [], {}, True, 1.5, -1)
    for value in wrong:
        assert reason(verify(forged(partial(dict.update, **{name: value})))) is Reason.CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"n": 0},
        {"n": 1025},
        {"exp": NOW - 1},
        {"iat": 2**53},
        {"jti": "AAAA"},
        {"mr": "A" * 42},
        {"mr": "A" * 43 + "="},
        {"jti": "é" * 22},
        {"aud": [audience()]},
    ],
)
def test_claims_out_of_range(change: dict[str, object]) -> None:
    """A claim that cannot be is refused."""
    assert reason(verify(forged(lambda claims: claims.update(change)))) is Reason.CLAIMS


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b'{"v":1,"v":1}', b'{"n":NaN}', b"[" * 2500])
def test_payload_that_is_no_object(payload: bytes) -> None:
    """A signed payload that is not one JSON object, or has a name twice, is refused."""
    key = signing_key("strategy")
    token = write_compact(key, write_header(key.algorithm, key.kid, MESSAGE_TYP), payload)

    assert reason(verify(with_header(signed_arrival(), jws=(token,)))) is Reason.CLAIMS


def test_unknown_claim_means_nothing() -> None:
    """A claim that version 1 does not know is ignored, as in every JWT."""
    accepted(verify(forged(lambda claims: claims.update(seq=7))))


def test_issuer_owns_the_key() -> None:
    """A service cannot sign in the name of another."""
    assert reason(verify(forged(lambda claims: claims.update(iss="core_engine")))) is Reason.ISSUER


@pytest.mark.parametrize("role", [Role.REPLAY, Role.DEAD_LETTER])
def test_key_of_an_operator_publishes_nothing(role: Role) -> None:
    """A key that is for replaying does not make messages."""
    keys = key_set(public_key(signing_key("strategy"), role))

    assert reason(verify(signed_arrival(), keys=keys)) is Reason.ISSUER


def test_retired_key_verifies_what_is_older_only() -> None:
    """What a key signed before its retirement is accepted after it, what it signs from then on is not."""
    before = key_set(public_key(signing_key("strategy"), validity=Validity(0, None, NOW + 1)))
    after = key_set(public_key(signing_key("strategy"), validity=Validity(0, None, NOW)))

    accepted(verify(signed_arrival(), now=NOW + 30, keys=before))
    assert reason(verify(signed_arrival(), now=NOW + 30, keys=after)) is Reason.ISSUER


@pytest.mark.parametrize("other", ["production/letrade/letrade", "development/letrade/%2F", "", "development/letrade"])
def test_audience(other: str) -> None:
    """A token of another environment, topology or vhost is refused."""
    arrival = arrival_of(COMMAND, headers_of(COMMAND, of_audience=other)[0])

    assert reason(verify(arrival)) is Reason.AUDIENCE


def test_expired() -> None:
    """A token is accepted until its expiry and the leeway, and not a second longer."""
    arrival = signed_arrival()

    accepted(verify(arrival, now=NOW + LIFETIME_SECONDS + 5))
    assert reason(verify(arrival, now=NOW + LIFETIME_SECONDS + 5.1)) is Reason.EXPIRED


def test_not_yet_valid() -> None:
    """A token from the future is refused, but for the leeway of the clocks."""
    arrival = signed_arrival()

    accepted(verify(arrival, now=NOW - 5))
    assert reason(verify(arrival, now=NOW - 5.1)) is Reason.NOT_YET_VALID


@pytest.mark.parametrize("name", SignedProperties._fields)
def test_altered_property(name: str) -> None:
    """A property that is changed, added or taken away is seen."""
    arrival = signed_arrival()
    for value in (None, b"", b"other"):
        properties = arrival.properties._replace(**{name: value})
        if properties != arrival.properties:
            assert reason(verify(arrival._replace(properties=properties))) is Reason.CONTENT


@pytest.mark.parametrize("body", [b"", bytes(COMMAND.body) + b" ", b"x" + bytes(COMMAND.body)[1:]])
def test_altered_body(body: bytes) -> None:
    """A body that is changed is seen."""
    assert reason(verify(signed_arrival()._replace(body=body))) is Reason.CONTENT


def test_altered_destination() -> None:
    """Another letrade-to does not fit the leaf, even where the message also arrived there."""
    arrival = signed_arrival()
    to = write_to(b"letrade.commands", b"commands.cancel_order")
    moved = with_header(arrival, to=(to,))._replace(routing_key=b"commands.cancel_order")

    assert reason(verify(moved)) is Reason.CONTENT


def batch_arrivals(count: int) -> list[Arrival]:
    """A batch of different commands."""
    messages = [COMMAND._replace(body=b"%d" % index) for index in range(count)]
    return [arrival_of(message, headers) for message, headers in zip(messages, headers_of(*messages), strict=True)]


@pytest.mark.parametrize("count", [2, 3, 5, 32, 33, 1024])
def test_batch(count: int) -> None:
    """Each message of a batch is accepted by itself, in any order, with its place in the batch."""
    checks = verifier()
    arrivals = batch_arrivals(count)

    for index in reversed(range(0, count, 1 + count // 50)):
        assert accepted(checks.verify(arrivals[index], NOW)).origin.leaf_index == index


def test_batch_pays_for_one_signature() -> None:
    """A token that is known needs no key any more: the signature of a batch is checked once."""
    keys = dict(key_set().public)
    checks = verifier(KeySet(None, MappingProxyType(keys)))
    first, second = batch_arrivals(2)
    accepted(checks.verify(first, NOW))
    del keys["strategy:1"]

    accepted(checks.verify(second, NOW))
    assert reason(checks.verify(signed_arrival(), NOW)) is Reason.KEY_UNKNOWN


def test_a_token_that_is_known_ends_with_its_key() -> None:
    """A batch whose signature was checked before its key was forgotten is refused from then on, like any other."""
    forgotten = public_key(signing_key("strategy"), validity=Validity(0, None, NOW + 1, NOW + 2))
    checks = verifier(key_set(forgotten))
    first, second = batch_arrivals(2)
    accepted(checks.verify(first, NOW))

    accepted(checks.verify(second, NOW + 1))
    assert reason(checks.verify(second, NOW + 2)) is Reason.KEY_UNKNOWN


def test_cache_of_tokens_is_bounded() -> None:
    """The oldest token is forgotten first, and is then verified anew."""
    keys = dict(key_set().public)
    checks = type(verifier())(KeySet(None, MappingProxyType(keys)), verifier()._policy, cached_tokens=2)
    batches = [
        [
            arrival_of(message, headers)
            for message, headers in zip([COMMAND] * 2, headers_of(COMMAND, COMMAND, jti=bytes([i] * 16)), strict=True)
        ]
        for i in range(3)
    ]
    for batch in batches:
        accepted(checks.verify(batch[0], NOW))
    del keys["strategy:1"]

    assert reason(checks.verify(batches[0][1], NOW)) is Reason.KEY_UNKNOWN
    accepted(checks.verify(batches[1][1], NOW))
    accepted(checks.verify(batches[2][1], NOW))


def test_batch_has_a_size() -> None:
    """A batch has at least one message and at most 1024."""
    signer = Signer(signing_key("strategy"), audience())
    for batch in ([], [COMMAND] * 1025):
        with pytest.raises(ValueError, match="a batch has 1 to 1024 messages"):
            signer.sign(batch, lifetime_seconds=60, issued_at=NOW, jti=JTI)


def test_proof_where_there_is_one_message() -> None:
    """The token of one message has no proof."""
    assert reason(verify(with_header(signed_arrival(), proof=(b"0.",)))) is Reason.CONTENT


def test_altered_proof() -> None:
    """A proof that is missing, twice, too short, too long, for another index or not in its form is seen."""
    arrival = batch_arrivals(5)[2]
    proof = arrival.headers.proof[0]
    assert proof is not None
    path = base64url.decode(proof.split(b".")[1])
    assert path is not None
    others: list[tuple[bytes | None, ...]] = [
        (),
        (proof, proof),
        (None,),
        (b"",),
        (b"2",),
        (b"2.",),
        (b"02." + proof[2:],),
        (b"+2." + proof[2:],),
        (b" 2." + proof[2:],),
        (b"-2." + proof[2:],),
        ("٢.".encode() + proof[2:],),
        (b"99999." + proof[2:],),
        (b"5." + proof[2:],),
        (b"3." + proof[2:],),
        (proof + b"=",),
        (proof[:-1],),
        (write_proof(2, path[:-32]),),
        (write_proof(2, path + bytes(32)),),
        (write_proof(2, path[32:] + path[:32]),),
        (write_proof(2, bytes(32 * 100)),),
    ]

    accepted(verify(arrival))
    for values in others:
        assert reason(verify(with_header(arrival, proof=values))) is Reason.CONTENT, values


def test_message_of_another_place_in_the_batch() -> None:
    """Two messages of a batch cannot change places."""
    first, second = batch_arrivals(2)

    assert reason(verify(second._replace(headers=first.headers))) is Reason.CONTENT


def test_arrived_elsewhere() -> None:
    """A message that arrives with another exchange or key than it was published with needs a hop."""
    arrival = signed_arrival()

    assert reason(verify(arrival._replace(routing_key=b"commands.cancel_order"))) is Reason.DESTINATION
    assert reason(verify(arrival._replace(exchange=b"", routing_key=QUEUE.encode()))) is Reason.DESTINATION


def test_queue_that_the_topology_does_not_route_it_to() -> None:
    """A message in a queue that nothing routes it to was put there."""
    for queue in ("exchange_connector.cancel_order", "strategy.error", "no.such.queue", "core_engine.reply.1"):
        verdict = verify(signed_arrival(queue=queue))
        assert isinstance(verdict, Refused)
        assert (verdict.reason, verdict.hold) == (Reason.DESTINATION, False)


def test_unknown_type_is_held() -> None:
    """A type that this topology does not know may be on its way with a new topology."""
    for routing_key in (b"commands.new", b"\xff"):
        message = COMMAND._replace(routing_key=routing_key)
        verdict = verify(signed_arrival(message))
        assert isinstance(verdict, Refused)
        assert (verdict.reason, verdict.hold) == (Reason.DESTINATION, True)


def test_publisher_that_may_not() -> None:
    """A service publishes what the topology lets it publish, and nothing else."""
    arrival = arrival_of(COMMAND, headers_of(COMMAND, key=signing_key("capital_manager"))[0])

    assert reason(verify(arrival)) is Reason.NOT_ALLOWED


def test_copies() -> None:
    """CC and BCC are refused on arrival."""
    for name in (b"CC", b"BCC"):
        entries = [(name, None), *[(b"letrade-jws", token_of(signed_arrival()))]]
        assert TokenHeaders.gather(entries).has_copies
    assert reason(verify(with_header(signed_arrival(), has_copies=True))) is Reason.NOT_ALLOWED


def test_lifetime_is_that_of_the_type() -> None:
    """A longer life in the token, for a batch's sake or otherwise, does not make a type live longer."""
    arrival = arrival_of(COMMAND, headers_of(COMMAND, lifetime_seconds=86_400)[0])

    accepted(verify(arrival, now=NOW + LIFETIME_SECONDS + 5))
    assert reason(verify(arrival, now=NOW + LIFETIME_SECONDS + 6)) is Reason.LIFETIME


def test_run_time_queue_of_a_consumer() -> None:
    """In its run-time queues a service may find what it consumes, by type or by pattern, and nothing else."""
    candle = SignableMessage(b"letrade.events", b"market_data.binance.btcusdt", SignedProperties(), b"{}")
    headers = headers_of(candle, key=signing_key("exchange_connector"))[0]
    checks = verifier(service="strategy")

    accepted(checks.verify(arrival_of(candle, headers, "strategy.sub.1"), NOW))
    for queue in ("capital_manager.sub.1", "strategy.subs.1", "strategy.sub", "amq.gen-1"):
        assert reason(checks.verify(arrival_of(candle, headers, queue), NOW)) is Reason.DESTINATION
    assert reason(checks.verify(signed_arrival(queue="strategy.sub.1"), NOW)) is Reason.DESTINATION


def test_order_of_checks() -> None:
    """What is wrong in two ways is refused for the earlier one."""
    arrival = signed_arrival()._replace(body=b"altered", routing_key=b"elsewhere")

    assert reason(verify(arrival, now=NOW + 3600)) is Reason.EXPIRED
    assert reason(verify(arrival)) is Reason.CONTENT
    assert reason(verify(forged(lambda c: c.update(aud="x", exp=NOW, iat=0)), now=NOW + 99)) is Reason.AUDIENCE
    assert reason(verify(forged(lambda c: c.update(iss="x", aud="x")))) is Reason.ISSUER
    assert reason(verify(with_jose_header(alg="none", typ="x"))) is Reason.ALGORITHM
    assert reason(verify(with_jose_header(kid="a:b", alg="none"))) is Reason.KEY_UNKNOWN
    assert reason(verify(with_header(with_jose_header(kid="a:b"), to=()))) is Reason.TOKEN_MALFORMED


def test_authenticate_knows_neither_age_nor_place() -> None:
    """Whose message it is can be told of an old one too, and of one that lies elsewhere."""
    arrival = signed_arrival()
    origin = verifier().authenticate(arrival.headers, arrival.properties, arrival.body, NOW + 10**7)

    assert isinstance(origin, Origin)
    assert origin.destination.routing_key == b"commands.execute_trade"
    altered = verifier().authenticate(arrival.headers, arrival.properties, b"altered", NOW)
    assert isinstance(altered, Refused)
    assert altered.reason is Reason.CONTENT


def test_reasons_hold_nothing_of_the_token() -> None:
    """What is logged has neither a token nor a part of the message in it."""
    arrival = signed_arrival(COMMAND._replace(body=b"S3CRET"))
    token = token_of(arrival).decode()
    for verdict in (
        verify(arrival, now=NOW + 999),
        verify(arrival._replace(body=b"S3CRET.")),
        verify(with_header(arrival, jws=(token.encode()[:-2],))),
    ):
        text = str(verdict) + repr(verdict)
        assert "S3CRET" not in text
        assert all(part[:12] not in text for part in token.split("."))


@pytest.mark.parametrize("algorithm", list(JwtAlgorithm))
def test_both_algorithms(algorithm: JwtAlgorithm) -> None:
    """Either algorithm works, and a key of the one does not verify a token of the other."""
    key = signing_key("strategy", algorithm)
    arrival = arrival_of(COMMAND, headers_of(COMMAND, key=key)[0])
    other = next(item for item in JwtAlgorithm if item is not algorithm)

    accepted(verify(arrival, keys=key_set(algorithm=algorithm)))
    assert reason(verify(arrival, keys=key_set(algorithm=other))) is Reason.ALGORITHM
