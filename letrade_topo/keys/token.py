"""Checking an arriving message: a delivery in, a verdict out, the checks in their fixed order.

Cheap and certain checks come first. A verdict is a value whatever the input. What the topology says is asked of
a `TokenPolicy`; repeats are `letrade_topo.keys.replay`'s business, after everything here. No clock: `now` is
passed in, in seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hmac import compare_digest
from math import inf
from typing import NamedTuple, TypeAlias, assert_never

from letrade_topo.keys.claims import (
    MESSAGE_TYP,
    HopClaims,
    HopRole,
    MessageClaims,
    parse_message_claims,
)
from letrade_topo.keys.headers import (
    Destination,
    TokenHeaders,
    parse_proof,
    parse_to,
)
from letrade_topo.keys.hop import HopRules, hop_tolerance, verify_hop
from letrade_topo.keys.jwk import Role, Validity
from letrade_topo.keys.jws import Malformed, parse_compact, signature_holds
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignableMessage, SignedProperties, leaf_hash
from letrade_topo.keys.merkle import ProvenTree
from letrade_topo.keys.policy import Route, TokenPolicy
from letrade_topo.keys.reasons import Reason, Refused

LEEWAY_SECONDS = 5.0
CACHED_TOKENS = 1024


class Arrival(NamedTuple):
    """A delivery, as it arrived. A named tuple, as one is made for each message.

    Args:
        queue: the queue that it was consumed from.
        exchange: of the delivery.
        routing_key: of the delivery.
        headers: those that carry tokens.
        properties: those that the leaf covers.
        body: the bytes on the wire.
    """

    queue: str
    exchange: bytes
    routing_key: bytes
    headers: TokenHeaders
    properties: SignedProperties
    body: bytes | bytearray | memoryview


class Token(NamedTuple):
    """A token whose signature, claims, issuer and audience are right. A named tuple, as one is made for each batch."""

    kid: str
    claims: MessageClaims


class ProvenToken(NamedTuple):
    """A token that is right.

    Args:
        token: what it says.
        validity: of its key.
        tree: what is proven of the batch; None: it is of one message.
    """

    token: Token
    validity: Validity
    tree: ProvenTree | None


class Origin(NamedTuple):
    """Whose message it is and where it was published: proven, whatever has become of it since.

    Args:
        token: the token.
        leaf: of the message.
        leaf_index: its place in the batch.
        destination: exchange and routing key that it was published with.
    """

    token: Token
    leaf: bytes
    leaf_index: int
    destination: Destination


class Accepted(NamedTuple):
    """A message that may go to the service, unless it is a repeat.

    Args:
        origin: whose it is.
        route: what the topology says about it.
        hop: how it came here, unless straight from its publisher.
        valid_until: seconds since the epoch; until then it has to be remembered.
    """

    origin: Origin
    route: Route
    hop: HopClaims | None
    valid_until: float

    @property
    def attempt(self) -> int:
        """0 for the first, n for the nth retry."""
        return 0 if self.hop is None else self.hop.attempt


Verdict: TypeAlias = Accepted | Refused


class Verifier:
    """Checks what arrives for one service.

    Args:
        keys: the public keys; a new key set takes a new verifier.
        policy: what the topology says.
        leeway_seconds: the clock difference that is tolerated.
        outage_seconds: how long a message on its way through retries lasts at most beyond its delay.
        cached_tokens: tokens of batches whose signature is remembered; a batch pays for it once.
    """

    __slots__ = ("_cache", "_cached_tokens", "_keys", "_leeway", "_outage", "_policy", "_tolerance")

    def __init__(
        self,
        keys: KeySet,
        policy: TokenPolicy,
        *,
        leeway_seconds: float = LEEWAY_SECONDS,
        outage_seconds: float = 0.0,
        cached_tokens: int = CACHED_TOKENS,
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._leeway = leeway_seconds
        self._outage = outage_seconds
        self._tolerance = hop_tolerance(outage_seconds)
        self._cached_tokens = cached_tokens
        self._cache: OrderedDict[bytes, ProvenToken] = OrderedDict()

    def verify(self, arrival: Arrival, now: float, *, kept_up_until: float = inf) -> Verdict:
        """Check a delivery. `repeat` and what comes behind it are not checked here.

        Args:
            arrival: the delivery.
            now: seconds since the epoch.
            kept_up_until: the last moment (seconds since the epoch) at which it was sure that what had been due in the
                queue for five minutes had been delivered. A hop that had ended before is over; one that ended after it
                may be late because its consumer was away, and lasts for the outage that the topology tolerates.
        """
        found = self._token(arrival.headers, now)
        if isinstance(found, Refused):
            return found
        checked, destination = found
        token = checked[0]
        hop = self._hop(arrival, now) if arrival.headers.hop else None
        if isinstance(hop, Refused):
            return hop
        judged_at = _judged_at(hop, now)
        untimely = self._untimely(token, hop, judged_at, now, kept_up_until)
        if untimely is not None:
            return untimely
        origin = _origin(checked, destination, arrival.headers.proof, arrival.properties, arrival.body)
        if isinstance(origin, Refused):
            return origin
        if hop is not None and not is_about(hop, origin):
            return _refuse(token, Reason.CONTENT, "the hop is for another message")
        return self._placed(arrival, origin, hop, judged_at, now)

    def token(self, jws: bytes, now: float) -> ProvenToken | None:
        """A token of which signature, claims, issuer and audience are right; None: `verify` says why it is not."""
        proven = self._proven(jws, now)
        return None if isinstance(proven, Refused) else proven

    def lasts_until(self, token: Token, route: Route, now: float) -> float | None:
        """Until when a message that comes straight from its publisher is in time.

        Args:
            token: of the message.
            route: what the topology says about it.
            now: seconds since the epoch.

        Returns:
            `Accepted.valid_until`; None: it is not in time now, and `verify` says why.
        """
        claims, leeway = token.claims, self._leeway
        end = claims.issued_at + route.lifetime_seconds + leeway
        if now > claims.expires_at + leeway or claims.issued_at > now + leeway or now > end:
            return None
        return end

    def authenticate(
        self, headers: TokenHeaders, properties: SignedProperties, body: bytes | bytearray | memoryview, now: float
    ) -> Origin | Refused:
        """Whose message it is, wherever it is found and however old it is: for the router, and for people.

        Token, claims, issuer, audience and content are checked; times, route and permission are not.
        """
        found = self._token(headers, now)
        if isinstance(found, Refused):
            return found
        return _origin(*found, headers.proof, properties, body)

    def is_over(self, origin: Origin, moment: float) -> bool:
        """Whether a message was too old at a moment (seconds since the epoch), by its token or by its type.

        What no message type of this topology fits has no lifetime but its token's.
        """
        claims = origin.token.claims
        route = self._policy.route(*origin.destination)
        ends = claims.expires_at if route is None else min(claims.expires_at, claims.issued_at + route.lifetime_seconds)
        return moment > ends + self._leeway

    def _token(self, headers: TokenHeaders, now: float) -> tuple[ProvenToken, Destination] | Refused:
        if len(headers.jws) != 1:
            if headers.jws:
                return Refused(Reason.TOKEN_DUPLICATE, f"letrade-jws is there {len(headers.jws)} times")
            return Refused(Reason.TOKEN_MISSING, "there is no letrade-jws")
        if len(headers.to) != 1:
            return Refused(Reason.TOKEN_MALFORMED, f"letrade-to is there {len(headers.to)} times")
        jws, to = headers.jws[0], headers.to[0]
        if jws is None or to is None:
            return Refused(Reason.TOKEN_MALFORMED, "letrade-jws or letrade-to is neither long string nor binary")
        destination = parse_to(to)
        if isinstance(destination, Malformed):
            return Refused(Reason.TOKEN_MALFORMED, destination.why)
        proven = self._proven(jws, now)
        return proven if isinstance(proven, Refused) else (proven, destination)

    def _proven(self, jws: bytes, now: float) -> ProvenToken | Refused:
        known = self._cache.get(jws)
        if known is not None and not known[1].is_forgotten(now):
            self._cache.move_to_end(jws)
            return known
        checked = self._check(jws, now)
        if isinstance(checked, Refused):
            return checked
        if checked.tree is not None:  # a token of one message is not seen again
            self._cache[jws] = checked
            if len(self._cache) > self._cached_tokens:
                self._cache.popitem(last=False)
        return checked

    def _check(self, jws: bytes, now: float) -> ProvenToken | Refused:
        """The checks that are the same for every message of a batch; with the token, its key's validity."""
        compact = parse_compact(jws)
        if isinstance(compact, Malformed):
            return Refused(Reason.TOKEN_MALFORMED, f"the token is malformed: {compact.why}")
        header = compact.header
        key = self._keys.verifying_key(header.kid, now)
        if key is None:
            return Refused(Reason.KEY_UNKNOWN, f"the key {header.kid} is unknown", hold=True)
        if header.alg != key.algorithm:
            why = f"the key {key.kid} signs with {key.algorithm} and nothing else"
            return Refused(Reason.ALGORITHM, why, kid=key.kid)
        if header.typ != MESSAGE_TYP:
            return Refused(Reason.TYPE, f"the token is not of the type {MESSAGE_TYP}", kid=key.kid)
        if not signature_holds(key.key, compact.signature, compact.signing_input):
            return Refused(Reason.SIGNATURE, f"the signature is not of the key {key.kid}", kid=key.kid)
        claims = parse_message_claims(compact.payload)
        if isinstance(claims, Malformed):
            return Refused(Reason.CLAIMS, f"the claims are malformed: {claims.why}", kid=key.kid)
        if claims.issuer != key.issuer or key.role is not Role.SERVICE:
            return Refused(Reason.ISSUER, f"the key {key.kid} does not belong to the token's issuer", kid=key.kid)
        token = Token(key.kid, claims)
        if key.validity.is_retired(claims.issued_at):
            return _refuse(token, Reason.ISSUER, f"the key {key.kid} was retired when the token was signed")
        if claims.audience != self._policy.audience:
            return _refuse(token, Reason.AUDIENCE, "the token is for another environment, topology or vhost")
        tree = None if claims.count == 1 else ProvenTree(claims.root, claims.count)
        return ProvenToken(token, key.validity, tree)

    def _hop(self, arrival: Arrival, now: float) -> HopClaims | Refused:
        rules = HopRules(self._keys, self._policy.audience, self._policy.service, arrival.queue, self._policy.movers)
        return verify_hop(arrival.headers.hop, rules, now)

    def _untimely(
        self, token: Token, hop: HopClaims | None, judged_at: float, now: float, kept_up_until: float
    ) -> Refused | None:
        claims, leeway = token.claims, self._leeway
        if judged_at > claims.expires_at + leeway:
            late = judged_at - claims.expires_at
            return _refuse(token, Reason.EXPIRED, f"the token had expired {late:.0f} s before")
        if hop is not None:
            over = self._over(hop, now, kept_up_until)
            if over:
                return _refuse(token, Reason.EXPIRED, over)
        issued_at = claims.issued_at if hop is None else max(claims.issued_at, hop.issued_at)
        if issued_at > now + leeway:
            why = f"it was signed {issued_at - now:.0f} s in the future; a clock is wrong"
            return _refuse(token, Reason.NOT_YET_VALID, why)
        return None

    def _over(self, hop: HopClaims, now: float, kept_up_until: float) -> str:
        """Why a hop is not good any more; empty: it is."""
        if hop.role is HopRole.SELF and hop.expires_at == hop.issued_at:
            return "the hop is that of a dead letter; going back takes an operator's hop"
        end = hop.expires_at + self._leeway
        if now <= end:
            return ""
        late = f"the hop had expired {now - hop.expires_at:.0f} s before"
        if kept_up_until > end:
            return late
        return late if now > end - self._tolerance + self._outage else ""

    def _placed(self, arrival: Arrival, origin: Origin, hop: HopClaims | None, judged_at: float, now: float) -> Verdict:
        """Whether this message may be here, and may be at all."""
        token, destination = origin.token, origin.destination
        if hop is None and (arrival.exchange, arrival.routing_key) != destination:
            return _refuse(token, Reason.DESTINATION, "it arrived elsewhere than it was published, without a hop")
        route = self._policy.route(*destination)
        if route is None:
            why = "no message type of this topology has its exchange and routing key"
            return _refuse(token, Reason.DESTINATION, why, hold=True)
        if not self._policy.reaches(route, arrival.queue):
            return _refuse(token, Reason.DESTINATION, f"the topology does not route {route.message_type} to this queue")
        if token.claims.issuer not in route.publishers:
            why = f"{token.claims.issuer} may not publish {route.message_type}"
            return _refuse(token, Reason.NOT_ALLOWED, why)
        if arrival.headers.has_copies:
            return _refuse(token, Reason.NOT_ALLOWED, "CC is not allowed")
        end = token.claims.issued_at + route.lifetime_seconds + self._leeway
        if judged_at > end:
            why = f"{route.message_type} lives {route.lifetime_seconds:g} s, and it is {judged_at - end:.0f} s too old"
            return _refuse(token, Reason.LIFETIME, why)
        if hop is not None:  # late or not: for as long as a hop is good by itself
            end = max(hop.expires_at + self._leeway, now + self._tolerance)
        return Accepted(origin, route, hop, end)


