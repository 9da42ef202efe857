"""Dead letters whose bodies lie in the object store: until when, and whether they are still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from letrade_topo.claims.store import ObjectStore, StoreUnavailable, StoreUnusable
from letrade_topo.messages.claim import Claim, NoClaim, check_object, is_stub, parse_claim
from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.queues.content import Properties

NEAR_END_SHARE: Final = 0.1
"""Of the retention: what is kept for less is near its end. Of 30 days, the last three."""


@dataclass(frozen=True, slots=True)
class ClaimedBody:
    """Where the body of a letter lies, as its stub says.

    Args:
        claim: what it says.
        near_end_at: from when on little time is left, in seconds since the epoch.
    """

    claim: Claim
    near_end_at: float

    def is_near_end(self, now: float) -> bool:
        """Whether the object is deleted soon, or may be already."""
        return now >= self.near_end_at

    def seconds_left(self, now: float) -> float:
        """How long it is kept at least; below 0 when that is over."""
        return self.claim.expires - now


def claimed_body(properties: Properties, body: bytes, claim_check: ClaimCheck | None) -> ClaimedBody | None:
    """Where the body of a letter lies; None: in the letter, or nowhere that can be read."""
    if not is_stub(properties.text("content_type")):
        return None
    claim = parse_claim(body)
    if isinstance(claim, NoClaim):
        return None
    retention = ClaimCheck().retention if claim_check is None else claim_check.retention
    return ClaimedBody(claim, claim.expires - NEAR_END_SHARE * retention.seconds)


def state_of(claim: Claim, claim_check: ClaimCheck | None) -> str:
    """Whether an object is there, in words for people."""
    if claim_check is None:
        return "the topology has no `claim_check`, so nobody can say whether it is there"
    try:
        size = ObjectStore(claim_check).size_of(claim.object)
    except (StoreUnavailable, StoreUnusable) as error:
        return f"nobody can say whether it is there: {error.what}"
    if size is None:
        return "not there any more"
    return "still there" if size == claim.size else f"there, but with {size:,} bytes: it was altered"


def fetched(claim: Claim, claim_check: ClaimCheck | None) -> bytes | str:
    """The object, if it is the one that was signed; else why not."""
    if claim_check is None:
        return "the topology has no `claim_check`"
    if claim.size > claim_check.max_size.bytes:
        return f"it has {claim.size:,} bytes, and `claim_check.max_size` is {claim_check.max_size}"
    try:
        found = ObjectStore(claim_check).get(claim.object, claim.size)
    except (StoreUnavailable, StoreUnusable) as error:
        return str(error)
    bad = check_object(claim, found)
    return (found or b"") if bad is None else bad.why
