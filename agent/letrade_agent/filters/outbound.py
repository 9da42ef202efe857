"""What the client publishes: declared, small enough, an envelope, its payload's schema; then encrypted and signed.

Every check but the size is governed by the exchange's mode: `enforce` refuses, `warn` counts and forwards, `off`
forwards. The size limit, the stripping of reserved headers, and that nobody but an agent makes a claim stub hold in
every mode; what passes unjudged is neither encrypted nor claim-checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from letrade_agent.filters.claims import Claims, stub_for, without_claim
from letrade_agent.filters.decisions import Approved, Decision, Refusal, Sealable, ToStore, Whole
from letrade_agent.filters.destinations import DestinationRules, Destinations
from letrade_agent.filters.ordinary_publishes import OrdinaryPublishes
from letrade_agent.filters.sealing import (
    completed_members,
    is_signed,
    missing_properties,
    plain,
    restored,
    sign_batch,
    strip_reserved,
)
from letrade_agent.filters.words import Word, schema_text
from letrade_agent.measures import Measures
from letrade_agent.rehearsal import Place
from letrade_topo.amqp.basic import Publish, parse_publish
from letrade_topo.amqp.faults import AmqpFault, ReplyCode, readable
from letrade_topo.amqp.frames import FRAME_OVERHEAD
from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.properties import ContentHeader, with_body_size
from letrade_topo.keys.claims import JTI_BYTES, LARGEST_BATCH
from letrade_topo.keys.headers import COPY_HEADERS
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.policy import Route
from letrade_topo.keys.signer import Signer
from letrade_topo.messages.claim import CONTENT_TYPE, is_stub
from letrade_topo.messages.completion import Completion, Filling, complete, incomplete
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER, is_encrypted, named
from letrade_topo.messages.encryption import FieldEncryption, MissingKey, SentKeys
from letrade_topo.messages.envelope import (
    CLOCK_UNIT_MILLISECONDS,
    Checked,
    Envelope,
    EnvelopeProblem,
    EnvelopeProperties,
    check_envelope,
)
from letrade_topo.model.security import Enforcement

_PUBLISH = "publish"
_UUID_BYTES: Final = 16
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

    Attributes:
        message_size: as given.
        largest_body: the largest body that there may be, in bytes, over the object store too.
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
        self._ordinary = OrdinaryPublishes(service, destinations, message_size, encryption, measures)
        self._signing = signing
        self._encryption = encryption
        self._sent = sent
        self._signer: Signer | None = None
        self._signer_of = -1
        """The second since the epoch of which it is the signer."""
        self._algorithm = ""
        self._measures = measures
        self._claims = claims
        self.message_size: Final = message_size
        self.largest_body: Final = message_size if claims is None else claims.max_size
        self._largest_header = upstream_frame_max - FRAME_OVERHEAD if upstream_frame_max else None

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Decide by destination, announced size and copies. See `Outbound.admit`."""
        return self._at_first_sight(self._find(publish.exchange, publish.routing_key), header)[0]

    def _at_first_sight(
        self, destination: DestinationRules, header: ContentHeader
    ) -> tuple[Refusal | None, Sequence[Refusal]]:
        """What refuses a publish before its body is there, and what would, but for mode `warn`."""
        warned: list[Refusal] = []
        if destination.refusal is not None:
            if destination.mode is not Enforcement.WARN:
                return destination.refusal._replace(destination=destination.label), ()
            warned.append(destination.refusal)
        largest = self.message_size if destination.route is None else self.largest_body
        if header.body_size > largest:
            text = f"message size {header.body_size} is larger than configured max size {largest}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, destination.label), ()
        if is_stub(header.content_type):
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.CLAIM_STUB, _RESERVED_TYPE, destination.label), ()
        table = header.encoded_headers
        if table is not None and b"CC" in table and not destination.unverified_as and has_copies(table):
            text = "the headers CC and BCC are not allowed: a copy would reach a queue past what its token says"
            refusal = Refusal(ReplyCode.ACCESS_REFUSED, Word.COPIES, text, destination.label)
            if destination.mode is not Enforcement.WARN:
                return refusal, ()
            warned.append(refusal)
        return None, warned

    def decide(self, batch: Sequence[Whole], now: float) -> Sequence[Decision]:
        """Decide on whole publishes. See `Outbound.decide`."""
        ordinary = self._ordinary.find(batch, now)
        return [self._carefully(whole, now) if one is None else one for one, whole in zip(ordinary, batch, strict=True)]

    def _carefully(self, whole: Whole, now: float) -> Decision:
        method, payload, body = whole
        try:
            publish, header = parse_publish(method), ContentHeader.parse(payload)
            destination = self._find(publish.exchange, publish.routing_key)
            refusal, warned = self._at_first_sight(destination, header)
            if refusal is not None:
                return refusal
            for one in warned:
                self._warn(destination, publish, header, one)
            return self.approve(publish, header, body, now)
        except AmqpFault as fault:
            return fault

    def approve(self, publish: Publish, header: ContentHeader, body: bytes, now: float) -> Approved | ToStore | Refusal:
        """Decide by envelope and schema, encrypt, and tell what is too large for the wire. `admit` has let it through.

        Args:
            publish: where it goes.
            header: as the client sent it.
            body: likewise.
            now: seconds since the epoch.

        Raises:
            AmqpFault: SYNTAX_ERROR, the client's headers table is malformed.
        """
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
        checked, completed = self._read(header, body, destination, now)
        refusal, added, wire = None, None, completed.body
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
            refusal = self._unless_warned(destination, publish, header, refusal)
            if refusal is not None:
                return refusal
        if wire is not body and len(wire) > self.largest_body:
            return self._outgrown(wire, body, "its envelope was completed", destination)
        if destination.sensitive is not None and isinstance(checked, Envelope):
            hidden = self._hidden(wire, checked, destination, route, now)
            if isinstance(hidden, Refusal) and hidden.reason == Word.ENCRYPT:
                hidden = self._unless_warned(destination, publish, header, hidden) or wire
            if isinstance(hidden, Refusal):
                return hidden
            wire = hidden
        if isinstance(checked, Envelope):
            for name in checked.differing:
                self._measures.differing[_PUBLISH, name] += 1
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
            completed.members,
        )
        return approved if len(wire) <= self.message_size else self._to_store(approved, now)

    def _read(
        self, header: ContentHeader, body: bytes, destination: DestinationRules, now: float
    ) -> tuple[Checked, Completion]:
        """The envelope, completed where that is wanted and makes it right; else the body stays as it came."""
        properties = EnvelopeProperties(header.message_id, header.timestamp, header.app_id)
        if not destination.completes:
            return check_envelope(body, properties, self._service), Completion(body)
        new_id = str(UUID(bytes=self._signing.random_bytes(_UUID_BYTES), version=4))
        filling = Filling(header.message_id, new_id, int(now * CLOCK_UNIT_MILLISECONDS), self._service)
        completed = complete(body, filling)
        checked = check_envelope(completed.body, properties, self._service)
        return checked, completed if isinstance(checked, Envelope) else Completion(body)

    def _to_store(self, approved: Approved, now: float) -> ToStore | Refusal:
        """Where the body is to lie. What could not be signed is not stored: nobody would fetch it."""
        if self._claims is None:  # nobody asked `admit`
            text = f"message size {len(approved.body)} is larger than configured max size {self.message_size}"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, approved.destination)
        if self._signing.key_at(now) is None:
            return self._no_key()._replace(destination=approved.destination)
        return self._claims.to_store(approved, now)

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """The stub of what is stored. See `Outbound.stub`."""
        return stub_for(stored, sha256)

    def _hidden(
        self, body: bytes, envelope: Envelope, destination: DestinationRules, route: Route, now: float
    ) -> bytes | Refusal:
        """The body with its sensitive fields encrypted."""
        sensitive = destination.sensitive
        pointers = () if sensitive is None else sensitive.present(envelope.payload)
        if not pointers or ENCRYPTED_MEMBER in envelope.document:
            return body
        hidden = self._encryption.encrypt(body, envelope.message_id, pointers, route.listeners, now)
        if isinstance(hidden, MissingKey):
            text = f"{_who(hidden, route.message_type)} no key to encrypt {named(pointers)} to"
            return Refusal(ReplyCode.PRECONDITION_FAILED, Word.ENCRYPT, f"{text}: see `letrade-topo keys show`")
        if len(hidden) > self.largest_body:
            return self._outgrown(hidden, body, "its sensitive fields were encrypted", destination)
        return hidden

    def _outgrown(self, wire: bytes, body: bytes, what: str, destination: DestinationRules) -> Refusal:
        """It was admitted by its own size, and is larger now."""
        size = f"message size {len(wire)} ({len(body)} before {what})"
        text = f"{size} is larger than configured max size {self.largest_body}"
        return Refusal(ReplyCode.PRECONDITION_FAILED, Word.OVERSIZE, text, destination.label)

    def seal(self, batch: Sequence[Sealable], now: float) -> Sequence[bytes | Refusal]:
        """Write the headers. See `Outbound.seal`."""
        signer = self._signer_at(now)
        to_sign = [] if signer is None else [one for one in batch if one.lifetime_seconds is not None]
        signed = self._sign(signer, to_sign, now) if signer is not None and to_sign else []
        if len(signed) == len(batch):
            largest = self._largest_header
            if largest is None or max(map(len, signed), default=0) <= largest:
                return signed
            return [self._fitting(payload) for payload in signed]
        remaining = iter(signed)
        sealed: list[bytes | Refusal] = []
        for approved in batch:
            if isinstance(approved, Approved) and approved.lifetime_seconds is None:
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
            own = b"" if is_encrypted(body) and is_signed(header) else body
        own = incomplete(own, completed_members(header))
        return restored(header) if own is body else with_body_size(restored(header), len(own)), own

    def _signer_at(self, now: float) -> Signer | None:
        second = int(now)
        if second != self._signer_of:  # keys begin and end with a second
            self._signer_of = second
            key = self._signing.key_at(now)
            if key is None:
                self._signer = None
            elif self._signer is None or self._signer.kid != key.kid:
                self._signer = Signer(key, self._signing.audience)
                self._algorithm = key.algorithm.value
        return self._signer

    def _sign(self, signer: Signer, batch: Sequence[Sealable], now: float) -> list[bytes]:
        """One signature for every 1024 messages."""
        signing, payloads, observe = self._signing, [], self._measures.sign_seconds[self._algorithm].observe
        for start in range(0, len(batch), LARGEST_BATCH):
            jti, began = signing.random_bytes(JTI_BYTES), signing.clock()
            payloads += sign_batch(signer, batch[start : start + LARGEST_BATCH], int(now), jti)
            observe(signing.clock() - began)
        return payloads

    def _unsigned(self, approved: Sealable) -> bytes | Refusal:
        if isinstance(approved, Approved) and not approved.must_be_signed:
            publish = approved.publish
            self._warn(self._find(publish.exchange, publish.routing_key), publish, approved.header, self._no_key())
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

    def _unless_warned(
        self, destination: DestinationRules, publish: Publish, header: ContentHeader, refusal: Refusal
    ) -> Refusal | None:
        if destination.mode is not Enforcement.WARN:
            return refusal._replace(destination=destination.label)
        self._warn(destination, publish, header, refusal)
        return None

    def _warn(self, destination: DestinationRules, publish: Publish, header: ContentHeader, refusal: Refusal) -> None:
        self._measures.warned[_PUBLISH, refusal.reason] += 1
        about = destination.message_type
        place = Place(
            _PUBLISH, destination.label, "", about or readable(publish.routing_key), bool(about), refusal.reason
        )
        self._measures.rehearsal.note(place, publish.routing_key, header.message_id, refusal.text)


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
