"""The port where clients connect: who they are by their first bytes, and how many may be at the door at once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum, auto
from math import inf
from typing import Final

from letrade_agent.amqp.negotiation import Speaker, recognise
from letrade_agent.config import Address, Listening, SocketPath
from letrade_agent.limits import DoorLimits, Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.proxy.login import ClientTurnedAway, Door, LoggedIn, WaitsFor
from letrade_agent.proxy.unix_socket import UnixSocket
from letrade_agent.transport.ending import finish
from letrade_agent.transport.leg import Inbox, Leg, LegLost
from letrade_topo.amqp.frames import PROTOCOL_HEADER

_PREFACE_BYTES: Final = 8


class HandshakeProgress(IntEnum):
    """How far a handshake has come."""

    SILENT = auto()
    """Not one byte has come."""
    SPEAKING = auto()
    LOGGED_IN = auto()
    """It has said who it is."""
    GOING_ON = auto()
    """It has just come or spoken, or its connection to the broker is being made."""


class _Guest:
    """A client at the door."""

    __slots__ = ("_its_turn_since", "_limits", "has_logged_in", "is_new", "is_shown_out", "leg", "task")

    def __init__(self, leg: Leg, limits: DoorLimits) -> None:
        self.leg = leg
        self._limits = limits
        self.task: asyncio.Task[None] | None = None
        self.is_new = True
        self.is_shown_out = False
        self.has_logged_in = False
        self._its_turn_since = time.monotonic()

    def waits(self, waits_for: WaitsFor) -> None:
        """It has said who it is; who has the next word."""
        self.has_logged_in = True
        self._its_turn_since = time.monotonic() if waits_for is WaitsFor.CLIENT else inf

    @property
    def progress(self) -> HandshakeProgress:
        """How far it has come."""
        limits = self._limits
        most = limits.logged_in_clients_turn_seconds if self.has_logged_in else limits.clients_turn_seconds
        if self.is_new or (self.leg.received and time.monotonic() - self._its_turn_since < most):
            return HandshakeProgress.GOING_ON
        if self.has_logged_in:
            return HandshakeProgress.LOGGED_IN
        return HandshakeProgress.SPEAKING if self.leg.received else HandshakeProgress.SILENT


class ClientListener:
    """Accepts clients.

    Args:
        address: where; port 0 lets the system choose, a Unix socket asks who connects.
        door: the handshake.
        welcome: called with a client that got through it.
        measures: connections, and why they ended before they were open.
        log: told about everyone who did not get in.
        open_legs: holds the sockets that are open.
        limits: of the agent.
    """

    def __init__(
        self,
        address: Listening,
        door: Door,
        welcome: Callable[[Leg, LoggedIn], None],
        measures: Measures,
        log: Log,
        open_legs: set[Leg],
        limits: Limits,
    ) -> None:
        self._limits = limits.door
        self._leg_limits = limits.transport
        self._address = address
        self._door = door
        self._welcome = welcome
        self._measures = measures
        self._log = log
        self._open_legs = open_legs
        self._server: asyncio.Server | None = None
        self._unix: UnixSocket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._guests: dict[_Guest, None] = {}
        """Whoever is at the door, the one that came first in front."""
        self._is_crowded = False
        self._outside: deque[Leg] = deque()
        """Whoever is not read yet."""
        self._looks_again: asyncio.TimerHandle | None = None

    async def start(self) -> Listening:
        """Listen; where, with the port that the system chose.

        Raises:
            OSError: the address cannot be used.
            InvalidSetting: the path of a Unix socket is something else, or its group is not there.
        """
        address = self._address
        if isinstance(address, SocketPath):
            self._unix = UnixSocket(address)
            listening = self._unix.socket
        else:
            listening = await _bound(address)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Leg(self._open_legs, self._accept, self._leg_limits),
            sock=listening,
            backlog=self._limits.accepted_a_turn,
        )
        # asyncio has one number for what the kernel keeps and for what a turn accepts
        listening.listen(self._limits.backlog)
        return address if isinstance(address, SocketPath) else Address(address.host, listening.getsockname()[1])

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None and self._server.is_serving()

    @property
    def at_the_door(self) -> int:
        """How many are in their handshake."""
        return len(self._guests)

    @property
    def logged_in(self) -> int:
        """How many of them have said who they are."""
        return sum(guest.has_logged_in for guest in self._guests)

    def stop(self) -> None:
        """Accept nobody any more; who is in their handshake goes on."""
        if self._server is not None:
            self._server.close()
        if self._unix is not None:
            self._unix.remove()

    async def settle(self, timeout_seconds: float) -> None:
        """Wait for those who are in their handshake."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)

    async def close(self) -> None:
        """Stop, and end the handshakes."""
        self.stop()
        if self._looks_again is not None:
            self._looks_again.cancel()
            self._looks_again = None
        while self._outside:
            leg = self._outside.pop()
            self._ended(leg, "drain", "shutting down")
            leg.abort()
        for guest in tuple(self._guests):
            self._show_out(guest, "drain", "shutting down")
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, leg: Leg) -> None:
        self._measures.client_connections += 1
        self._measures.clients += 1
        if self._unix is not None:
            leg.peer, refusal = self._unix.judge(leg.socket)
            if refusal:
                self._ended(leg, "peer_refused", refusal)
                leg.abort()
                return
        if len(self._guests) < self._limits.handshakes and not self._outside:
            self._is_crowded = False
        leg.pause_reading()
        self._outside.append(leg)
        self._open_door()

    def _open_door(self) -> None:
        """Let those come to the door for whom there is room."""
        while self._outside and (len(self._guests) < self._limits.handshakes or self._make_room()):
            leg = self._outside.popleft()
            preface = _Preface(leg)
            leg.resume_reading()
            guest = _Guest(leg, self._limits)
            self._guests[guest] = None
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._has_settled, guest)  # when what it said before has been read
            guest.task = loop.create_task(self._handshake(guest, preface))
            self._tasks.add(guest.task)
            guest.task.add_done_callback(self._tasks.discard)
        if self._outside and self._looks_again is None:
            self._looks_again = asyncio.get_running_loop().call_later(self._limits.look_again_seconds, self._look_again)

    def _has_settled(self, guest: _Guest) -> None:
        guest.is_new = False
        if self._outside:
            self._open_door()

    def _look_again(self) -> None:
        self._looks_again = None
        self._open_door()

    def _make_room(self) -> bool:
        """Show out who has come least far, and of several such who came first; False: all of them are going on."""
        if not self._is_crowded:
            self._is_crowded = True
            self._log("warning", "too_many_handshakes", {"limit": self._limits.handshakes})
        guest = min(self._guests, key=lambda guest: guest.progress)
        if guest.progress is HandshakeProgress.GOING_ON:
            return False
        came = guest.leg.received
        text = f"{self._limits.handshakes} are in their login, and this one had come least far: {came} bytes came"
        self._show_out(guest, "idle_timeout", text)
        return True

    def _show_out(self, guest: _Guest, cause: str, text: str) -> None:
        """End a handshake, which may not even have begun."""
        del self._guests[guest]
        self._ended(guest.leg, cause, text)
        guest.leg.abort()
        guest.is_shown_out = True
        if guest.task is not None:
            guest.task.cancel()

    async def _handshake(self, guest: _Guest, preface: _Preface) -> None:
        """Ends with an open connection, or with exactly one cause."""
        leg = guest.leg
        try:
            async with asyncio.timeout(self._limits.handshake_seconds):
                speaker = await preface.speaker()
                if speaker is not Speaker.AMQP:
                    leg.write(PROTOCOL_HEADER)
                    raise ClientTurnedAway("protocol_error", speaker.value, was_told=False)
                logged_in = await self._door.let_in(leg, preface.to_inbox(), guest.waits)
        except ClientTurnedAway as refused:
            self._ended(leg, refused.cause, str(refused))
            finish(leg, awaits_answer=refused.was_told)
        except LegLost as lost:
            level = "debug" if not leg.received else "info"
            self._ended(leg, "client_closed", f"the client went away at the login: {lost}", level)
        except TimeoutError:
            text = f"no complete login within {self._limits.handshake_seconds:g} s; {leg.received} bytes came"
            self._ended(leg, "idle_timeout", text)
            leg.abort()
        except asyncio.CancelledError:
            if not guest.is_shown_out:
                self._ended(leg, "drain", "shutting down")
                leg.abort()
            raise
        except Exception as error:  # noqa: BLE001  # any fault of one handshake ends that handshake only
            self._measures.internal_errors["login"] += 1
            self._ended(leg, "internal_error", f"this is a bug: {error!r}", "error")
            leg.abort()
        else:
            self._welcome(leg, logged_in)
        finally:
            self._guests.pop(guest, None)
            self._open_door()

    def _ended(self, leg: Leg, cause: str, text: str, level: str = "warning") -> None:
        self._measures.clients -= 1
        self._measures.disconnects[cause] += 1
        self._log(level, "client_not_let_in", {"peer": leg.peer, "cause": cause, "problem": text})


async def _bound(address: Address) -> socket.socket:
    """A socket on a port.

    Raises:
        OSError: it cannot be had.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, where = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio sets TCP_NODELAY
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except OSError:
        listening.close()
        raise
    return listening


class _Preface:
    """The first bytes of a connection; made with it, as a loop may read before it begins any task."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._bytes = b""
        self._known: asyncio.Future[Speaker] = asyncio.get_running_loop().create_future()
        leg.on_bytes = self._feed
        leg.on_lost = self._lost

    def _feed(self, data: memoryview) -> None:
        self._bytes += data
        speaker = recognise(self._bytes)
        if speaker is not None and not self._known.done():
            self._known.set_result(speaker)

    def _lost(self, cause: Exception | None) -> None:
        if not self._known.done():
            self._known.set_exception(LegLost(cause))

    async def speaker(self) -> Speaker:
        return await self._known

    def to_inbox(self) -> Inbox:
        inbox = Inbox(self._leg)
        rest = self._bytes[_PREFACE_BYTES:]
        if rest:
            inbox.feed(memoryview(rest))
        return inbox
