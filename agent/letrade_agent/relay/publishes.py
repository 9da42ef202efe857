"""What the client publishes on one channel: refused as its library understands it, confirmed in its own numbers.

Theory of operation. A publish is refused at its header (and drained, never stored) or at its end, or approved: see
`letrade_agent.relay.publishing`. What goes back to the client whole, and may be as large as that, is refused at its
end.

A refusal on a channel with confirms is a return, if the client asked for returns, and a nack; the channel stays. For
libraries that would hide that from their programs it takes another form (`letrade_agent.relay.libraries`). Without
confirms the client can only be told by closing the channel, as the broker does.
"""

from __future__ import annotations

from letrade_agent.amqp.confirms import ConfirmLedger
from letrade_agent.filters.decisions import Refusal
from letrade_topo.amqp.basic import (
    ACK,
    Publish,
    ack_frame,
    encode_return,
    nack_frame,
    parse_publish,
    parse_settle,
)
from letrade_topo.amqp.content import Content, ContentAssembler
from letrade_topo.amqp.faults import AmqpFault, ClientFault, FaultScope, readable
from letrade_topo.amqp.frames import encode_content
from letrade_topo.amqp.properties import ContentHeader

from .confirm_times import ConfirmTimes
from .libraries import RefusalForm
from .session import Session


class Publishes:
    """One channel's publishes.

    Attributes:
        assembler: of the frames of the client.
        confirms: which publish is which.
    """

    __slots__ = ("_number", "_session", "_times", "assembler", "confirms")

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._number = number
        self._times = ConfirmTimes()
        self.assembler: ContentAssembler[Refusal] = ContentAssembler(self._admit, session.unfinished)
        self.confirms = ConfirmLedger()

    def _admit(self, method: bytes, header: ContentHeader) -> Refusal | None:
        publish = parse_publish(method)
        session = self._session
        if session.refusing is not None:
            return session.refusing
        outbound = session.filters.outbound
        refusal = outbound.admit(publish, header)
        if refusal is not None and self._returns(publish) and header.body_size <= outbound.message_size:
            return None  # refused at its end, with the body that goes back
        return refusal

    def _returns(self, publish: Publish) -> bool:
        """Whether a refused publish goes back to the client."""
        is_asked = publish.mandatory and self.confirms.client_selected
        return is_asked and self._session.refusal_form is RefusalForm.RETURN_AND_NACK

    def sent(self, moment: float) -> None:
        """A sealed publish goes upstream, at a moment in monotonic seconds."""
        number = self.confirms.accept()
        if number is not None:
            self._times.sent(number, moment)

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
        if number is None or session.refusal_form is RefusalForm.CLOSE:
            return ClientFault(refusal.code, refusal.text, class_id=60, method_id=40, scope=FaultScope.CHANNEL)
        if self._returns(publish):
            self._give_back(content, refusal, publish)
        session.to_client.append(nack_frame(self._number, number))
        return None

    def _give_back(self, content: Content[Refusal], refusal: Refusal, publish: Publish) -> None:
        """The message returns as it came; without its body if that is too large to be kept for it."""
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
