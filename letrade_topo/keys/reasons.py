"""The words for why a message is refused, in the order in which the checks are made.

They are labels of metrics, fields of log lines and headers of dead letters, so they never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a message is refused; the first check that fails names it."""

    TOKEN_MISSING = "token_missing"  # noqa: S105  # no password
    TOKEN_DUPLICATE = "token_duplicate"  # noqa: S105  # no password
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105  # no password
    KEY_UNKNOWN = "key_unknown"
    ALGORITHM = "algorithm"
    TYPE = "type"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    HOP_MALFORMED = "hop_malformed"
    HOP_SIGNATURE = "hop_signature"
    HOP_ROLE = "hop_role"
    HOP_QUEUE = "hop_queue"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CONTENT = "content"
    DESTINATION = "destination"
    NOT_ALLOWED = "not_allowed"
    LIFETIME = "lifetime"
    REPEAT = "repeat"
    CLAIM_MISSING = "claim_missing"
    CLAIM_ALTERED = "claim_altered"
    DECRYPT = "decrypt"
    ENVELOPE = "envelope"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True)
class Refused:
    """A message is refused.

    Args:
        reason: the word.
        detail: what is wrong, with which figures; never holds a token or a part of the message.
        hold: a rotation or a roll-out may be under way: keep the delivery unacknowledged for a while
            and check again, before it counts as refused.
        issuer: whose token it is, if the signature holds.
        kid: the key that the token names, if it is known.
    """

    reason: Reason
    detail: str
    hold: bool = False
    issuer: str = ""
    kid: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
