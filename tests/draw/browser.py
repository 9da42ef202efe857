"""Chromium, driven by its own protocol: pages as people see them, and every request that they make."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

LIMIT_SECONDS = 60
_ADDRESS = re.compile(r"DevTools listening on (ws://\S+)")

Seen = TypeVar("Seen")


@dataclass(slots=True)
class Tab:
    """An open page.

    Args:
        requests: the URL of everything that it asked for, itself first.
        problems: what was said on its console, errors and what its policy forbade among it.
    """

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self.socket.send_json(message | ({"sessionId": self.session} if self.session else {}))
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                answer = json.loads((await self.socket.receive()).data)
                self._note(answer)
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def open(self, url: str) -> None:
        """Open a page, and wait until it is drawn."""
        await self.call("Page.navigate", url=url)
        await self.wait_for("document.readyState === 'complete' && document.querySelector('#canvas svg') !== null")

    async def picture(self, path: Path) -> None:
        """Save what is seen."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Log.entryAdded":
                self.problems.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.problems.append(str(parameters["exceptionDetails"]))


def browse(
    folder: Path, visit: Callable[[Tab], Awaitable[Seen]], *, is_dark: bool = False, is_offline: bool = True
) -> Seen:
    """Visit pages with a browser of one's own.

    Args:
        folder: for what the browser keeps.
        visit: what to do there.
        is_dark: the viewer likes it dark.
        is_offline: without any network.
    """

    async def run() -> Seen:
        async with _tab(folder) as tab:
            scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
            await tab.call("Emulation.setEmulatedMedia", features=[scheme])
            if is_offline:
                limits = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
                await tab.call("Network.emulateNetworkConditions", offline=True, **limits)
            return await visit(tab)

    return asyncio.run(run())


@asynccontextmanager
async def _tab(folder: Path) -> AsyncIterator[Tab]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "there is no chromium: script/setup --test installs it"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [
                chromium,
                "--headless=new",
                "--disable-gpu",
                "--remote-debugging-port=0",
                "--window-size=1500,850",
                f"--user-data-dir={folder / 'chromium'}",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        address = await _address(process, folder / "chromium.log")
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket)
            target = (await tab.call("Target.createTarget", url="about:blank"))["targetId"]
            tab.session = (await tab.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                await tab.call(f"{domain}.enable")
            yield tab
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


async def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    async with asyncio.timeout(LIMIT_SECONDS):
        while (found := _ADDRESS.search(log.read_text(errors="replace"))) is None:
            assert process.poll() is None, log.read_text(errors="replace")
            await asyncio.sleep(0.05)
    return found[1]
