"""How each client library tells its program that a publish was refused: one literal table.

On a channel with confirms a refusal is a basic.nack, before it a basic.return with the reason where the publish was
mandatory. That is what a broker does, and most libraries make an exception, an error or an answer of it. Some hide it
from a program that keeps to their defaults; those, told by the client properties of their connection.start-ok, get the
form that they cannot hide. On a channel without confirms there is one form alone, for all: channel.close.

A library that is not in the table gets the ordinary form: what AMQP says, and what a broker would do.

Sources are the libraries' own code. `tests/interop/test_library_defaults.py` asks those that can be had.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from letrade_topo.amqp.header_table import HeaderTable
from letrade_topo.amqp.wire import long_string_value


class RefusalForm(StrEnum):
    """What a client gets for a refused publish on a channel with confirms."""

    RETURN_AND_NACK = "return if mandatory, nack"
    NACK = "nack alone"
    CLOSE = "channel.close"


class Library(NamedTuple):
    """A client library.

    Attributes:
        name: as people call it.
        product: that it sends, in its client properties.
        platform: how the property begins that tells it from others of that product; empty: none has to.
        form: what it gets.
        learns: how a program that keeps to the defaults learns of a refusal on a channel with confirms.
        without_confirms: how it does on one without, where the channel is closed.
    """

    name: str
    product: str
    platform: str
    form: RefusalForm
    learns: str
    without_confirms: str


_ORDINARY: Final = RefusalForm.RETURN_AND_NACK

LIBRARIES: Final = (
    Library(
        "pika",
        "Pika Python Client Library",
        "",
        _ORDINARY,
        "`basic_publish` raises `NackError`, with what was returned",
        "the next call raises `ChannelWrongStateError` or `ChannelClosedByBroker`; the reason is in pika's log, too",
    ),
    Library(
        "aio-pika, aiormq",
        "aiormq",
        "",
        # mandatory is aio-pika's default, and a return makes the publish a success: the nack behind it is ignored
        # (aiormq, Channel._on_return_frame, with on_return_raises=False)
        RefusalForm.NACK,
        "`await exchange.publish(…)` raises `DeliveryError`; the reason is in the agent's log",
        "the next call raises `ChannelAccessRefused` or its like, with the reason; a robust channel opens again and"
        " says nothing: leave confirms on",
    ),
    Library(
        "kombu, Celery (py-amqp)",
        "py-amqp",
        "",
        _ORDINARY,
        "`publish` raises `MessageNacked`, or with `mandatory` `AccessRefused` or its like, with the reason",
        "the next `publish` raises `AccessRefused` or its like, with the reason; a program that ends before learns"
        " nothing: set `confirm_publish`",
    ),
    Library(
        "amqplib; amqp-connection-manager, rascal",
        "amqplib",
        "",
        _ORDINARY,
        "the callback of `publish` gets an error, `waitForConfirms` rejects; so does `publish` of"
        " amqp-connection-manager; rascal's publication emits `error`",
        "the channel emits `error` with the reason, which ends a program that does not listen; the other two open it"
        " again: leave confirms on",
    ),
    Library(
        "amqp091-go",
        "AMQP 0.9.1 Client",
        "",
        _ORDINARY,
        "`DeferredConfirmation.Wait` answers false, `NotifyPublish` gets `Ack: false`; `NotifyReturn` the reason",
        "`NotifyClose` gets the reason; the next call answers `ErrClosed`",
    ),
    Library(
        "RabbitMQ Java client; Spring AMQP",
        "RabbitMQ",
        "Java",
        _ORDINARY,
        "`waitForConfirmsOrDie` throws, `waitForConfirms` answers false; Spring's `CorrelationData` has a nack",
        "the next call throws `AlreadyClosedException` with the reason; Spring writes it to its log as an error",
    ),
    Library(
        "RabbitMQ .NET client",
        "RabbitMQ",
        ".NET",
        _ORDINARY,
        "with confirmation tracking `BasicPublishAsync` throws `PublishException`, with the reason of a return",
        "the next call throws `AlreadyClosedException` with the reason",
    ),
    Library(
        "Bunny",
        "Bunny",
        "",
        _ORDINARY,
        "`wait_for_confirms` answers false; with tracking `publish` raises `MessageNacked`",
        "the next call raises `Bunny::AccessRefused` or its like, with the reason",
    ),
    Library(
        "php-amqplib",
        "AMQPLib",
        "PHP",
        # wait_for_pending_acks drops a nack and a return for which no handler is set (AMQPChannel.php)
        RefusalForm.CLOSE,
        "`wait_for_pending_acks` throws `AMQPProtocolChannelException` with the reason",
        "the next call that waits, or `close()`, throws the same",
    ),
    Library(
        "lapin",
        "lapin",
        "",
        # `publish(…).await?.await?` is Ok(Confirmation::Nack): the question marks see nothing (publisher_confirm.rs)
        RefusalForm.CLOSE,
        "the confirmation is an `Err` with the reason",
        "the next call is an `Err` with the reason",
    ),
    Library(
        "letrade-topo's MessageBus",
        "letrade-topo",
        "",
        _ORDINARY,
        "`publish` raises `PublishRefused` with the reason",
        "it always has confirms",
    ),
)


def library_of(client: HeaderTable) -> Library | None:
    """Which library a client uses; None: one that is not known.

    Args:
        client: the properties of its connection.start-ok.
    """
    product, platform = (_text(client, name) for name in (b"product", b"platform"))
    for library in LIBRARIES:
        if product == library.product and platform.startswith(library.platform):
            return library
    return None


def form_for(client: HeaderTable) -> RefusalForm:
    """What form a refusal takes for a client.

    Args:
        client: the properties of its connection.start-ok.
    """
    library = library_of(client)
    return _ORDINARY if library is None else library.form


def _text(table: HeaderTable, name: bytes) -> str:
    return (long_string_value(table.get(name) or b"V") or b"").decode(errors="replace")
