"""The claim check on the wire: a small body, the stub, stands for a large one that lies in an object store.

    content_type: application/vnd.letrade.claim+json
    {"object": path in the store, "sha256": hex, "size": bytes, "expires": seconds since the epoch,
     "content_type": that of the message, where it has one}

Only agents write it, and the message's token covers it. It does not know how an object is read or written.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

from letrade_topo.keys.reasons import Reason
from letrade_topo.keys.strict_json import NotAnObject, parse_object
from letrade_topo.model.topology import Topology

CONTENT_TYPE: Final = b"application/vnd.letrade.claim+json"
RANDOM_BYTES: Final = 16
"""In the name of an object: it cannot be guessed. It is no secret either: whoever reads the queue reads it."""
LONGEST_STUB: Final = 4096

_MEMBERS: Final = frozenset(("object", "sha256", "size", "expires", "content_type"))
_NAME: Final = re.compile(r"[^/]+/[^/]+/[^/]+/[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9a-f]{32}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DOTS: Final = re.compile(r"\.+")


class Claim(NamedTuple):
    """What a stub says.

    Args:
        object: its path in the store.
        sha256: of its content, in hexadecimal digits.
        size: of its content, in bytes.
        expires: until when it is kept at least, in seconds since the epoch.
        content_type: the message's own; None: it has none.
    """

    object: str
    sha256: str
    size: int
    expires: int
    content_type: bytes | None = None

    def encode(self) -> bytes:
        """The body of the stub."""
        said = {"object": self.object, "sha256": self.sha256, "size": self.size, "expires": self.expires}
        if self.content_type is not None:  # each byte is a character: nothing that a client may send is lost
            said["content_type"] = self.content_type.decode("latin-1")
        return json.dumps(said, separators=(",", ":")).encode()


class NoClaim(NamedTuple):
    """A body is not a stub that an agent made.

    Args:
        why: in words.
    """

    why: str


class BadObject(NamedTuple):
    """What lies under a claim's name is not what was signed.

    Args:
        reason: the word.
        why: in words.
    """

    reason: Reason
    why: str


def check_object(claim: Claim, found: bytes | None) -> BadObject | None:
    """Compare what was found under a claim's name with what the claim says; takes a pass over all bytes.

    Args:
        claim: what the stub says.
        found: the object, or more than `size` bytes of it; None: there is none.
    """
    if found is None:
        return BadObject(Reason.CLAIM_MISSING, f"there is no object {claim.object} in the store")
    if len(found) != claim.size:
        size = str(len(found)) if len(found) < claim.size else f"more than {claim.size}"
        return BadObject(Reason.CLAIM_ALTERED, f"the object {claim.object} has {size} bytes instead of {claim.size}")
    if sha256(found).hexdigest() != claim.sha256:
        return BadObject(Reason.CLAIM_ALTERED, f"the object {claim.object} has another digest than signed")
    return None


def is_stub(content_type: bytes | None) -> bool:
    """Whether a message says of itself that its body lies in the object store."""
    if content_type is None or len(content_type) < len(CONTENT_TYPE):
        return False
    return content_type.partition(b";")[0].strip().lower() == CONTENT_TYPE


def parse_claim(body: bytes) -> Claim | NoClaim:
    """Read the body of a stub."""
    if len(body) > LONGEST_STUB:
        return NoClaim(f"a stub has at most {LONGEST_STUB} bytes, and this one {len(body)}")
    try:
        document = parse_object(body)
    except NotAnObject as error:
        return NoClaim(str(error))
    if unknown := document.keys() - _MEMBERS:
        return NoClaim(f"it has unknown members: {len(unknown)}")
    match document:
        case {"object": str() as name, "sha256": str() as sha256, "size": int() as size, "expires": int() as expires}:
            pass
        case _:
            return NoClaim("`object`, `sha256`, `size` or `expires` is missing, or of another type")
    content_type = document.get("content_type")
    if not _NAME.fullmatch(name) or any(_DOTS.fullmatch(part) for part in name.split("/")):
        return NoClaim("`object` is not a name that agents make")
    if not _SHA256.fullmatch(sha256) or size < 1 or expires < 1 or isinstance(size, bool) or isinstance(expires, bool):
        return NoClaim("`sha256`, `size` or `expires` is out of range")
    if content_type is None:
        return Claim(name, sha256, size, expires)
    try:
        return Claim(name, sha256, size, expires, str(content_type).encode("latin-1"))
    except UnicodeEncodeError:
        return NoClaim("`content_type` has a character that is no byte")


def object_prefix(topology: Topology, service: str) -> str:
    """Where the objects of a service lie: `environment/topology/service`, so that one store can serve many."""
    return "/".join(_segment(part) for part in (topology.environment, topology.name, service))


def object_name(prefix: str, now: float, random: bytes) -> str:
    """The path of a new object: below the day, by which it is deleted one day; nothing of it comes from a client.

    Args:
        prefix: of the service.
        now: seconds since the epoch.
        random: `RANDOM_BYTES` of them.
    """
    return f"{prefix}/{datetime.fromtimestamp(now, UTC):%Y-%m-%d}/{random.hex()}"


def _segment(part: str) -> str:
    quoted = quote(part, safe="") or "-"
    return quoted.replace(".", "%2E") if _DOTS.fullmatch(quoted) else quoted
