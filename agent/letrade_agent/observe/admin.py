"""The admin port: a small HTTP/1.1 server for a few pages that only read.

It shares the event loop with the relays, so what it does for one request is bounded, and so are its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import h11

from letrade_agent.config import Address
from letrade_agent.limits import DEFAULT_LIMITS, AdminLimits
from letrade_agent.log import Log
from letrade_topo.http_host import KnownHosts, misdirected

_READ_BYTES: Final = 8 * 1024

_ALWAYS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class Page(NamedTuple):
    """An answer.

    Attributes:
        body: all of it.
        content_type: with the charset.
        status: the status code.
        headers: further ones.
    """

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


class Asked(NamedTuple):
    """What a page needs to know of a request."""

    accept: str


Pages: TypeAlias = Mapping[str, Callable[[Asked], Page]]


def text(body: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """A page of plain text."""
    return Page(f"{body}\n".encode(), status=status)


class AdminServer:
    """Serves pages.

    Args:
        address: where; port 0 lets the system choose.
        pages: by path.
        log: told of pages that failed.
        hosts: under which names it may be asked.
        limits: of what asks.
    """

    def __init__(
        self,
        address: Address,
        pages: Pages,
        log: Log,
        hosts: KnownHosts,
        limits: AdminLimits = DEFAULT_LIMITS.admin,
    ) -> None:
        self._limits = limits
        self._address = address
        self._hosts = hosts
        self._pages = pages
        self._log = log
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}
        """The one that was silent for longest first."""

    async def start(self) -> Address:
        """Listen; where, with the port that the system chose.

        Raises:
            OSError: the address cannot be used.
        """
        self._server = await asyncio.start_server(self._serve, self._address.host, self._address.port)
        return Address(self._address.host, self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop, and drop every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._limits.connections:
            next(iter(self._open)).transport.abort()
        self._open[writer] = None
        with contextlib.suppress(OSError, TimeoutError):  # it went away, or takes too long
            await self._converse(_Conversation(reader, writer, self._limits))
        self._open.pop(writer, None)
        writer.close()

    async def _converse(self, conversation: _Conversation) -> None:
        try:
            while (request := await conversation.request()) is not None:
                self._open[conversation.writer] = self._open.pop(conversation.writer, None)
                await conversation.answer(request, self._page(request))
                if not conversation.goes_on():
                    return
        except h11.RemoteProtocolError as error:
            await conversation.refuse(error)

    def _page(self, request: h11.Request) -> Page:
        if request.method not in (b"GET", b"HEAD"):
            refusal = text("only GET and HEAD", HTTPStatus.METHOD_NOT_ALLOWED)
            return refusal._replace(headers=(("Allow", "GET, HEAD"),))
        asked_as = [value.decode("latin-1") for name, value in request.headers if name == b"host"]
        if not all(host in self._hosts for host in asked_as):
            return text(misdirected(asked_as[0]), HTTPStatus.MISDIRECTED_REQUEST)
        page = self._pages.get(_path(request.target))
        if page is None:
            known = "\n".join(sorted(self._pages))
            return text(f"no such page; there are\n{known}", HTTPStatus.NOT_FOUND)
        accept = ",".join(value.decode("latin-1") for name, value in request.headers if name == b"accept")
        try:
            return page(Asked(accept))
        except Exception as error:  # noqa: BLE001  # a page that fails is no reason to stop relaying
            self._log("error", "an admin page failed", {"page": _path(request.target), "problem": repr(error)})
            return text("this page failed; the log says why", HTTPStatus.INTERNAL_SERVER_ERROR)


def _path(target: bytes) -> str:
    try:
        return urlsplit(target.decode("ascii", errors="replace")).path
    except ValueError:
        return ""


class _Conversation:
    """One connection: requests and answers in turn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: AdminLimits) -> None:
        self._limits = limits
        self.writer = writer
        self._reader = reader
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._is_first = True

    async def request(self) -> h11.Request | None:
        """The next request, its body thrown away; None when there is none."""
        request: h11.Request | None = None
        body, began = 0, False
        limits = self._limits
        async with asyncio.timeout(limits.request_seconds if self._is_first else limits.idle_seconds) as limit:
            self._is_first = False
            while True:
                event: Any = self._http.next_event()
                match event:
                    case h11.NEED_DATA:
                        await self._read()
                        if not began:
                            began = True
                            limit.reschedule(asyncio.get_running_loop().time() + limits.request_seconds)
                    case h11.Request():
                        request = event
                    case h11.Data():
                        body += len(event.data)
                        if body > limits.body_bytes:
                            raise h11.RemoteProtocolError("no page takes a body", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                    case h11.EndOfMessage():
                        return request
                    case _:  # closed, or no further request on this connection
                        return None

    async def answer(self, request: h11.Request, page: Page) -> None:
        """Send a page; for HEAD its head."""
        head = h11.Response(status_code=page.status, headers=_headers(page), reason=page.status.phrase)
        data = self._http.send(head) or b""
        if request.method != b"HEAD":
            data += self._http.send(h11.Data(data=page.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)

    async def refuse(self, error: h11.RemoteProtocolError) -> None:
        """Say that this is no HTTP, as far as it can be said."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        page = text("this is not a request that can be understood", HTTPStatus(error.error_status_hint))
        head = h11.Response(status_code=page.status, headers=[*_headers(page), ("Connection", "close")])
        data = (self._http.send(head) or b"") + (self._http.send(h11.Data(data=page.body)) or b"")
        await self._write(data + (self._http.send(h11.EndOfMessage()) or b""))

    def goes_on(self) -> bool:
        """Whether the client may ask again on this connection."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _read(self) -> None:
        self._http.receive_data(await self._reader.read(_READ_BYTES))

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(self._limits.request_seconds):
            self.writer.write(data)
            await self.writer.drain()


def _headers(page: Page) -> list[tuple[str, str]]:
    return [("Content-Type", page.content_type), ("Content-Length", str(len(page.body))), *_ALWAYS, *page.headers]
