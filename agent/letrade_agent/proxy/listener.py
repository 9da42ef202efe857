"""The port where clients connect: who they are by their first bytes, and how many may be at the door at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from letrade_agent.amqp.frames import PROTOCOL_HEADER
from letrade_agent.amqp.negotiation import Speaker, recognise
from letrade_agent.config import Address
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.proxy.ending import finish
from letrade_agent.proxy.leg import Inbox, Leg, LegLost
from letrade_agent.proxy.login import Door, LoggedIn, Refused

HANDSHAKE_SECONDS: Final = 10.0
"""From connecting to open-ok; half a frame and then silence ends here."""
AT_THE_DOOR: Final = 100
"""Connections in their handshake at once; further ones are closed."""
_BACKLOG: Final = 1024
_PREFACE_BYTES: Final = 8


class Listener:
    """Accepts clients.

    Args:
        address: where; port 0 lets the system choose.
        door: the handshake.
        welcome: called with a client that got through it.
        measures: connections, and why they ended before they were open.
        log: told about everyone who did not get in.
        open_legs: holds the sockets that are open.
    """

    def __init__(
        self,
        address: Address,
        door: Door,
        welcome: Callable[[Leg, LoggedIn], None],
        measures: Measures,
        log: Log,
        open_legs: set[Leg],
    ) -> None:
        self._address = address
        self._door = door
        self._welcome = welcome
        self._measures = measures
        self._log = log
        self._open_legs = open_legs
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turned_away = 0

    async def start(self) -> Address:
        """Listen; where, with the port that the system chose.

        Raises:
            OSError: the address cannot be used.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Leg(self._open_legs, self._accept), self._address.host, self._address.port, backlog=_BACKLOG
        )
        return Address(self._address.host, self._server.sockets[0].getsockname()[1])

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._server is not None and self._server.is_serving()

    @property
    def at_the_door(self) -> int:
        """How many are in their handshake."""
        return len(self._tasks)

    def stop(self) -> None:
        """Accept nobody any more; who is in their handshake goes on."""
        if self._server is not None:
            self._server.close()

    async def settle(self, timeout_seconds: float) -> None:
        """Wait for those who are in their handshake."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)

    async def close(self) -> None:
        """Stop, and end the handshakes."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, leg: Leg) -> None:
        self._measures.client_connections += 1
        if len(self._tasks) >= AT_THE_DOOR:
            self._turned_away += 1
            self._measures.disconnects["protocol_error"] += 1
            if self._turned_away == 1:
                self._log("warning", "too_many_handshakes", {"limit": AT_THE_DOOR})
            leg.abort()
            return
        self._turned_away = 0
        self._measures.clients += 1
        task = asyncio.get_running_loop().create_task(self._handshake(leg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handshake(self, leg: Leg) -> None:
        """Ends with an open connection, or with exactly one cause."""
        preface = _Preface(leg)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                speaker = await preface.speaker()
                if speaker is not Speaker.AMQP:
                    leg.write(PROTOCOL_HEADER)
                    raise Refused("protocol_error", speaker.value, was_told=False)
                logged_in = await self._door.let_in(leg, preface.to_inbox())
        except Refused as refused:
            self._ended(leg, refused.cause, str(refused))
            finish(leg, awaits_answer=refused.was_told)
        except LegLost as lost:
            level = "debug" if not leg.received else "info"
            self._ended(leg, "client_closed", f"the client went away at the login: {lost}", level)
        except TimeoutError:
            text = f"no complete login within {HANDSHAKE_SECONDS:g} s; {leg.received} bytes came"
            self._ended(leg, "idle_timeout", text)
            leg.abort()
        except asyncio.CancelledError:
            self._ended(leg, "drain", "shutting down")
            leg.abort()
            raise
        except Exception as error:  # noqa: BLE001  # any fault of one handshake ends that handshake only
            self._ended(leg, "internal_error", f"this is a bug: {error!r}", "error")
            leg.abort()
        else:
            self._welcome(leg, logged_in)

    def _ended(self, leg: Leg, cause: str, text: str, level: str = "warning") -> None:
        self._measures.clients -= 1
        self._measures.disconnects[cause] += 1
        self._log(level, "client_not_let_in", {"peer": leg.peer, "cause": cause, "problem": text})


class _Preface:
    """The first bytes of a connection."""

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
