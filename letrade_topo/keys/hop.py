"""The hop token: who handed a message over, for which queue, and which attempt it is.

The message's own token stays untouched; this one stands beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from letrade_topo.keys.claims import HOP_TYP, HopClaims, HopRole, parse_hop_claims, write_hop_claims
from letrade_topo.keys.jwk import PublicKey, Role
from letrade_topo.keys.jws import (
    Compact,
    Malformed,
    SigningKey,
    parse_compact,
    signature_holds,
    write_compact,
    write_header,
)
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.reasons import Reason, Refused

TOLERANCE_SECONDS: Final = 300
"""A hop is good for its delay and this, longer only where its queue was not consumed: see `Verifier.verify`. As long as
the memory against repeats lasts, so that there is no time at which a copy would pass unknown."""

_ROLE_OF_KEY = {HopRole.SELF: Role.SERVICE, HopRole.REPLAY: Role.REPLAY, HopRole.MOVE: Role.MOVE}
"""Whose key may write which hop."""


@dataclass(frozen=True, slots=True)
class HopRules:
    """What a hop token has to agree with.

    Args:
        keys: the public keys.
        audience: of this topology.
        service: who consumes here.
        queue: where the message arrived.
        movers: who may move messages of queues that are migrated.
    """

    keys: KeySet
    audience: str
    service: str
    queue: str
    movers: Collection[str]


def sign_hop(key: SigningKey, claims: HopClaims) -> bytes:
    """Write the value of `letrade-hop`."""
    return write_compact(key, write_header(key.algorithm, key.kid, HOP_TYP), write_hop_claims(claims))


def hop_tolerance(outage_seconds: float) -> float:
    """How long beyond its delay a hop is good by itself.

    Args:
        outage_seconds: how long a message on its way through retries may last at most, by the topology.
    """
    return min(TOLERANCE_SECONDS, outage_seconds)


def verify_hop(values: Sequence[bytes | None], rules: HopRules, now: float) -> HopClaims | Refused:
    """Check the hop token of a delivery, all but its times and the message that it is for.

    Args:
        values: the values of `letrade-hop`, at least one; None: of another AMQP type than long string and binary.
        rules: what it has to agree with.
        now: seconds since the epoch.
    """
    parsed = _parse(values)
    if isinstance(parsed, Malformed):
        return Refused(Reason.HOP_MALFORMED, parsed.why)
    compact, claims = parsed
    key = rules.keys.verifying_key(compact.header.kid, now)
    if key is None:
        # the same roll-out may be under way as with a message's own token
        return Refused(Reason.KEY_UNKNOWN, f"the hop's key {compact.header.kid} is unknown", hold=True)
    if compact.header.alg != key.algorithm:
        return Refused(Reason.HOP_SIGNATURE, f"the hop's key {key.kid} signs with {key.algorithm} and nothing else")
    if not signature_holds(key.key, compact.signature, compact.signing_input):
        return Refused(Reason.HOP_SIGNATURE, f"the hop's signature is not of the key {key.kid}")
    if claims.audience != rules.audience:
        return Refused(Reason.AUDIENCE, "the hop is for another environment, topology or vhost", kid=key.kid)
    wrong = _wrong_role(claims, key, rules)
    if wrong:
        return Refused(Reason.HOP_ROLE, wrong, kid=key.kid)
    if claims.queue != rules.queue:
        return Refused(Reason.HOP_QUEUE, "the hop is for another queue", kid=key.kid)
    return claims


def _parse(values: Sequence[bytes | None]) -> tuple[Compact, HopClaims] | Malformed:
    if len(values) != 1:
        return Malformed(f"letrade-hop is there {len(values)} times")
    if values[0] is None:
        return Malformed("letrade-hop is neither long string nor binary")
    compact = parse_compact(values[0])
    if isinstance(compact, Malformed):
        return Malformed(f"the hop is malformed: {compact.why}")
    if compact.header.typ != HOP_TYP:
        return Malformed(f"the hop is not of the type {HOP_TYP}")
    claims = parse_hop_claims(compact.payload)
    if isinstance(claims, Malformed):
        return Malformed(f"the hop's claims are malformed: {claims.why}")
    return compact, claims


def _wrong_role(claims: HopClaims, key: PublicKey, rules: HopRules) -> str:
    if claims.issuer != key.issuer:
        return f"the hop's key {key.kid} does not belong to its issuer"
    if key.validity.is_retired(claims.issued_at):
        return f"the hop's key {key.kid} was retired when it was signed"
    if key.role is not _ROLE_OF_KEY[claims.role]:
        return f"the role {claims.role} is not for the key {key.kid}, which is of the role {key.role}"
    if claims.role is HopRole.SELF and claims.issuer != rules.service:
        return f"the hop is of another service's agent than that of {rules.service!r}"
    if claims.role is HopRole.MOVE and claims.issuer not in rules.movers:
        return f"the topology does not let {claims.issuer} move messages"
    return ""
