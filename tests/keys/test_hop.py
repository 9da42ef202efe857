"""The hop token: what a message needs that arrives elsewhere than it was published."""

from __future__ import annotations

from dataclasses import replace

import pytest

from letrade_topo.keys import base64url
from letrade_topo.keys.claims import HOP_TYP, MESSAGE_TYP, HopRole
from letrade_topo.keys.jwk import Validity
from letrade_topo.keys.jws import write_compact, write_header
from letrade_topo.keys.leaf import leaf_hash
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.token import Arrival
from tests.keys.world import (
    COMMAND,
    LIFETIME_SECONDS,
    NOW,
    HopBuilder,
    accepted,
    hop_arrival,
    key_set,
    public_key,
    reason,
    signed_arrival,
    signing_key,
    verify,
)

WEEK = 7 * 86_400


def with_hop(*values: bytes | None) -> Arrival:
    """A retry with other hop headers."""
    arrival = HopBuilder().arrival()
    return arrival._replace(headers=arrival.headers._replace(hop=values))


def test_retry_is_accepted() -> None:
    """A retry comes through the default exchange and is accepted with its hop, as the attempt that it says."""
    verdict = accepted(verify(hop_arrival(attempt=3), now=NOW + 20))

    assert verdict.attempt == 3
    assert verdict.valid_until == NOW + 10 + WEEK + 5


def test_retry_without_its_hop() -> None:
    """Without the hop it arrived elsewhere than it was published."""
    assert reason(verify(with_hop())) is Reason.DESTINATION


def test_hop_malformed() -> None:
    """A hop that is there twice, of another type, or no such token."""
    token = HopBuilder().token()
    header, payload, _ = token.split(b".")
    as_message = write_compact(
        signing_key("exchange_connector"),
        write_header(signing_key("exchange_connector").algorithm, "exchange_connector:1", MESSAGE_TYP),
        base64url.decode(payload) or b"",
    )
    no_claims = write_compact(signing_key("exchange_connector"), header, b"{}")
    for values in ((token, token), (None,), (b"",), (b"x.y.z",), (token[:-1] + b"=",), (as_message,), (no_claims,)):
        assert reason(verify(with_hop(*values))) is Reason.HOP_MALFORMED, values


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 0},
        {"attempt": 2**31},
        {"leaf": b"short"},
        {"issued_at": -1},
        {"expires_at": NOW},
        {"jti": b""},
        {"first_failure": -1},
    ],
)
def test_hop_with_claims_that_cannot_be(changes: dict[str, object]) -> None:
    """Claims out of their range make no hop."""
    assert reason(verify(hop_arrival(**changes))) is Reason.HOP_MALFORMED


def test_hop_signature() -> None:
    """A hop that another key signed, or with another algorithm, is refused."""
    forged = replace(signing_key("core_engine"), kid="exchange_connector:1", issuer="exchange_connector")
    token = HopBuilder().token()

    assert reason(verify(hop_arrival(forged))) is Reason.HOP_SIGNATURE
    other = base64url.encode(b'{"alg":"EdDSA","kid":"exchange_connector:1","typ":"%s"}' % HOP_TYP.encode())
    assert reason(verify(with_hop(b".".join([other, *token.split(b".")[1:]])))) is Reason.HOP_SIGNATURE


def test_hop_of_an_unknown_key_is_held() -> None:
    """A hop's key may be on its way, as a message's key may."""
    verdict = verify(hop_arrival(replace(signing_key("exchange_connector"), kid="exchange_connector:2")))

    assert reason(verdict) is Reason.KEY_UNKNOWN
    assert isinstance(verdict, Refused)
    assert verdict.hold


def test_hop_of_another_audience() -> None:
    """A hop of another environment is refused."""
    assert reason(verify(hop_arrival(audience="production/letrade/letrade"))) is Reason.AUDIENCE