def _judged_at(hop: HopClaims | None, now: float) -> float:
    """The moment at which the lifetime had to last: a retry came in time if the first attempt did.

    Of what was moved the time that the move took does not count.
    """
    if hop is None:
        return now
    match hop.role:
        case HopRole.SELF:
            return hop.first_failure
        case HopRole.REPLAY:
            return hop.issued_at
        case HopRole.MOVE:  # what waits on after the move grows older as any other, unless it has failed before
            return hop.issued_at if hop.attempt else hop.issued_at + max(0.0, now - hop.expires_at)
        case _:
            assert_never(hop.role)


def _origin(
    checked: ProvenToken,
    destination: Destination,
    proofs: Sequence[bytes | None],
    properties: SignedProperties,
    body: bytes | bytearray | memoryview,
) -> Origin | Refused:
    token, _, tree = checked
    leaf = leaf_hash(SignableMessage(destination.exchange, destination.routing_key, properties, body))
    if tree is None:
        if proofs:
            return _refuse(token, Reason.CONTENT, "there is a letrade-proof, and the token is of one message")
        index, holds = 0, compare_digest(leaf, token.claims.root)
    else:
        if len(proofs) != 1 or proofs[0] is None:
            return _refuse(token, Reason.CONTENT, "there is not exactly one letrade-proof, a long string")
        proof = parse_proof(proofs[0])
        if isinstance(proof, Malformed):
            return _refuse(token, Reason.CONTENT, proof.why)
        index = proof.leaf_index
        if not tree.fits(index, proof.path):
            return _refuse(token, Reason.CONTENT, "letrade-proof does not fit the batch")
        holds = tree.holds(leaf, index, proof.path)
    if not holds:
        why = "it is not the message that was signed: body, exchange, routing key or a property differs"
        return _refuse(token, Reason.CONTENT, why)
    return Origin(token, leaf, index, destination)


def is_about(hop: HopClaims, origin: Origin) -> bool:
    """Whether a hop is for this message, published where it was."""
    if not compare_digest(hop.leaf, origin.leaf):
        return False
    exchange, routing_key = origin.destination
    try:
        return (exchange.decode(), routing_key.decode()) == (hop.exchange, hop.routing_key)
    except UnicodeDecodeError:
        return False


def _refuse(token: Token, reason: Reason, detail: str, *, hold: bool = False) -> Refused:
    return Refused(reason, detail, hold, token.claims.issuer, token.kid)
