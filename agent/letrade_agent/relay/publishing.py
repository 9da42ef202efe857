"""What the client publishes: decided message by message, sealed read by read, confirmed in its own numbers.

Theory of operation. A publish is refused at its header (and drained, never stored) or at its end, or approved.
Decisions wait, in order, for the end of the read or the next other method of the client; then all that were approved
are sealed at once and everything is carried out in the order of the client: written upstream, or refused. Hence no
method overtakes a publish, and a refusal has its number between its neighbours'.

A refusal on a channel with confirms is a return, if the client asked for returns, and a nack; the channel stays.
Without confirms the client can only be told by closing the channel, as the broker does.
"""

from __future__ import annotations

from letrade_agent.amqp.basic import (
    ACK,
    Publish,
    ack_frame,
    encode_return,
    nack_frame,
    parse_publish,
    parse_settle,
)
from letrade_agent.amqp.confirms import ConfirmLedger
from letrade_agent.amqp.content import Content, ContentAssembler
from letrade_agent.amqp.faults import AmqpFault, ClientFault, ReplyCode, Scope, readable
from letrade_agent.amqp.frames import encode_content
from letrade_agent.amqp.properties import ContentHeader
from letrade_agent.filters.verdicts import Approved, Refusal, ToStore
from letrade_agent.filters.words import Word

from .confirm_times import ConfirmTimes
from .session import Session

_NO_PUBLISH = Publish(b"", b"", False, False)


class Publishing:
    """One channel's publishes.

    Attributes:
        assembler: of the frames of the client.
        confirms: which publish is which.
    """

    __slots__ = ("_number", "_publish", "_session", "_sizes", "_times", "assembler", "confirms")

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._number = number
        self._sizes = session.measures.sizes["publish"]
        self._times = ConfirmTimes()
        self._publish = _NO_PUBLISH
        self.assembler: ContentAssembler[Refusal] = ContentAssembler(self._admit)
        self.confirms = ConfirmLedger()

    def _admit(self, method: bytes, header: ContentHeader) -> Refusal | None:
        publish = self._publish = parse_publish(method)
        self._sizes.observe(header.body_size)
        session = self._session
        if session.refusing is not None:
            return session.refusing
        return session.filters.outbound.admit(publish, header)

    def decide(self, content: Content[Refusal]) -> Approved | ToStore | Refusal:
        """Decide on a publish whose last frame has come.

        Raises:
            AmqpFault: the client's header is malformed.
        """
        refusal = content.refusal
        if refusal is not None:
            return refusal
        session = self._session
        return session.filters.outbound.approve(self._publish, content.header, content.body, session.epoch)

    def forward(self, method: bytes, header: bytes, approved: Approved) -> None:
        """A sealed publish goes upstream."""
        session = self._session
        number = self.confirms.accept()
        if number is not None:
            self._times.sent(number, session.started)
        session.to_upstream.append(
            encode_content(self._number, method, header, approved.body, session.upstream_frame_max)
        )
        session.published += 1
        session.measures.messages["publish", approved.destination, "forwarded"] += 1

    def refuse(self, content: Content[Refusal], refusal: Refusal) -> ClientFault | None:
        """A publish does not go upstream.

        Returns:
            What to close the channel with; None when the client was told by a confirm.
        """
        session = self._session
        publish = parse_publish(content.method)
        session.measures.messages["publish", refusal.destination, "rejected"] += 1
        session.measures.refused["publish", refusal.reason] += 1
        session.log(
            "warning",
            "publish_refused",
            {
                "reason": refusal.reason,
                "text": refusal.text,
                "exchange": readable(publish.exchange),
                "routing_key": readable(publish.routing_key),
                "channel": self._number,
            },
        )
        number = self.confirms.refuse()
        if number is None:
            return ClientFault(refusal.code, refusal.text, class_id=60, method_id=40, scope=Scope.CHANNEL)
        if publish.mandatory:
            self._give_back(content, refusal, publish)
        session.to_client.append(nack_frame(self._number, number))
        return None

    def _give_back(self, content: Content[Refusal], refusal: Refusal, publish: Publish) -> None:
        """The message returns as it came; without its body if that was drained."""
        header = content.header
        payload = header.payload if len(content.body) == header.body_size else header.rewrite(body_size=0)
        text = str(AmqpFault(refusal.code, refusal.text))
        method = encode_return(refusal.code, text, publish.exchange, publish.routing_key)
        self._return(method, payload, content.body, refusal.reason)

    def returned(self, content: Content[Refusal]) -> None:
        """The broker could not route a message: it returns as its publisher sent it."""
        header, body = content.header, content.body
        try:
            payload, body = self._session.filters.outbound.restore(header, body)
        except AmqpFault:
            payload = header.rewrite(None)
        if len(payload) > self._session.client_room:
            payload = header.rewrite(None, body_size=len(body))
        self._return(content.method, payload, body, "no_route")

    def _return(self, method: bytes, header: bytes, body: bytes, reason: str) -> None:
        session = self._session
        if len(header) > session.client_room or len(method) > session.client_room:
            session.log("error", "return_dropped", {"reason": reason, "header_bytes": len(header)})
            return
        session.to_client.append(encode_content(self._number, method, header, body, session.client_frame_max))
        outcome = "forwarded" if reason == "no_route" else "rejected"
        session.measures.messages["return", "_all", outcome] += 1

    def confirmed(self, payload: bytes) -> None:
        """The broker's ack or nack.

        Raises:
            BrokerFault: it confirms what is not unanswered.
        """
        confirms = self.confirms
        delivery_tag, multiple, _ = parse_settle(payload)
        unanswered = confirms.unanswered
        answer = confirms.settle(delivery_tag, multiple)
        count = unanswered - confirms.unanswered
        session = self._session
        acknowledged = payload[:4] == ACK
        session.measures.confirms["ack" if acknowledged else "nack"] += count
        self._times.answered(delivery_tag, multiple, count, session.started, session.measures.confirm_seconds)
        if answer is not None:
            tag, many = answer
            frame = ack_frame(self._number, tag, many) if acknowledged else nack_frame(self._number, tag, multiple=many)
            session.to_client.append(frame)

    def end(self) -> None:
        """The channel is over: what was not answered never will be."""
        self.assembler.reset()
        lost = self.confirms.unanswered
        if lost:
            self._session.measures.confirms["lost"] += lost
            self.confirms = ConfirmLedger()


def seal_and_send(session: Session) -> None:
    """Carry out all decisions that wait, in order.

    Raises:
        AmqpFault: the client's header is malformed.
    """
    decided = session.decided
    session.decided = []
    approved = [decision for _, _, decision in decided if isinstance(decision, Approved)]
    sealed = iter(session.filters.outbound.seal(approved, session.epoch) if approved else ())
    room = session.upstream_room
    for channel, content, decision in decided:
        if isinstance(decision, Approved):
            header = next(sealed)
            if isinstance(header, bytes):
                if len(header) <= room:
                    if channel.accepting:
                        channel.publishing.forward(content.method, header, decision)
                    continue
                header = _too_large(len(header), session.upstream_frame_max)
            refusal = header._replace(destination=decision.destination)
        else:
            refusal = decision
        if channel.accepting:  # else an earlier refusal of this very read has closed the channel
            channel.refused(content, refusal)


def _too_large(size: int, frame_max: int) -> Refusal:
    text = f"content header of {size} bytes with its signature does not fit into a frame of {frame_max}"
    return Refusal(ReplyCode.PRECONDITION_FAILED, Word.FRAME_SIZE, text)
