"""A port of loopback that leads to a Unix socket, for client libraries that know none: bytes, as they come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.loops import end_all
from tests.ports import LOOPBACK, free_port

_READ_BYTES = 65_536


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                writer.write(data)
                await writer.drain()
    except asyncio.CancelledError:
        writer.transport.abort()  # the test is over: what is not written yet keeps no socket open
        raise
    with suppress(OSError):
        writer.close()


async def _relayed(path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there, back = await asyncio.open_unix_connection(path)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pump(reader, back), _pump(there, writer))


@contextmanager
def relay_to(path: Path, port: int | None = None) -> Iterator[int]:
    """Lead a port to a socket; which port it is.

    Args:
        path: of the socket; asked for at each connection.
        port: that is free; one is chosen without it.
    """
    loop = asyncio.new_event_loop()
    chosen = free_port() if port is None else port
    server = loop.run_until_complete(asyncio.start_server(lambda *pair: _relayed(path, *pair), LOOPBACK, chosen))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def end() -> None:
        server.close()
        await end_all()

    try:
        yield chosen
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
