"""One client with its connection to the broker: bytes to the relay, what it answers to the sockets.

Every read is one call of the relay and at most one write to each side. All work is in plain calls of the loop; the
only state here is what sockets have: unsent bytes, silence, and whether they are still there.

The relay says when the connection is over (`Ended`): both sides have said their last word then, or had their time.
Until that a leg that is lost is just one that takes nothing and says nothing any more.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from letrade_agent.amqp.connection_commands import ConnectionClose
from letrade_agent.amqp.faults import AmqpFault, ReplyCode
from letrade_agent.amqp.frames import HEARTBEAT_FRAME
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.proxy.claim_checks import STORED_BYTES, ClaimChecks
from letrade_agent.proxy.ending import finish
from letrade_agent.proxy.hand_overs import HandingOver, HandOvers
from letrade_agent.proxy.leg import Leg
from letrade_agent.proxy.login import LoggedIn
from letrade_agent.proxy.objects import Objects
from letrade_agent.proxy.pressure import Reason, Valve
from letrade_agent.proxy.pulse import Beat, Pulse
from letrade_agent.proxy.sockets import limit_unacknowledged
from letrade_agent.relay.effects import Effect, Ended, FetchObject, HandOver, StoreObject, Ticket, UpstreamBlocked
from letrade_agent.relay.relay import Relay

HELD_BYTES: Final = 8 * 1024 * 1024
"""Withheld deliveries of one connection above which the broker is not read, until half of it is left."""
WRITE_STALL_SECONDS: Final = 300.0
"""A client that takes nothing of what is unsent for so long loses its connection."""


_EXPECTED: Final = frozenset({"client_closed", "drain"})


class Snapshot(NamedTuple):
    """A connection, for the status page.

    Attributes:
        peer: the client's address.
        name: what it calls itself.
        node: where it is connected.
        since: seconds since the epoch.
        unsent_to_client, unsent_to_broker, held: bytes.
        is_blocked: the broker takes no publishes.
        is_ending: it is being closed.
    """

    peer: str
    name: str
    node: str
    since: float
    unsent_to_client: int
    unsent_to_broker: int
    held: int
    is_blocked: bool
    is_ending: bool


@dataclass(frozen=True, slots=True)
class Shell:
    """What all connections share.

    Attributes:
        measures: counts.
        dead_letters: where hand-overs go.
        objects: the store of claim checks.
        log: told when a connection opens and ends.
        monotonic: seconds.
        closed: called with a connection when both its sockets are closed.
        write_stall_seconds: see WRITE_STALL_SECONDS.
    """

    measures: Measures
    dead_letters: HandOvers
    objects: Objects
    log: Log
    monotonic: Callable[[], float]
    closed: Callable[[Connection], None]
    write_stall_seconds: float = WRITE_STALL_SECONDS


class Connection:
    """One proxied connection.

    Args:
        client: the leg of the client.
        logged_in: the leg of the broker, and what was agreed with both.
        relay: decides everything.
        shell: what all connections share.
    """

    def __init__(self, client: Leg, logged_in: LoggedIn, relay: Relay, shell: Shell) -> None:
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
        self._client_pulse = Pulse(logged_in.client_limits.heartbeat, now)
        self._upstream_pulse = Pulse(logged_in.upstream_limits.heartbeat, now)
        spent = shell.measures.backpressure_seconds
        self._from_client = Valve(client, partial(_add, spent, "to_broker"), shell.monotonic)
        self._from_upstream = Valve(self._upstream, partial(_add, spent, "to_client"), shell.monotonic)
        self._too_much_held = self._too_much_stored = False
        self._claims = ClaimChecks(shell.objects, relay, client, self._guarded)
        self._handing_over: dict[Ticket, HandingOver] = {}
        self._blocked_at: float | None = None
        self._taken = 0
        self._taken_at = now
        self._ended: Ended | None = None
        self._open_legs = 2

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
            is_blocked=self._blocked_at is not None,
            is_ending=self._ended is not None,
        )

    # Bytes.

    def _client_bytes(self, data: memoryview) -> None:
        decoder = self._client.decoder
        if decoder.fault is not None:
            return  # nothing behind it can be read; what comes is taken in so that the close reaches the client
        try:
            frames = decoder.feed(data)
            if frames:
                self._relay.from_client(frames)
                self._pump()
            if decoder.fault is not None:
                self._client_broke_protocol(decoder.fault)
        except Exception as error:  # noqa: BLE001  # any fault of one connection ends that connection only
            self._internal_error(error)

    def _upstream_bytes(self, data: memoryview) -> None:
        decoder = self._upstream.decoder
        if decoder.fault is not None:
            return
        try:
            frames = decoder.feed(data)
            if frames:
                self._relay.from_upstream(frames)
                self._pump()
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
            self._carry_out(effect)
        held = relay.held_bytes
        if (held > HELD_BYTES) if not self._too_much_held else (held < HELD_BYTES // 2):
            self._too_much_held = not self._too_much_held
            self._from_upstream.set(Reason.HELD, self._too_much_held)
        storing = relay.storing_bytes
        if (storing > STORED_BYTES) if not self._too_much_stored else (storing < STORED_BYTES // 2):
            self._too_much_stored = not self._too_much_stored
            self._from_client.set(Reason.STORING, self._too_much_stored)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
            self._pump()
        except Exception as error:  # noqa: BLE001  # any fault of one connection ends that connection only
            self._internal_error(error)

    # Back-pressure.

    def _client_full(self, full: bool) -> None:
        self._from_upstream.set(Reason.PEER_FULL, full)
        if not full:
            self._claims.go_on()

    def _upstream_full(self, full: bool) -> None:
        self._from_client.set(Reason.PEER_FULL, full)

    # Effects.

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case HandOver(ticket, dead_letter):
                entry = self._shell.dead_letters.submit(dead_letter, partial(self._handed_over, ticket))
                if ticket.upstream_tag is not None:
                    self._handing_over[ticket] = entry
            case StoreObject():
                self._claims.store(effect)
            case FetchObject():
                self._claims.fetch(effect)
            case UpstreamBlocked(blocked, reason):
                self._upstream_blocks(blocked, reason)
            case Ended():
                self._end(effect)

    def _handed_over(self, ticket: Ticket) -> None:
        self._handing_over.pop(ticket, None)
        if self._ended is None:
            self._guarded(partial(self._relay.handed_over, ticket))

    def _upstream_blocks(self, blocked: bool, reason: str) -> None:
        measures, now = self._shell.measures, self._shell.monotonic()
        node = str(self._node.node)
        if blocked and self._blocked_at is None:
            self._blocked_at = now
            measures.blocked += 1
            self._shell.log("warning", "broker_blocks", {"node": node, "problem": reason})
        elif not blocked and self._blocked_at is not None:
            measures.blocked -= 1
            measures.blocked_seconds += now - self._blocked_at
            self._blocked_at = None
            self._shell.log("info", "broker_unblocks", {"node": node})
        limit_unacknowledged(self._upstream, limited=not blocked)

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
            self._guarded(self._relay.tick)
            self._from_client.account()
            self._from_upstream.account()
            self._check_stall(now)

    def _beat(self, now: float) -> None:
        silent = self._silence(self._client, self._client_pulse, now)
        if silent:
            self._lose_client("idle_timeout", f"no heartbeat: the client has been silent for {silent:.1f} s")
        silent = self._silence(self._upstream, self._upstream_pulse, now)
        if silent:
            self._lose_upstream(f"no heartbeat: the broker has been silent for {silent:.1f} s")

    @staticmethod
    def _silence(leg: Leg, pulse: Pulse, now: float) -> float:
        """Send a heartbeat if it is time; the seconds of silence if the other side is dead, else 0."""
        if leg.is_closing:
            return 0.0
        beat = pulse.beat(now, sent=leg.sent, received=leg.received, is_reading=leg.is_reading)
        if beat is Beat.SEND:
            leg.write(HEARTBEAT_FRAME)
        return now - pulse.silent_since if beat is Beat.DEAD else 0.0

    def _check_stall(self, now: float) -> None:
        unsent = self._client.unsent_bytes
        taken = self._client.sent - unsent
        if not unsent or taken != self._taken:
            self._taken, self._taken_at = taken, now
        elif now - self._taken_at > self._shell.write_stall_seconds:
            seconds = now - self._taken_at
            self._lose_client("idle_timeout", f"the client has read nothing for {seconds:.0f} s; {unsent} bytes wait")

    def filters_changed(self) -> None:
        """New keys or a new topology are in force: what is held is examined again."""
        if self._ended is None:
            self._guarded(self._relay.filters_changed)

    # The end.

    def shut_down(self, text: str) -> None:
        """Answer what is published, then close both sides, with a sentence for the client; `settle` drives it on."""
        if self._ended is None:
            self._guarded(partial(self._relay.shut_down, text))

    def settle(self) -> None:
        """What waits for a time may be due; more often than the tick while everybody waits for the end."""
        if self._ended is None:
            self._guarded(self._relay.tick)

    def abort(self) -> None:
        """Close both sockets at once."""
        self._lose_client("drain", "the agent is shutting down")
        self._upstream.abort()

    def _client_broke_protocol(self, fault: AmqpFault) -> None:
        self._client.send(ConnectionClose(reply_code=fault.code, reply_text=fault.reply_text))
        if self._ended is None:
            self._guarded(partial(self._relay.client_gone, "protocol_error", str(fault)))

    def _upstream_broke_protocol(self, fault: AmqpFault) -> None:
        self._lose_upstream(f"the broker broke the protocol: {fault}")

    def _lose_client(self, cause: str, text: str) -> None:
        """The client's leg is of no use any more."""
        self._from_upstream.set(Reason.PEER_FULL, False)
        if self._ended is None:
            self._guarded(partial(self._relay.client_gone, cause, text))
        self._client.abort()

    def _lose_upstream(self, text: str) -> None:
        """The broker's leg is of no use any more; the client is told."""
        self._from_client.set(Reason.PEER_FULL, False)
        if self._ended is None:
            self._guarded(partial(self._relay.upstream_gone, text))
        self._upstream.abort()

    def _client_lost(self, error: Exception | None) -> None:
        why = f": {error}" if error else ""
        self._lose_client("client_closed", f"the client closed its socket without closing the connection{why}")
        self._leg_closed()

    def _upstream_lost(self, error: Exception | None) -> None:
        self._node.connections -= 1
        self._shell.measures.upstreams -= 1
        self._lose_upstream(f"the connection was lost: {error or 'it closed the socket'}")
        self._leg_closed()

    def _internal_error(self, error: Exception) -> None:
        """A bug: this connection ends, with what can still be said."""
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
                self._carry_out(effect)
        self._end(Ended("internal_error", text))

    def _end(self, ended: Ended) -> None:
        """Both sides have heard the last word: the sockets may go. The relay has counted the cause."""
        if self._ended is not None:
            return
        self._ended = ended
        measures = self._shell.measures
        measures.clients -= 1
        if self._blocked_at is not None:
            measures.blocked -= 1
            measures.blocked_seconds += self._shell.monotonic() - self._blocked_at
            self._blocked_at = None
        for valve in (self._from_client, self._from_upstream):
            valve.account()
        self._claims.close()
        for entry in self._handing_over.values():
            self._shell.dead_letters.abandon(entry)
        self._handing_over.clear()
        particulars = {"peer": self._peer, "client": self._name, "cause": ended.cause, "problem": ended.text}
        level = "info" if ended.cause in _EXPECTED else "warning"
        self._shell.log(level, "client_disconnected", particulars)
        finish(self._client, awaits_answer=False)
        finish(self._upstream, awaits_answer=False)

    def _leg_closed(self) -> None:
        self._open_legs -= 1
        if not self._open_legs:
            self._shell.closed(self)


def _add(seconds: dict[str, float], direction: str, more: float) -> None:
    seconds[direction] += more
