"""What filters answer, and what they are to those who ask: values and protocols, no decision.

Whoever relays messages (see `letrade_agent.relay`) knows only this module of the filters, and their words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

from letrade_agent.amqp.basic import Publish
from letrade_agent.amqp.command import Command
from letrade_agent.amqp.faults import ReplyCode
from letrade_agent.amqp.properties import ContentHeader
from letrade_topo.keys.replay import Identity
from letrade_topo.messages.claim import Claim
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
        wire_size: of the body where it is not the client's own: sensitive fields are encrypted in it; None: it is.
        priority: of AMQP, that the message type asks for where the client set none; None: the default.
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


class Outbound(Protocol):
    """Filters of what the client publishes."""

    def admit(self, publish: Publish, header: ContentHeader) -> Refusal | None:
        """Decide what can be decided before any byte of the body: destination, size, copies (CC, BCC).

        Raises:
            AmqpFault: SYNTAX_ERROR, the client's headers table is malformed.
        """

    def approve(self, publish: Publish, header: ContentHeader, body: bytes, now: float) -> Approved | ToStore | Refusal:
        """Decide on the whole: envelope, schema, encryption, claim check. `admit` has let it through.

        Args:
            publish: where it goes.
            header: as the client sent it.
            body: likewise.
            now: seconds since the epoch.

        Raises:
            AmqpFault: SYNTAX_ERROR, the client's headers table is malformed.
        """

    def stub(self, stored: ToStore, sha256: str) -> Approved:
        """The publish that goes upstream in place of one whose body is in the store now.

        Args:
            stored: as `approve` answered it.
            sha256: of the body, in hexadecimal digits.
        """

    def seal(self, batch: Sequence[Approved], now: float) -> Sequence[bytes | Refusal]:
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


class Fetched(NamedTuple):
    """What the object store holds in place of a delivery's body.

    Attributes:
        body: the object, as large as the stub says and with that digest; empty where there is none such.
        reason: the word for why there is none; "" if there is.
        why: in words.
    """

    body: bytes = b""
    reason: str = ""
    why: str = ""


class Delivery(NamedTuple):
    """What the broker hands to the client, by deliver or get-ok.

    Attributes:
        queue: what was consumed from.
        exchange, routing_key: as delivered.
        redelivered: the broker's own mark.
        header: of the content.
        body: of the content.
    """

    queue: str
    exchange: bytes
    routing_key: bytes
    redelivered: bool
    header: ContentHeader
    body: bytes


class Remembered(NamedTuple):
    """What is to be told to `Inbound.settled` when the service has settled a delivery.

    Attributes:
        queue: what was consumed from.
        identity: of the delivery; None: it has none (an unsigned one that may pass).
        valid_until: seconds since the epoch; nothing needs to be remembered for longer.
    """

    queue: str
    identity: Identity | None
    valid_until: float


class Shown(NamedTuple):
    """It goes to the client.

    Attributes:
        header: the content header payload for the client: tokens stripped, the attempt readable.
        remembered: to be given back when it is settled.
        queue_label: the declared queue, or "_other".
        exchange, routing_key: where it was first published, for the deliver or get-ok that the client gets, when it
            arrived by another way (a retry, a replay); None: as delivered.
        body: with its sensitive fields put back; None: as delivered.
    """

    header: bytes
    remembered: Remembered
    queue_label: str
    exchange: bytes | None = None
    routing_key: bytes | None = None
    body: bytes | None = None


class Failed(NamedTuple):
    """It goes to the dead letters.

    Attributes:
        reason: the word (token.md), for metrics, logs and the dead letter.
        detail: what was wrong, with which figures.
        issuer: whose it is, if that is proven; "" otherwise.
        queue_label: the declared queue, or "_other".
    """

    reason: str
    detail: str
    issuer: str
    queue_label: str


class Held(NamedTuple):
    """It may yet become good (a rotation, a roll-out, a full memory): keep it unacknowledged and ask again.

    Attributes:
        failed: what it is when the time is over.
        until_over: how long it may be held, in seconds; infinite for a full memory.
    """

    failed: Failed
    until_over: float


class Repeated(NamedTuple):
    """The service has settled this very delivery before: settle it in the same way, and count it.

    Attributes:
        queue_label: the declared queue, or "_other".
        is_rejected: it rejected it, so that it has to be rejected again: the broker may not have heard it.
    """

    queue_label: str
    is_rejected: bool = False


class ToFetch(NamedTuple):
    """Its body lies in the object store: fetch it, and ask again with it.

    Attributes:
        claim: what the stub says.
        queue_label: the declared queue, or "_other".
    """

    claim: Claim
    queue_label: str


Examined: TypeAlias = Shown | Failed | Held | Repeated | ToFetch


class DeadLetter(NamedTuple):
    """A message as it is handed over to the dead letters: everything needed to publish it.

    Attributes:
        exchange: where to.
        routing_key: the original one with `.dead`, at most 255 bytes.
        header: content header payload; properties kept but for `user_id` and `expiration`, with hop and reason.
        body: as it was delivered, byte for byte.
        queue: what it was consumed from, for logs.
        reason: the word, for logs and metrics.
        detail: what was wrong.
    """

    exchange: bytes
    routing_key: bytes
    header: bytes
    body: bytes
    queue: str
    reason: str
    detail: str


class RetryCopy(NamedTuple):
    """A message that failed, as it is put on its way back: everything needed to publish it.

    Attributes:
        exchange: of retries.
        routing_key: the name of the delay queue.
        header: content header payload, with the hop that counts its attempts.
        body: byte for byte.
        queue: that it failed in, and comes back to.
        reason: the word, for logs.
        step: which delay of the ladder, from 1, for metrics.
    """

    exchange: bytes
    routing_key: bytes
    header: bytes
    body: bytes
    queue: str
    reason: str
    step: int


Copy: TypeAlias = DeadLetter | RetryCopy
"""What agents publish themselves, to hand a message over."""


class Inbound(Protocol):
    """Filters of what the broker delivers."""

    def examine(self, delivery: Delivery, now: float, fetched: Fetched | None = None) -> Examined:
        """Decide on one delivery: verify, repeat, claim, envelope, schema.

        Args:
            delivery: as the broker made it.
            now: seconds since the epoch.
            fetched: what the store answered, after a first verdict `ToFetch`.
        """

    def settled(self, remembered: Remembered, now: float) -> None:
        """The service acknowledged it."""

    def rejected(self, remembered: Remembered, now: float) -> None:
        """The service rejected it (not: gave it back to the queue)."""

    def dead_letter(self, delivery: Delivery, failed: Failed, now: float) -> DeadLetter:
        """What to hand over of a delivery that failed."""


class Pass(NamedTuple):
    """The command goes upstream as it is."""


class Absorbed(NamedTuple):
    """The command does not go upstream; the client gets this answer (None where it asked for none).

    Attributes:
        answer: for example queue.declare-ok. For an absorbed queue.declare the relay sends a passive declare
            upstream instead, so that name and counts are true; `answer` is then None and `replacement` is set.
        replacement: the command to send upstream in its place; the broker's answer goes to the client.
    """

    answer: Command | None
    replacement: Command | None = None


Ruling: TypeAlias = Pass | Absorbed | Refusal


class Declares(Protocol):
    """What becomes of declare, bind, unbind, delete, purge and consume."""

    def rule(self, command: Command) -> Ruling:
        """Decide on one command of the classes exchange, queue, or basic.consume and basic.get.

        Args:
            command: with the queue's name in it: where the client left it empty, the one that was declared last on
                this channel (AMQP 0-9-1, 1.7.2.4), as the broker or the agent named it. Left empty it means that
                no queue was declared there, but for queue.declare, where it asks for a name.
        """


class Filters:
    """The filters in force. Shared by all connections; a new key set or topology puts new ones in place.

    Attributes:
        outbound, inbound, declares: as named.
    """

    __slots__ = ("declares", "inbound", "outbound")

    def __init__(self, outbound: Outbound, inbound: Inbound, declares: Declares) -> None:
        self.outbound = outbound
        self.inbound = inbound
        self.declares = declares