def test_hop_role() -> None:
    """Only the consumer's own agent retries, only an operator's key replays, and only a mover's moves."""
    accepted(verify(hop_arrival(signing_key("replay"), role=HopRole.REPLAY), now=NOW + 20))
    accepted(verify(hop_arrival(signing_key("move"), role=HopRole.MOVE), now=NOW + 20))

    assert reason(verify(hop_arrival(signing_key("strategy")))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(signing_key("replay")))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(role=HopRole.REPLAY))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(role=HopRole.MOVE))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(signing_key("replay"), role=HopRole.MOVE))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(signing_key("move"), role=HopRole.REPLAY))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(signing_key("move")))) is Reason.HOP_ROLE
    assert reason(verify(hop_arrival(issuer="strategy"))) is Reason.HOP_ROLE


def test_hop_of_a_retired_key() -> None:
    """What was signed before the retirement goes on; what was signed after it does not."""
    for retired_at, is_accepted in ((NOW + 11, True), (NOW + 10, False)):
        keys = key_set(public_key(signing_key("exchange_connector"), validity=Validity(0, None, retired_at)))
        verdict = verify(hop_arrival(), now=NOW + 20, keys=keys)
        assert isinstance(verdict, Refused) is not is_accepted
        if not is_accepted:
            assert reason(verdict) is Reason.HOP_ROLE


def test_hop_queue() -> None:
    """A hop is for one queue."""
    assert reason(verify(hop_arrival(queue="exchange_connector.cancel_order"))) is Reason.HOP_QUEUE
    assert reason(verify(hop_arrival()._replace(queue="exchange_connector.cancel_order"))) is Reason.HOP_QUEUE


@pytest.mark.parametrize(
    "changes",
    [
        {"leaf": leaf_hash(COMMAND._replace(body=b"other"))},
        {"exchange": "letrade.events"},
        {"routing_key": "commands.cancel_order"},
    ],
)
def test_hop_of_another_message(changes: dict[str, object]) -> None:
    """A hop cannot be put on another message."""
    assert reason(verify(hop_arrival(**changes), now=NOW + 20)) is Reason.CONTENT


def test_hop_expires() -> None:
    """A hop lasts through the delay and the outage that is tolerated, and no longer."""
    accepted(verify(hop_arrival(), now=NOW + 10 + WEEK + 5))
    assert reason(verify(hop_arrival(), now=NOW + 10 + WEEK + 6)) is Reason.EXPIRED


def test_hop_from_the_future() -> None:
    """A hop is not valid before it was signed."""
    assert reason(verify(hop_arrival(), now=NOW + 4)) is Reason.NOT_YET_VALID


@pytest.mark.parametrize("role", list(HopRole))
def test_lifetime_is_judged_when_it_was_handed_over(role: HopRole) -> None:
    """A retry came in time if the first failure did; a replay, if it was in time when it was replayed."""
    key = signing_key("exchange_connector" if role is HopRole.SELF else role.value)
    end = NOW + LIFETIME_SECONDS + 5
    moment = "first_failure" if role is HopRole.SELF else "issued_at"

    accepted(verify(hop_arrival(key, role=role, **{moment: end}), now=NOW + 3600))
    assert reason(verify(hop_arrival(key, role=role, **{moment: end + 1}), now=NOW + 3600)) is Reason.EXPIRED


def test_hop_does_not_open_other_doors() -> None:
    """With a hop, too, the topology has to route the signed destination to this queue."""
    other = "exchange_connector.cancel_order"
    arrival = hop_arrival(queue=other)._replace(queue=other)

    assert reason(verify(arrival, now=NOW + 20)) is Reason.DESTINATION


def test_hop_where_none_is_needed() -> None:
    """A hop on a message that arrives where it was published is checked all the same."""
    arrival = signed_arrival()
    arrival = arrival._replace(headers=arrival.headers._replace(hop=(HopBuilder().token(),)))

    assert accepted(verify(arrival, now=NOW + 20)).attempt == 1
    assert reason(verify(arrival._replace(queue="strategy.error"), now=NOW + 20)) is Reason.HOP_QUEUE
