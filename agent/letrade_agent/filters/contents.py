"""The body of a delivery whose token is right: sensitive fields put back, an envelope of its issuer, its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from letrade_agent.filters.words import schema_text
from letrade_topo.keys.reasons import Reason
from letrade_topo.messages.decryption import FieldDecryption, Opened, Unreadable
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER, EncryptionContext, is_encrypted, named
from letrade_topo.messages.envelope import Envelope, EnvelopeProblem, EnvelopeProperties, check_envelope
from letrade_topo.messages.json_text import NotJson, parse_json
from letrade_topo.messages.schema import PayloadSchema
from letrade_topo.messages.spans import field_set


class CheckedBody(NamedTuple):
    """What became of a body.

    Args:
        body: with its fields put back; as delivered where that cannot be done, or nothing was encrypted.
        reason: why it is refused; None: it is right.
        why: in words, without a part of what is sensitive.
        differing: of a right one, the AMQP properties that say something else than its envelope.
    """

    body: bytes
    reason: Reason | None = None
    why: str = ""
    differing: tuple[str, ...] = ()


class Contents:
    """Checks bodies for one service.

    Args:
        decryption: puts encrypted fields back.
        schemas: of message types, by name.

    Attributes:
        decryption, schemas: as given.
    """

    def __init__(self, decryption: FieldDecryption, schemas: Mapping[str, PayloadSchema]) -> None:
        self.decryption = decryption
        self.schemas = schemas

    def check(
        self, body: bytes, properties: EnvelopeProperties, issuer: str, message_type: str, now: float
    ) -> CheckedBody:
        """Check a body.

        Args:
            body: the bytes on the wire.
            properties: those of the AMQP properties that repeat something of the envelope.
            issuer: whose message it is, by its token.
            message_type: which one, by where it was published.
            now: seconds since the epoch.
        """
        # the envelope's id, which the token proves with the body: the property may be a library's own
        binding = EncryptionContext(issuer, _message_id(body) if is_encrypted(body) else "")
        opened = self.decryption.decrypt(body, binding, now)
        if isinstance(opened, Unreadable):
            return CheckedBody(body, Reason.DECRYPT, opened.why)
        if opened is not None:
            body = opened.body
        checked = check_envelope(body, properties, issuer, sent_by="the token's issuer")
        if isinstance(checked, EnvelopeProblem):
            return CheckedBody(body, Reason.ENVELOPE, checked.why)
        misplaced = _misplaced(checked, opened)
        if misplaced:
            return CheckedBody(body, Reason.DECRYPT, misplaced)
        problems = self.schemas[message_type].check(checked.payload)
        if problems:
            return CheckedBody(body, Reason.SCHEMA, schema_text(message_type, problems))
        return CheckedBody(body, differing=checked.differing)


def _message_id(body: bytes) -> str:
    """What the envelope of a body says; empty where it is none, which nothing is bound to."""
    parsed = parse_json(body)
    document = None if isinstance(parsed, NotJson) else parsed.value
    message_id = document.get("message_id") if isinstance(document, dict) else None
    return message_id if isinstance(message_id, str) else ""


def _misplaced(envelope: Envelope, opened: Opened | None) -> str:
    """What is encrypted stands where agents put it, or the message was not made by one."""
    if ENCRYPTED_MEMBER in envelope.document:
        return f"{named(())} cannot be decrypted: `{ENCRYPTED_MEMBER}` is not where agents put it"
    if opened is not None and field_set(opened.pointers).present(envelope.payload) != opened.pointers:
        return f"{named(opened.pointers)} cannot be decrypted: not each of them has a place in the payload"
    return ""
