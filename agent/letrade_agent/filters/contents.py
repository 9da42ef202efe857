"""The body of a delivery whose token is right: sensitive fields put back, an envelope of its issuer, its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from letrade_agent.filters.words import schema_text
from letrade_topo.keys.reasons import Reason
from letrade_topo.messages.decryption import FieldDecryption, Opened, Unreadable
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER, Binding, named
from letrade_topo.messages.envelope import Envelope, EnvelopeProblem, EnvelopeProperties, check_envelope
from letrade_topo.messages.schema import PayloadSchema
from letrade_topo.messages.spans import field_set


class Content(NamedTuple):
    """What became of a body.

    Args:
        body: with its fields put back; as delivered where that cannot be done, or nothing was encrypted.
        reason: why it is refused; None: it is right.
        why: in words, without a part of what is sensitive.
    """

    body: bytes
    reason: Reason | None = None
    why: str = ""


class Contents:
    """Checks bodies for one service.

    Args:
        decryption: puts encrypted fields back.
        schemas: of message types, by name.
    """

    def __init__(self, decryption: FieldDecryption, schemas: Mapping[str, PayloadSchema]) -> None:
        self._decryption = decryption
        self._schemas = schemas

    def check(self, body: bytes, properties: EnvelopeProperties, issuer: str, message_type: str, now: float) -> Content:
        """Check a body.

        Args:
            body: the bytes on the wire.
            properties: those of the AMQP properties that repeat something of the envelope.
            issuer: whose message it is, by its token.
            message_type: which one, by where it was published.
            now: seconds since the epoch.
        """
        message_id = (properties.message_id or b"").decode(errors="replace")
        opened = self._decryption.decrypt(body, Binding(issuer, message_id), now)
        if isinstance(opened, Unreadable):
            return Content(body, Reason.DECRYPT, opened.why)
        if opened is not None:
            body = opened.body
        checked = check_envelope(body, properties, issuer, sent_by="the token's issuer")
        if isinstance(checked, EnvelopeProblem):
            return Content(body, Reason.ENVELOPE, checked.why)
        misplaced = _misplaced(checked, opened)
        if misplaced:
            return Content(body, Reason.DECRYPT, misplaced)
        problems = self._schemas[message_type].check(checked.payload)
        if problems:
            return Content(body, Reason.SCHEMA, schema_text(message_type, problems))
        return Content(body)


def _misplaced(envelope: Envelope, opened: Opened | None) -> str:
    """What is encrypted stands where agents put it, or the message was not made by one."""
    if ENCRYPTED_MEMBER in envelope.document:
        return f"{named(())} cannot be decrypted: `{ENCRYPTED_MEMBER}` is not where agents put it"
    if opened is not None and field_set(opened.pointers).present(envelope.payload) != opened.pointers:
        return f"{named(opened.pointers)} cannot be decrypted: not each of them has a place in the payload"
    return ""
