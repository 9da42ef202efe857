"""What each client library does by its defaults beside an agent: one literal table, for the tests and for the docs.

A row says what is asserted of the programs in `programs/`, `node/`, `go/` and `java/`; docs/reference/clients.md shows
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.clients.built import go_program, java_program
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


class WithoutConfirms(StrEnum):
    """What a program hears of a refusal on a channel without confirms."""

    LEARNS = "the next publishes say it"
    HIDES = "nothing: its library opens the channel again, and keeps for then what is published meanwhile"
    HIDES_LATER = "nothing, unless it publishes while its library opens the channel again"


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
        plain: of a refusal on a channel without confirms.
        line: what to add, and why; empty: it works as it is.
        consumer_with_line, publisher_with_line: with that line, if that is otherwise.
        connects_on_demand: whether its publisher comes back when there is something to publish, not before.
    """

    name: str
    slug: str
    version: Callable[[], str]
    command: Callable[[], list[str]]
    given_back: GivenBack
    consumer: Again
    publisher: Again
    plain: WithoutConfirms = WithoutConfirms.LEARNS
    line: str = ""
    consumer_with_line: Again | None = None
    publisher_with_line: Again | None = None
    connects_on_demand: bool = False


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


def _found(file: Path, pattern: str) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"))
    assert found is not None, file
    return found[1]


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
        consumer_with_line=Again.BY_ITSELF,
        publisher_with_line=Again.BY_ITSELF,
    ),
    LibraryDefaults(
        "aio-pika, `connect_robust`",
        "aio-pika-robust",
        _python("aio-pika"),
        lambda: python("aio_pika_robust"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        plain=WithoutConfirms.HIDES_LATER,
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
        publisher_with_line=Again.BY_ITSELF,
    ),
    LibraryDefaults(
        "FastStream",
        "faststream",
        _python("faststream"),
        lambda: python("faststream_rabbit"),
        GivenBack.LADDER,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        plain=WithoutConfirms.HIDES_LATER,
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
        plain=WithoutConfirms.HIDES,
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
        plain=WithoutConfirms.HIDES,
        line=_LEAVE_CONFIRMS,
    ),
)
"""Those that script/setup installs: asked in every run of the tests."""

BUILT: Final = (
    LibraryDefaults(
        "amqp091-go",
        "amqp091-go",
        lambda: _found(_HERE / "go" / "go.mod", r"amqp091-go v(\S+)"),
        go_program,
        GivenBack.AT_ONCE,
        Again.DEAF,
        Again.ENDS,
        line="`log.Fatal` behind the loop over deliveries in place of `<-forever`: the loop ends with the connection,"
        f" and the program waits; `d.Nack(false, false)` {_NOT_AT_ONCE}",
        consumer_with_line=Again.ENDS,
    ),
    LibraryDefaults(
        "RabbitMQ Java client",
        "java",
        lambda: _found(_HERE / "java" / "pom.xml", r"<rabbit-amqp-client.version>([^<]+)"),
        lambda: java_program("letrade.JavaClient"),
        GivenBack.AT_ONCE,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        line="`channel.confirmSelect()` and `waitForConfirmsOrDie`, to learn of a refusal where it is published;"
        f" `basicNack(tag, false, false)` {_NOT_AT_ONCE}",
    ),
    LibraryDefaults(
        "Spring AMQP, with Spring Boot",
        "spring",
        lambda: _found(_HERE / "java" / "pom.xml", r"starter-parent</artifactId>\s*<version>([^<]+)"),
        lambda: java_program("letrade.SpringClient"),
        GivenBack.AT_ONCE,
        Again.BY_ITSELF,
        Again.BY_ITSELF,
        plain=WithoutConfirms.HIDES_LATER,
        line="`spring.rabbitmq.publisher-confirm-type=correlated`, and the future of `CorrelationData` looked at: else"
        " a refusal is an error in its log alone; `spring.rabbitmq.listener.simple.default-requeue-rejected=false`"
        f" {_NOT_AT_ONCE}",
        connects_on_demand=True,
    ),
)
"""Those that are built first: asked by script/soak."""

ALL: Final = (*INSTALLED, *BUILT)
