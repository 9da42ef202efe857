"""What each client library does by its defaults beside an agent: one literal table, for the tests and for the docs.

A row says what is asserted of the programs in `programs/`, `node/`, `go/` and `java/`; docs/reference/clients.md shows
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.clients.program import node, python
from tests.lock.agreement import LOCK, pins

_HERE: Final = Path(__file__).resolve().parent
_INTEROP: Final = _HERE.parent / "interop"


class Again(StrEnum):
    """What becomes of a program whose connection was ended."""

    BY_ITSELF = "comes back by itself"
    ENDS = "the program ends"
    DEAF = "the program stays and hears nothing any more"


class GivenBack(StrEnum):
    """What becomes of a message that a handler cannot handle, given back as the library does it by default."""

    LADDER = "the retry delays, then dead"
    AT_ONCE = "again at once, up to the delivery limit; then the retry delays, then dead"


@dataclass(frozen=True, slots=True)
class LibraryDefaults:
    """One library, as its documentation uses it.

    Args:
        name: as people call it.
        slug: in the names of its queue and key.
        version: that is run, from where it is locked.
        command: how its program is started, without the role.
        given_back: a message that cannot be handled.
        consumer, publisher: after the agent or the broker was restarted.
        hides_when_plain: whether it says nothing of a refusal on a channel without confirms.
        line: what to add, and why; empty: it works as it is.
        with_line: whether consumer and publisher come back by themselves with that line.
    """

    name: str
    slug: str
    version: Callable[[], str]
    command: Callable[[], list[str]]
    given_back: GivenBack
    consumer: Again
    publisher: Again
    hides_when_plain: bool = False
    line: str = ""
    with_line: bool = False


def _python(package: str) -> Callable[[], str]:
    def version() -> str:
        (found,) = {pin.version for pin in pins(LOCK.read_text(encoding="utf-8")) if pin.name == package}
        return found

    return version


def _node(package: str) -> Callable[[], str]:
    def version() -> str:
        lock = json.loads((_INTEROP / "node" / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{package}"]["version"])

    return version


_NOT_AT_ONCE: Final = "asks for it not to come again at once"
_LEAVE_CONFIRMS: Final = "leave its confirms on: without them it opens a closed channel again and says nothing"

INSTALLED: Final = (
    LibraryDefaults(
        "pika, BlockingConnection",
        "pika",
        _python("pika"),
        lambda: python("pika_blocking"),
        GivenBack.AT_ONCE,
        Again.ENDS,
        Again.ENDS,
        line="`channel.confirm_delivery()`, to learn of a refusal where it is published;"
        f" `basic_reject(tag, requeue=False)` {_NOT_AT_ONCE}. It never reconnects: whatever starts the program"
        " starts it again",
    ),
    LibraryDefaults(
        "pika, AsyncioConnection",
        "pika-asyncio",
        _python("pika"),
        lambda: python("pika_asyncio"),
        GivenBack.AT_ONCE,
        Again.ENDS,
        Again.ENDS,
        line=f"as with BlockingConnection: `confirm_delivery(callback)`, and `requeue=False` {_NOT_AT_ONCE}",
    ),
    LibraryDefaults(
        "aio-pika, `connect`",
        "aio-pika",
        _python("aio-pika"),
        lambda: python("aio_pika_plain"),
        GivenBack.LADDER,
        Again.DEAF,
        Again.ENDS,
        line="`connect_robust` in place of `connect`: without it a consumer that waits for ever is not told that its"
        " connection has ended, by an agent or by a broker",
        with_line=True,
    ),
    LibraryDefaults(
        "aio-pika, `connect_robust`",
        "aio-pika-robust",
        _python("aio-pika"),
        lambda: python("aio_pika_robust"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        hides_when_plain=True,
        line=_LEAVE_CONFIRMS,
    ),
    LibraryDefaults(
        "kombu",
        "kombu",
        _python("kombu"),
        lambda: python("kombu_mixin"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.ENDS,
        line='`Connection(…, transport_options={"confirm_publish": True})`, to learn of a refusal where it is'
        " published; `publish(…, retry=True)`, to stay when the connection has ended",
        with_line=True,
    ),
    LibraryDefaults(
        "FastStream",
        "faststream",
        _python("faststream"),
        lambda: python("faststream_rabbit"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        hides_when_plain=True,
        line="`RabbitBroker(url, app_id=None)`, or the service's name: by default it writes `faststream-` and its"
        " version there, and every publish is refused, since `app_id` says who sent the message",
    ),
    LibraryDefaults(
        "amqplib",
        "amqplib",
        _node("amqplib"),
        lambda: node("amqplib"),
        GivenBack.AT_ONCE,
        Again.ENDS,
        Again.ENDS,
        line="`connection.on('close', () => process.exit(1))`: by itself a consumer ends without a word, with exit code"
        f" 0; `channel.reject(message, false)` {_NOT_AT_ONCE}",
    ),
    LibraryDefaults(
        "amqp-connection-manager",
        "amqp-connection-manager",
        _node("amqp-connection-manager"),
        lambda: node("amqp-connection-manager"),
        GivenBack.AT_ONCE,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        hides_when_plain=True,
        line=f"`nack(message, false, false)` {_NOT_AT_ONCE}; {_LEAVE_CONFIRMS}",
    ),
    LibraryDefaults(
        "rascal",
        "rascal",
        _node("rascal"),
        lambda: node("rascal"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        hides_when_plain=True,
        line=_LEAVE_CONFIRMS,
    ),
)
"""Those that script/setup installs: asked in every run of the tests."""

ALL: Final = INSTALLED
