"""What the consumers do with a message, whatever brings it, and what the publishers are given."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

FAILS: Final = 100
"""Numbers from here on cannot be handled."""
FOR_GOOD: Final = 150
"""Numbers from here on are given back with the one line that asks for it not to come again at once."""
HOLDS: Final = 200
"""Numbers from here on take until the file that LETRADE_GO names is there."""
_LOOK_SECONDS: Final = 0.02


class CannotHandle(Exception):
    """The handler's own exception."""


def number_of(body: bytes) -> int:
    """What an envelope counts."""
    return int(json.loads(body)["payload"]["number"])


def work(number: int) -> None:
    """Say that it came; fail, or take long, if it is such a number.

    Raises:
        CannotHandle: it is.
    """
    say(f"got {number}")
    if FAILS <= number < HOLDS:
        raise CannotHandle(number)
    while number >= HOLDS and not _may_go():
        time.sleep(_LOOK_SECONDS)
    say(f"did {number}")


async def work_async(number: int) -> None:
    """The same, beside others."""
    say(f"got {number}")
    if FAILS <= number < HOLDS:
        raise CannotHandle(number)
    while number >= HOLDS and not _may_go():
        await asyncio.sleep(_LOOK_SECONDS)
    say(f"did {number}")


def given() -> Iterator[tuple[str, bytes]]:
    """Key and body, one after the other, until the standard input ends."""
    for line in sys.stdin:
        key, _, body = line.rstrip("\n").partition(" ")
        yield key, body.encode()


async def given_async() -> AsyncIterator[tuple[str, bytes]]:
    """The same, beside others."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        key, _, body = line.rstrip(b"\n").partition(b" ")
        yield key.decode(), body


def say(text: str) -> None:
    """One line for who started this."""
    print(text, flush=True)


def _may_go() -> bool:
    return os.path.exists(os.environ["LETRADE_GO"])
