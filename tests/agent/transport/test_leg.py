"""One socket's end, whatever the other side has done before."""

from __future__ import annotations

import asyncio
import socket
import struct

from letrade_agent.transport.leg import Leg

LIMIT_SECONDS = 60.0


async def _made() -> tuple[Leg, set[Leg], socket.socket]:
    """A leg and its other end, a blocking socket."""
    loop = asyncio.get_running_loop()
    open_legs: set[Leg] = set()
    made: asyncio.Future[Leg] = loop.create_future()
    server = await loop.create_server(lambda: Leg(open_legs, made.set_result), "127.0.0.1", 0)
    peer = socket.create_connection(server.sockets[0].getsockname(), LIMIT_SECONDS)
    leg = await made
    server.close()
    return leg, open_legs, peer


async def _closes(open_legs: set[Leg]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while open_legs:
            await asyncio.sleep(0.001)


def test_the_end_of_a_leg_that_was_reset_before_anybody_heard() -> None:
    """ENOTCONN of the socket is no error of the agent's: the leg closes."""

    async def reset() -> None:
        leg, open_legs, peer = await _made()
        leg.pause_reading()  # so that asyncio does not hear of the reset
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        leg.end_writing()
        await _closes(open_legs)

    asyncio.run(reset())


def test_the_end_of_a_leg_says_that_nothing_more_comes() -> None:
    """The other side reads all, then the end; the leg goes on reading."""

    async def end() -> None:
        leg, open_legs, peer = await _made()
        leg.write(b"last")
        leg.end_writing()
        await asyncio.sleep(0)
        assert peer.recv(16) == b"last"
        assert peer.recv(16) == b""
        assert open_legs == {leg}
        peer.close()
        await _closes(open_legs)

    asyncio.run(end())
