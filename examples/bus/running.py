"""How the examples that run until they are stopped do so."""

import asyncio
import signal


async def until_stopped(name: str) -> None:
    """Until Ctrl-C or SIGTERM; then the bus is closed in order by whoever opened it."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"{name:<19} is ready", flush=True)
    await stopped.wait()
