"""The whole of one relayed connection: its channels, its faults and its end.

What comes in is in `publishing` and `delivering`; what ends it, from whatever cause, is here.
"""

from __future__ import annotations

from letrade_agent.amqp.channel import ChannelInput, ChannelState
from letrade_topo.amqp.faults import AmqpFault, BrokerFault, ClientFault, FaultScope, ReplyCode

from .channel import RelayedChannel
from .effects import Opening, Ticket
from .ending import Ending, agent_close
from .session import Session


class RelayedConnection:
    """The state of one relayed connection.

    Attributes:
        session: what its parts share.
        ending: how far it has ended.
        channels: by number; those that are not closed on both sides.
        waiting_close: the client's connection.close, while a body is being stored that it sent before.
        drain: why the agent is about to end it, and until when (monotonic seconds) confirms are awaited.
    """

    __slots__ = ("channels", "drain", "ending", "session", "waiting_close")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ending = Ending(session)
        self.channels: dict[int, RelayedChannel] = {}
        self.drain: tuple[str, float] | None = None
        self.waiting_close: bytes | None = None

    def channel_of(self, whose: Ticket | Opening) -> RelayedChannel | None:
        """The channel that was meant, if that opening of it is not over."""
        channel = self.channels.get(whose.channel)
        return channel if channel is not None and channel.opening == whose.opening else None

    def happens(self, number: int, happened: ChannelInput, frame_type: int, payload: bytes) -> None:
        """A frame on a channel that is not open, or is opened by it.

        Raises:
            AmqpFault: it has no place there.
        """
        channel = self.channels.get(number)
        if channel is not None:
            channel.happens(happened, payload, frame_type=frame_type)
            self.remove_if_closed(channel)
            return
        channel = RelayedChannel(self.session, number)
        channel.happens(happened, payload, frame_type=frame_type)
        if channel.state is not ChannelState.CLOSED:
            self.channels[number] = channel
            self.session.measures.channels += 1

    def remove_if_closed(self, channel: RelayedChannel) -> None:
        """A channel that has closed frees its number."""
        if channel.state is ChannelState.CLOSED and self.channels.get(channel.number) is channel:
            channel.leave()
            del self.channels[channel.number]
            self.session.measures.channels -= 1

    def examine_again(self) -> None:
        """Ask for everything that is kept."""
        if not self.ending.cause:
            for channel in self.channels.values():
                if channel.accepting:
                    channel.deliveries.examine_again()

    def forget_channels(self) -> None:
        """All channels are over."""
        for channel in self.channels.values():
            channel.leave()
        self.session.measures.channels -= len(self.channels)
        self.channels.clear()

    def fault_of_client(self, number: int, fault: AmqpFault) -> None:
        """What the client did wrong ends its channel or the connection; what it sent before has been carried out."""
        if isinstance(fault, BrokerFault):
            self.fault_of_broker(fault)
            return
        channel = self.channels.get(number)
        if fault.scope is FaultScope.CHANNEL and channel is not None:
            channel.close(_client_fault(fault))
            return
        self._log_fault("client_fault", fault)
        self.ending.because("protocol_error", str(fault))
        self.ending.close_client(fault)
        self.end(agent_close(f"the agent closed it towards its client: {fault}"))

    def fault_of_broker(self, fault: AmqpFault) -> None:
        """What the broker did wrong ends the connection: going on would be guessing."""
        if isinstance(fault, ClientFault):
            self.fault_of_client(0, fault)
            return
        self._log_fault("broker_fault", fault)
        self.ending.because("internal_error", str(fault))
        text = f"the agent does not understand the broker: {fault.text}"
        self.ending.close_client(ClientFault(ReplyCode.INTERNAL_ERROR, text))
        self.end(agent_close(f"the agent does not understand this broker: {fault}"))

    def _log_fault(self, event: str, fault: AmqpFault) -> None:
        if not self.ending.cause:
            self.session.log("error", event, {"code": int(fault.code), "text": fault.text})

    def end(self, upstream_close: bytes) -> None:
        """The connection ends: nothing more is relayed, and the broker's leg closes when hand-overs are done."""
        for channel in self.channels.values():
            channel.stop()
        self.ending.hold_upstream_close(upstream_close, self.session.limits.hand_over_seconds)
        self.after()

    def after(self) -> None:
        """The end of every call: closes that waited, and the end of the connection."""
        session = self.session
        ending = self.ending
        if session.published or session.shown:
            session.end()
        if self.drain is not None:
            self._drain_further(*self.drain)
        if ending.held_close is not None:
            handing = any(channel.outcomes.handing for channel in self.channels.values())
            if not handing or session.started >= ending.wait_until:
                ending.send_upstream_close()
                self.forget_channels()
        if ending.cause and ending.finish():
            self.forget_channels()
            session.forget_hand_overs()
        if session.tracer is not None:
            session.tracer.end(session.epoch)

    def _drain_further(self, text: str, until: float) -> None:
        unconfirmed = any(channel.publishes.confirms.unanswered for channel in self.channels.values())
        if (unconfirmed or self.session.storing) and self.session.started < until and not self.ending.cause:
            return
        self.drain = None
        self.ending.because("drain", text)
        self.ending.close_client(ClientFault(ReplyCode.CONNECTION_FORCED, text))
        self.end(agent_close(text))


def _client_fault(fault: AmqpFault) -> ClientFault:
    if isinstance(fault, ClientFault):
        return fault
    return ClientFault(fault.code, fault.text, class_id=fault.class_id, method_id=fault.method_id, scope=fault.scope)
