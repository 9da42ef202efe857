"""Claim checks as filters see them: what is to be stored, the stub in its place, what a stub may refer to.

Where the store is, and how it is read and written, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from letrade_agent.filters.decisions import Approved, ToStore
from letrade_agent.filters.verdicts import Fetched
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.messages.claim import (
    CONTENT_TYPE,
    RANDOM_BYTES,
    Claim,
    NoClaim,
    check_object,
    object_name,
    object_prefix,
    parse_claim,
)
from letrade_topo.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Claims:
    """How the publishes of a service are claim-checked.

    Args:
        prefix: of the names of its objects.
        max_size: of a body, in bytes.
        retention_seconds: how long an object is kept at least.
        random_bytes: gives so many random bytes.
    """

    prefix: str
    max_size: int
    retention_seconds: float
    random_bytes: Callable[[int], bytes]

    def to_store(self, approved: Approved, now: float) -> ToStore:
        """Where a body goes, under a name that nobody can guess."""
        name = object_name(self.prefix, now, self.random_bytes(RANDOM_BYTES))
        return ToStore(approved, name, int(now + self.retention_seconds))


def claims_of(topology: Topology, service: str, random_bytes: Callable[[int], bytes]) -> Claims | None:
    """What a topology says about claim checks of a service; None: nothing."""
    claim_check = topology.claim_check
    if claim_check is None:
        return None
    prefix = object_prefix(topology, service)
    return Claims(prefix, claim_check.max_size.bytes, claim_check.retention.seconds, random_bytes)


def stub_for(stored: ToStore, digest: str) -> Approved:
    """The publish of a stub, in place of the one whose body is stored.

    Args:
        stored: that publish.
        digest: SHA-256 of the body, in hexadecimal digits.
    """
    approved = stored.approved
    header = approved.header
    body = Claim(stored.object, digest, len(approved.body), stored.expires, header.content_type).encode()
    payload = header.rewrite(replace={"content_type": CONTENT_TYPE}, body_size=len(body))
    return approved._replace(header=ContentHeader.parse(payload), body=body, wire_size=None, completed=())


def without_claim(payload: bytes, stub: bytes, body_size: int = 0) -> bytes:
    """The header of a message whose body is not its stub any more.

    Args:
        payload: of the content header.
        stub: the body that it came with.
        body_size: of the other body, in bytes.
    """
    claim = parse_claim(stub)
    content_type = claim.content_type if isinstance(claim, Claim) else None
    return ContentHeader.parse(payload).rewrite(replace={"content_type": content_type}, body_size=body_size)


def claim_from(stub: bytes, topology: Topology, issuer: str) -> Claim | NoClaim:
    """What a delivered stub refers to: an object of its issuer, not larger than agents take.

    Args:
        stub: the body.
        topology: with a claim check.
        issuer: whose message it is, by its token.
    """
    claim, allowed = parse_claim(stub), topology.claim_check
    if isinstance(claim, NoClaim) or allowed is None:
        return claim
    if not claim.object.startswith(object_prefix(topology, issuer) + "/"):
        return NoClaim(f"its object is not one of {issuer}")
    if claim.size > allowed.max_size.bytes:
        return NoClaim(f"its object has {claim.size} bytes, and claim_check.max_size is {allowed.max_size.bytes}")
    return claim


def compared(claim: Claim, found: bytes | None) -> Fetched:
    """What was found under a claim's name, as filters take it. Takes time: a pass over all bytes."""
    bad = check_object(claim, found)
    return Fetched(found or b"") if bad is None else Fetched(reason=bad.reason, why=bad.why)
