"""Event loops that tests run in threads of their own: how one ends without leaving a socket open."""

from __future__ import annotations

import asyncio

_TURNS = 3


async def end_all() -> None:
    """End every other task of this loop, and let what they close be closed; then the loop may stop.

    A transport that is closed gives its socket up in the loop's next turn (asyncio, `_call_connection_lost`); in a loop
    that is closed before that, the collector finds it later, in the middle of some other test.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
