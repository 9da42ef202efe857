"""One client with its connection to the broker: bytes to the relay, what it answers to the sockets.

Every read is one call of the relay and at most one write to each side. All work is in plain calls of the loop; the
only state here is what sockets have: unsent bytes, silence, and whether they are still there.

The relay says when the connection is over (`Ended`): both sides have said their last word then, or had their time.
Until that a leg that is lost is just one that takes nothing and says nothing any more.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from letrade_agent.proxy.errands import Errands
from letrade_agent.proxy.liveness import Heartbeats, WriteStall
from letrade_agent.proxy.login import LoggedIn
from letrade_agent.proxy.pressure import BackPressure, PressureReason
from letrade_agent.proxy.shell import Shell, Snapshot, Unsent
from letrade_agent.relay.effects import Ended
from letrade_agent.relay.relay import Relay
from letrade_agent.transport.ending import finish
from letrade_agent.transport.leg import Leg
from letrade_topo.amqp.connection_commands import ConnectionClose
from letrade_topo.amqp.faults import AmqpFault, ReplyCode

_NOTHING: Final = memoryview(b"")
_EXPECTED: Final = frozenset({"client_closed", "drain"})


class ProxiedConnection:
    """One proxied connection.

    Args:
        client: the leg of the client.
        logged_in: the leg of the broker, and what was agreed with both.
        relay: decides everything.
        shell: what all connections share.
        closed: called with it when both its sockets are closed.
    """

    def __init__(
        self, client: Leg, logged_in: LoggedIn, relay: Relay, shell: Shell, closed: Callable[[ProxiedConnection], None]
    ) -> None:
        self._closed = closed
        now = shell.monotonic()
        self._client = client
        self._upstream = logged_in.dialled.leg
        self._node = logged_in.dialled.state
        self._name = logged_in.name
        self._peer = client.peer
        self._since = time.time()
        self._relay = relay
        self._shell = shell
        self._transferred = shell.measures.transferred
        upstream, limits = self._upstream, shell.limits
        self._client_beats = Heartbeats(client, logged_in.client_limits.heartbeat, now)
        self._upstream_beats = Heartbeats(upstream, logged_in.upstream_limits.heartbeat, now)
        self._stall = WriteStall(client, limits.write_stall_seconds, now)
        self._pressure = BackPressure(client, upstream, shell.measures.backpressure_seconds, shell.monotonic, limits)
        self._from_client, self._from_upstream = self._pressure.from_client, self._pressure.from_upstream
        self._errands = Errands(relay, shell, client, upstream, str(self._node.node), self._unless_ended, self._end)
        self._ended: Ended | None = None
        self._open_legs = 2
        self._unfinished = 0

    def begin(self, logged_in: LoggedIn) -> None:
        """Both legs are ours from here on; what came behind the handshake comes first."""
        shell = self._shell
        self._node.connections += 1
        shell.measures.upstreams += 1
        client, upstream = self._client, self._upstream
        client.on_bytes, client.on_lost, client.on_full = self._client_bytes, self._client_lost, self._client_full
        upstream.on_bytes, upstream.on_lost = self._upstream_bytes, self._upstream_lost
        upstream.on_full = self._upstream_full
        shell.log("info", "client_connected", {"peer": self._peer, "client": self._name, "node": str(self._node.node)})
        frames = logged_in.dialled.inbox.rest()
        if frames:
            self._guarded(partial(self._relay.from_upstream, frames))
        frames = logged_in.inbox.rest()
        if frames:
            self._guarded(partial(self._relay.from_client, frames))
        if upstream.decoder.has_more:
            self._upstream_bytes(_NOTHING)
        if client.decoder.has_more:
            self._client_bytes(_NOTHING)
        # what no longer is AMQP may have come with the handshake's last bytes: no later read would tell
        if upstream.decoder.fault is not None:
            self._upstream_broke_protocol(upstream.decoder.fault)
        if client.decoder.fault is not None:
            self._client_broke_protocol(client.decoder.fault)
        for leg, on_lost in ((upstream, self._upstream_lost), (client, self._client_lost)):
            if leg.is_lost:  # between the handshake and now
                on_lost(leg.lost)

    @property
    def snapshot(self) -> Snapshot:
        """How it is doing."""
        return Snapshot(
            peer=self._peer,
            name=self._name,
            node=str(self._node.node),
            since=self._since,
            unsent_to_client=self._client.unsent_bytes,
            unsent_to_broker=self._upstream.unsent_bytes,
            held=self._relay.held_bytes,
            is_blocked=self._errands.is_blocked,
            is_ending=self._ended is not None,
        )

    @property
    def unsent(self) -> Unsent:
        """What its sockets have not taken."""
        return Unsent(self._client.unsent_bytes, self._upstream.unsent_bytes)

    @property
    def unfinished_bytes(self) -> int:
        """What of the client's messages has come and is not whole."""
        return 0 if self._ended is not None else self._relay.unfinished_bytes + self._client.decoder.pending_bytes

    # Bytes.

    # Of what a read brings so many frames are worked through; the rest stays in the decoder, and nothing more is read,
    # until others had their turn.

    def _client_bytes(self, data: memoryview) -> None:
        decoder = self._client.decoder
        if decoder.fault is not None or self._ended is not None:
            return  # nothing behind it can be read; what comes is taken in so that the close reaches the client
        try:
            frames = decoder.feed(data, self._shell.frames_a_turn())
            if frames:
                self._relay.from_client(frames)
                self._pump()
            self._from_client.set(PressureReason.TURN, decoder.has_more)
            if decoder.has_more:
                asyncio.get_running_loop().call_soon(self._client_bytes, _NOTHING)
            if decoder.fault is not None:
                self._client_broke_protocol(decoder.fault)
            self._count_unfinished()
        except Exception as error:  # noqa: BLE001  # any fault of one connection ends that connection only
            self._internal_error(error)

    def _count_unfinished(self) -> None:
        unfinished = self.unfinished_bytes
        if unfinished != self._unfinished:
            measures = self._shell.measures
            measures.unfinished += unfinished - self._unfinished
            self._unfinished = unfinished
            if measures.unfinished > self._shell.limits.all_unfinished_bytes:
                self._shell.crowded()

    def _upstream_bytes(self, data: memoryview) -> None:
        decoder = self._upstream.decoder
        if decoder.fault is not None or self._ended is not None:
            return
        try:
            frames = decoder.feed(data, self._shell.frames_a_turn())
            if frames:
                self._relay.from_upstream(frames)
                self._pump()
            self._from_upstream.set(PressureReason.TURN, decoder.has_more)
            if decoder.has_more:
                asyncio.get_running_loop().call_soon(self._upstream_bytes, _NOTHING)
            if decoder.fault is not None:
                self._upstream_broke_protocol(decoder.fault)
        except Exception as error:  # noqa: BLE001  # any fault of one connection ends that connection only
            self._internal_error(error)

    def _pump(self) -> None:
        """Carry out what the relay wants."""
        relay = self._relay
        data = relay.take_to_upstream()
        if data:
            self._transferred["to_broker"] += len(data)
            self._upstream.write(data)
        data = relay.take_to_client()
        if data:
            self._transferred["to_client"] += len(data)
            self._client.write(data)
        for effect in relay.take_effects():
            self._errands.carry_out(effect)
        self._pressure.look(relay.held_bytes, relay.storing_bytes)

    def _unless_ended(self, call: Callable[[], None]) -> None:
        if self._ended is None:
            self._guarded(call)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
            self._pump()
        except Exception as error:  # noqa: BLE001  # any fault of one connection ends that connection only
            self._internal_error(error)

    # Back-pressure.

    def _client_full(self, full: bool) -> None:
        self._from_upstream.set(PressureReason.PEER_FULL, full)
        if not full:
            self._pressure.look_unread()
            self._errands.claims.go_on()

    def _upstream_full(self, full: bool) -> None:
        self._from_client.set(PressureReason.PEER_FULL, full)

    # Time.

    def tick(self, now: float, *, is_second: bool) -> None:
        """Heartbeats, and once a second what is held, what is unsent, what a client does not read.

        Args:
            now: by the monotonic clock.
            is_second: whether a second has gone by since this was last True.
        """
        if self._ended is not None:
            return
        self._beat(now)
        if is_second:
            self._guarded(partial(self._relay.tick, self._from_upstream.open_since))
            self._pressure.account()
            seconds = self._stall.stalled(now)
            if seconds:
                unsent = self._client.unsent_bytes
                text = f"the client has read nothing for {seconds:.0f} s; {unsent} bytes wait"
                self._lose_client("idle_timeout", text)

    def _beat(self, now: float) -> None:
        silent = self._client_beats.silence(now)
        if silent:
            self._lose_client("idle_timeout", f"no heartbeat: the client has been silent for {silent:.1f} s")
        silent = self._upstream_beats.silence(now)
        if silent:
            self._lose_upstream(f"no heartbeat: the broker has been silent for {silent:.1f} s")

    def filters_changed(self) -> None:
        """New keys or a new topology are in force: what is held is examined again."""
        self._unless_ended(self._relay.filters_changed)

    # The end.

    def shut_down(self, text: str) -> None:
        """Answer what is published, then close both sides, with a sentence for the client; `settle` drives it on."""
        self._unless_ended(partial(self._relay.shut_down, text))

    def give_up(self, text: str) -> None:
        """The client takes more than it may: it is told so, and the connection ends."""
        if self._ended is None:
            self._guarded(partial(self._relay.give_up, text))
            self._count_unfinished()

    def settle(self) -> None:
        """What waits for a time may be due; more often than the tick while everybody waits for the end."""
        self._unless_ended(self._relay.tick)

    def abort(self) -> None:
        """Close both sockets at once."""
        self._lose_client("drain", "the agent is shutting down")
        self._upstream.abort()

    def _client_broke_protocol(self, fault: AmqpFault) -> None:
        self._client.send(ConnectionClose(reply_code=fault.code, reply_text=fault.reply_text))
        self._unless_ended(partial(self._relay.client_gone, "protocol_error", str(fault)))

    def _upstream_broke_protocol(self, fault: AmqpFault) -> None:
        self._lose_upstream(f"the broker broke the protocol: {fault}")

    def _lose_client(self, cause: str, text: str) -> None:
        """The client's leg is of no use any more."""
        self._from_upstream.set(PressureReason.PEER_FULL, False)
        self._unless_ended(partial(self._relay.client_gone, cause, text))
        self._client.abort()

    def _lose_upstream(self, text: str) -> None:
        """The broker's leg is of no use any more; the client is told."""
        self._from_client.set(PressureReason.PEER_FULL, False)
        self._unless_ended(partial(self._relay.upstream_gone, text))
        self._upstream.abort()

    def _client_lost(self, error: Exception | None) -> None:
        if self._ended is None and self._client.decoder.has_more:  # what it sent before it left
            frames = self._client.decoder.feed(_NOTHING)
            self._guarded(partial(self._relay.from_client, frames))
        why = f": {error}" if error else ""
        self._lose_client("client_closed", f"the client closed its socket without closing the connection{why}")
        self._leg_closed()

    def _upstream_lost(self, error: Exception | None) -> None:
        self._node.connections -= 1
        self._shell.measures.upstreams -= 1
        if self._ended is None and self._upstream.decoder.has_more:  # what it sent before it left
            frames = self._upstream.decoder.feed(_NOTHING)
            self._guarded(partial(self._relay.from_upstream, frames))
        self._lose_upstream(f"the connection was lost: {error or 'it closed the socket'}")
        self._leg_closed()

    def _internal_error(self, error: Exception) -> None:
        """A bug: this connection ends, with what can still be said."""
        self._shell.measures.internal_errors["connection"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__} in {where.name}, {where.filename}:{where.lineno}"
        self._shell.log("error", "internal_error", {"problem": text, "detail": str(error)})
        if self._ended is not None:
            return
        reply = ConnectionClose(reply_code=ReplyCode.INTERNAL_ERROR, reply_text=b"INTERNAL_ERROR - letrade-agent")
        self._client.send(reply)
        self._upstream.send(ConnectionClose(reply_code=ReplyCode.SUCCESS, reply_text=b"Goodbye"))
        with suppress(Exception):  # the bug may be in there; what follows does not need it
            self._relay.client_gone("internal_error", text)
            self._relay.upstream_gone(text)  # both are gone for it: it counts out all that it has, and ends
            for effect in self._relay.take_effects():
                self._errands.carry_out(effect)
        self._end(Ended("internal_error", text))

    def _end(self, ended: Ended) -> None:
        """Both sides have heard the last word: the sockets may go. The relay has counted the cause."""
        if self._ended is not None:
            return
        self._ended = ended
        self._shell.measures.clients -= 1
        self._count_unfinished()
        self._pressure.account()
        self._errands.close()
        particulars = {"peer": self._peer, "client": self._name, "cause": ended.cause, "problem": ended.text}
        level = "info" if ended.cause in _EXPECTED else "warning"
        self._shell.log(level, "client_disconnected", particulars)
        finish(self._client, awaits_answer=False)
        finish(self._upstream, awaits_answer=False)

    def _leg_closed(self) -> None:
        self._open_legs -= 1
        if not self._open_legs:
            self._closed(self)
