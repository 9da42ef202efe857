"""What filters decide of a publish, and what they are to those who ask: values and a protocol, no decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from letrade_agent.filters.ordinary import Ordinary
from letrade_topo.amqp.basic import Publish
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.messages.envelope import EnvelopeProperties


class Refusal(NamedTuple):
    """A publish or another command of the client that does not go upstream.

    Attributes:
        code: as the broker would give it, of a channel: 403, 404 or 406.
        reason: the word for logs and metrics; bounded, never a name from a message.
        text: a sentence that says what was wrong, with which figures. Holds no secret and no sensitive part of a
            body. Without the code's name, which is put before it as in `AmqpFault.reply_text`.
        destination: the label of metrics: the declared exchange, or "_other".
    """

    code: ReplyCode
    reason: str
    text: str
    destination: str = "_other"


class Approved(NamedTuple):
    """A publish that may go upstream once it is sealed.

    Attributes:
        publish: where it goes.
        header: as the client sent it.
        body: as it goes over the wire.
        destination: the label of metrics: the declared exchange, or "_other".
        lifetime_seconds: of its message type; None: it goes as it is, unsigned.
        headers: the headers table without what is reserved to agents and brokers; None: there is none.
        added: the properties that the envelope gives where the client set none; None: nothing is added.
        must_be_signed: without a key to sign with it is refused, else it goes unsigned.
        wire_size: of the body where it is not the client's own: its envelope is completed, sensitive fields are
            encrypted in it; None: it is.
        priority: of AMQP, that the message type asks for where the client set none; None: the default.
        completed: the members that were put into the envelope.
    """

    publish: Publish
    header: ContentHeader
    body: bytes
    destination: str
    lifetime_seconds: float | None
    headers: bytes | None = None
    added: EnvelopeProperties | None = None
    must_be_signed: bool = True
    wire_size: int | None = None
    priority: int | None = None
    completed: tuple[str, ...] = ()


class ToStore(NamedTuple):
    """A publish whose body is too large for the broker: it goes to the object store first, then its stub upstream.

    Attributes:
        approved: the publish, with the body that is to be stored.
        object: the name of the object.
        expires: until when it is kept at least, in seconds since the epoch.
    """

    approved: Approved
    object: str
    expires: int


Whole: TypeAlias = tuple[bytes, bytes, bytes]
"""A whole publish as it came: payload of the method, payload of the content header, body."""

Sealable: TypeAlias = Ordinary | Approved
"""What may go upstream once it is sealed."""

SEALABLE: Final = (Ordinary, Approved)
SETTLED: Final = (Ordinary, Approved, Refusal)
"""Their classes, and with those that need nothing more: `isinstance` asks a tuple three times as fast as a union."""

Decision: TypeAlias = Sealable | ToStore | Refusal | AmqpFault
"""What becomes of a publish; a fault: its header is malformed, which ends the connection."""


class Outbound(Protocol):
    """Filters of what the client publishes."""

    @property
    def largest_body(self) -> int:
        """The largest body that there may be, in bytes."""

    @property
    def message_size(self) -> int:
        """The largest body on the wire, in bytes."""

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Decide what can be decided before any byte of the body: destination, size, copies (CC, BCC).

        Raises:
            AmqpFault: SYNTAX_ERROR, the client's headers table is malformed.
        """

    def decide(self, batch: Sequence[Whole], now: float) -> Sequence[Decision]:
        """Decide on whole publishes: what `admit` decides, envelope, schema, encryption, claim check.

        Args:
            batch: what one read of the client held, whichever channels it came on.
            now: seconds since the epoch.

        Returns:
            For each what becomes of it; one decision does not depend on another.
        """

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """The publish that goes upstream in place of one whose body is in the store now.

        Args:
            stored: as `decide` answered it.
            sha256: of the body, in hexadecimal digits.
        """

    def seal(self, batch: Sequence[Sealable], now: float) -> Sequence[bytes | Refusal]:
        """The content header payload of each, in order: reserved headers stripped, properties added, signed.

        Args:
            batch: what one read of the client held; the filter decides how many one signature covers.
            now: seconds since the epoch.

        Returns:
            For each a content header payload, or a Refusal when there is no key to sign with or the header
            does not fit into a frame upstream.
        """

    def restore(self, header: ContentHeader, body: bytes) -> tuple[bytes, bytes]:
        """Header and body of a returned message as its publisher sent them.

        What was added at sealing is taken off, what was encrypted is put back. Where that is not possible any more
        the body is empty.

        Raises:
            AmqpFault: the broker's headers table is malformed.
        """
