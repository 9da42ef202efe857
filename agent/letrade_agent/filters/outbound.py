"""What the client publishes: declared, small enough, an envelope, its payload's schema; then encrypted and signed.

Every check but the size is governed by the exchange's mode: `enforce` refuses, `warn` counts and forwards, `off`
forwards. The size limit, the stripping of reserved headers, and that nobody but an agent makes a claim stub hold in
every mode; what passes unjudged is neither encrypted nor claim-checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from letrade_agent.amqp.basic import Publish
from letrade_agent.amqp.faults import ReplyCode
from letrade_agent.amqp.frames import FRAME_OVERHEAD
from letrade_agent.amqp.header_table import HeaderTable
from letrade_agent.amqp.properties import ContentHeader, with_body_size
from letrade_agent.filters.claims import Claims, stub_for, without_claim
from letrade_agent.filters.destinations import Destination, Destinations
from letrade_agent.filters.sealing import is_signed, missing_properties, plain, restored, sign_batch, strip_reserved
from letrade_agent.filters.verdicts import Approved, Refusal, ToStore
from letrade_agent.filters.words import Word, schema_text
from letrade_agent.measures import Measures
from letrade_topo.keys.claims import JTI_BYTES, LARGEST_BATCH
from letrade_topo.keys.headers import COPY_HEADERS
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.policy import Route
from letrade_topo.keys.signer import Signer
from letrade_topo.messages.claim import CONTENT_TYPE, is_stub
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER, is_encrypted, named
from letrade_topo.messages.encryption import FieldEncryption, MissingKey, SentKeys
from letrade_topo.messages.envelope import Envelope, EnvelopeProblem, EnvelopeProperties, check_envelope
from letrade_topo.model.security import Enforcement

_PUBLISH = "publish"
_RESERVED_TYPE = f"the content type {CONTENT_TYPE.decode()} is reserved: only agents make claim stubs"
_RESERVED_MEMBER = f"the envelope has a member `{ENCRYPTED_MEMBER}`, which only agents write"


@dataclass(frozen=True, slots=True)
class Signing:
    """What signing needs.

    Args:
        key_at: the key to sign with at a moment (seconds since the epoch); None: there is none.
        audience: of every token.
        random_bytes: gives so many random bytes.
        clock: seconds, for measuring alone.
    """

    key_at: Callable[[float], SigningKey | None]
    audience: str
    random_bytes: Callable[[int], bytes]
    clock: Callable[[], float]


class OutboundFilter:
    """`Outbound` of one service.

    Args:
        service: its name.
        destinations: what is decided by exchange and routing key.
        signing: how messages are signed.
        encryption: of sensitive fields.
        sent: the content keys of what may be returned.
        measures: what is counted.
        claims: how bodies over that size go to the object store; None: they are refused.
        message_size: largest body on the wire, in bytes.
        upstream_frame_max: of the connection to the broker, in bytes; 0: unlimited.
    """

    def __init__(
        self,
        service: str,
        destinations: Destinations,
        signing: Signing,
        encryption: FieldEncryption,
        sent: SentKeys,
        measures: Measures,
        *,
        claims: Claims | None = None,
        message_size: int,
        upstream_frame_max: int,
    ) -> None:
        self._service = service
        self._find = destinations.find
        self._signing = signing
        self._encryption = encryption
        self._sent = sent
        self._signer: Signer | None = None
        self._algorithm = ""
        self._measures = measures
        self._claims = claims
        self._message_size = message_size
        self._largest_body = message_size if claims is None else claims.max_size
        self._largest_header = upstream_frame_max - FRAME_OVERHEAD if upstream_frame_max else None

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Decide by destination, announced size and copies. See `Outbound.admit`."""
        destination = self._find(publish.exchange, publish.routing_key)
        refusal = destination.refusal
        if refusal is not None:
            refusal = self._unless_warned(destination, refusal)
            if refusal is not None:
                return refusal
        largest = self._message_size if destination.route is None else self._largest_body
        if header.body_size > largest:
            text = f"message size {header.body_size} is larger than configured max size {largest}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, destination.label)
        if is_stub(header.content_type):
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.CLAIM_STUB, _RESERVED_TYPE, destination.label)
        table = header.encoded_headers
        if table is not None and b"CC" in table and not destination.unverified_as and has_copies(table):
            text = "the headers CC and BCC are not allowed: a copy would reach a queue past what its token says"
            return self._unless_warned(destination, Refusal(ReplyCode.ACCESS_REFUSED, Word.COPIES, text))
        return None

    def approve(self, publish: Publish, header: ContentHeader, body: bytes, now: float) -> Approved | ToStore | Refusal:
        """Decide by envelope and schema, encrypt, and tell what is too large for the wire. See `Outbound.approve`."""
        destination = self._find(publish.exchange, publish.routing_key)
        table = header.encoded_headers
        headers = None if table is None else strip_reserved(table)
        route, schema = destination.route, destination.schema
        if route is None or schema is None:
            if destination.refusal is not None and destination.mode is not Enforcement.WARN:
                return destination.refusal  # nobody asked `admit`
            if destination.unverified_as:
                self._measures.unverified[_PUBLISH, destination.unverified_as] += 1
            return Approved(publish, header, body, destination.label, None, headers)
        checked = check_envelope(
            body, EnvelopeProperties(header.message_id, header.timestamp, header.app_id), self._service
        )
        refusal, added, wire = None, None, body
        if isinstance(checked, EnvelopeProblem):
            refusal = Refusal(ReplyCode.PRECONDITION_FAILED, Word.ENVELOPE, checked.why)
        elif ENCRYPTED_MEMBER in checked.document:
            refusal = Refusal(ReplyCode.PRECONDITION_FAILED, Word.ENVELOPE, _RESERVED_MEMBER)
        else:
            problems = schema.check(checked.payload)
            if problems:
                text = schema_text(route.message_type, problems)
                refusal = Refusal(ReplyCode.PRECONDITION_FAILED, Word.SCHEMA, text)
            if missing_properties(header):
                added = checked.properties
        if refusal is not None:
            refusal = self._unless_warned(destination, refusal)
            if refusal is not None:
                return refusal
        if destination.sensitive is not None and isinstance(checked, Envelope):
            hidden = self._hidden(body, checked, destination, route, now)
            if isinstance(hidden, Refusal):
                return hidden
            wire = hidden
        must_be_signed = destination.mode is Enforcement.ENFORCE
        size = None if wire is body else len(wire)
        approved = Approved(
            publish,
            header,
            wire,
            destination.label,
            route.lifetime_seconds,
            headers,
            added,
            must_be_signed,
            size,
            destination.priority,
        )
        return approved if len(wire) <= self._message_size else self._to_store(approved, now)

    def _to_store(self, approved: Approved, now: float) -> ToStore | Refusal:
        """Where the body is to lie. What could not be signed is not stored: nobody would fetch it."""
        if self._claims is None:  # nobody asked `admit`
            text = f"message size {len(approved.body)} is larger than configured max size {self._message_size}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, approved.destination)
        if self._signing.key_at(now) is None:
            return self._no_key()._replace(destination=approved.destination)
        return self._claims.to_store(approved, now)

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """The stub of what is stored. See `Outbound.stub`."""
        return stub_for(stored, sha256)

    def _hidden(
        self, body: bytes, envelope: Envelope, destination: Destination, route: Route, now: float
    ) -> bytes | Refusal:
        """The body with its sensitive fields encrypted; as it is where mode `warn` has to let it go so."""
        sensitive = destination.sensitive
        pointers = () if sensitive is None else sensitive.present(envelope.payload)
        if not pointers or ENCRYPTED_MEMBER in envelope.document:
            return body
        hidden = self._encryption.encrypt(body, envelope.message_id, pointers, route.listeners, now)
        if isinstance(hidden, MissingKey):
            text = f"{_who(hidden, route.message_type)} no key to encrypt {named(pointers)} to"
            refusal = Refusal(ReplyCode.PRECONDITION_FAILED, Word.ENCRYPT, f"{text}: see `letrade-topo keys show`")
            return self._unless_warned(destination, refusal) or body
        if len(hidden) > self._largest_body:
            size = f"message size {len(hidden)} ({len(body)} before its sensitive fields were encrypted)"
            text = f"{size} is larger than configured max size {self._largest_body}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, destination.label)
        return hidden

    def seal(self, batch: Sequence[Approved], now: float) -> Sequence[bytes | Refusal]:
        """Write the headers. See `Outbound.seal`."""
        signer = self._signer_at(now)
        to_sign = [] if signer is None else [one for one in batch if one.lifetime_seconds is not None]
        signed = self._sign(signer, to_sign, now) if signer is not None and to_sign else []
        if len(signed) == len(batch):
            return [self._fitting(payload) for payload in signed]
        remaining = iter(signed)
        sealed: list[bytes | Refusal] = []
        for approved in batch:
            if approved.lifetime_seconds is None:
                sealed.append(self._fitting(plain(approved)))
            elif signer is not None:
                sealed.append(self._fitting(next(remaining)))
            else:
                sealed.append(self._unsigned(approved))
        return sealed

    def restore(self, header: ContentHeader, body: bytes) -> tuple[bytes, bytes]:
        """Take off what was added, put back what was encrypted. See `Outbound.restore`."""
        if is_stub(header.content_type) and is_signed(header):
            return without_claim(restored(header), body), b""
        own = self._sent.restore(body)
        if own is None:
            if not is_encrypted(body) or not is_signed(header):
                return restored(header), body
            own = b""
        return with_body_size(restored(header), len(own)), own

    def _signer_at(self, now: float) -> Signer | None:
        key = self._signing.key_at(now)
        if key is None:
            return None
        if self._signer is None or self._signer.kid != key.kid:
            self._signer = Signer(key, self._signing.audience)
            self._algorithm = key.algorithm.value
        return self._signer

    def _sign(self, signer: Signer, batch: Sequence[Approved], now: float) -> list[bytes]:
        """One signature for every 1024 messages."""
        signing, payloads, observe = self._signing, [], self._measures.sign_seconds[self._algorithm].observe
        for start in range(0, len(batch), LARGEST_BATCH):
            jti, began = signing.random_bytes(JTI_BYTES), signing.clock()
            payloads += sign_batch(signer, batch[start : start + LARGEST_BATCH], int(now), jti)
            observe(signing.clock() - began)
        return payloads

    def _unsigned(self, approved: Approved) -> bytes | Refusal:
        if not approved.must_be_signed:
            self._measures.warned[_PUBLISH, Word.NO_KEY] += 1
            return self._fitting(plain(approved))
        return self._no_key()

    def _no_key(self) -> Refusal:
        text = f"the agent has no key to sign messages of {self._service} with: see `letrade-topo keys show`"
        return Refusal(ReplyCode.PRECONDITION_FAILED, Word.NO_KEY, text)

    def _fitting(self, payload: bytes) -> bytes | Refusal:
        largest = self._largest_header
        if largest is None or len(payload) <= largest:
            return payload
        text = f"content header of {len(payload)} bytes with its token, and a frame to the broker holds {largest}"
        return Refusal(ReplyCode.PRECONDITION_FAILED, Word.FRAME_SIZE, text)

    def _unless_warned(self, destination: Destination, refusal: Refusal) -> Refusal | None:
        if destination.mode is not Enforcement.WARN:
            return refusal._replace(destination=destination.label)
        self._measures.warned[_PUBLISH, refusal.reason] += 1
        return None


def has_copies(table: bytes) -> bool:
    """Whether there is a header that has the broker copy the message.

    Raises:
        AmqpFault: SYNTAX_ERROR, the table is malformed.
    """
    return any(name in COPY_HEADERS for name in HeaderTable.parse(table))


def _who(missing: MissingKey, message_type: str) -> str:
    if missing.owner:
        return f"{missing.owner}, which consumes {message_type}, has"
    return f"nobody consumes {message_type}, and for dead letters there is"
