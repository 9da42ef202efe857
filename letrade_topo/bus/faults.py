"""From aio-pika's errors to ours: why no connection came about.

By their types and reply codes, never by their texts, which change from one version to the next; the texts are shown.
Of a connection that is closed while it is opened, aiormq (7.2) says that another frame was expected, and not which
reply code came: whoever answers there speaks AMQP, and that much is said.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from typing import Final

from aiormq import exceptions

from letrade_topo.bus.errors import ConfigurationError, NotConnected

_NOT_ALLOWED: Final = 530
"""AMQP 0-9-1, reply codes: the vhost is missing, or not for this user."""


def explain_unreachable(
    error: BaseException, address: str, vhost: str, service: str
) -> NotConnected | ConfigurationError:
    """Why no connection came about.

    Args:
        error: what the library raised.
        address: HOST:PORT that was called.
        vhost: that was asked for.
        service: of whom this bus is.
    """
    causes, text = tuple(_causes(error)), said(error)
    if any(
        isinstance(each, exceptions.AuthenticationError | exceptions.ProbableAuthenticationError) for each in causes
    ):
        return ConfigurationError(
            f"the login at {address} was refused",
            why=text,
            fix="where the agent refuses, put its local password into LETRADE_URL; where the broker refuses the "
            "agent, see the agent's log: its certificate or password is not the one of this service's user",
        )
    if any(_is_not_allowed(each) for each in causes):
        return ConfigurationError(
            f"{address} does not let the bus into the vhost {vhost!r}",
            why=text,
            fix="the agent and this service have to use the same topology: see LETRADE_TOPOLOGY",
        )
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return NotConnected(
            f"no TLS connection to {address}",
            why=text,
            fix="an agent listens in plain AMQP: amqp://127.0.0.1:PORT; a broker's authority goes into the URL: "
            "amqps://HOST:PORT?cafile=FILE",
        )
    if any(isinstance(each, exceptions.InvalidFrameError | exceptions.ConnectionClosed) for each in causes):
        return NotConnected(
            f"{address} closes the connection instead of opening the vhost {vhost!r}",
            why=f"it serves another vhost, or it is an agent without its broker; its log says which ({text})",
            fix="check the vhost in LETRADE_URL and the topology in LETRADE_TOPOLOGY, and the agent's status page",
        )
    return NotConnected(
        f"no connection to {address}",
        why=text,
        fix=f"is the agent running? `letrade-agent run --service {service}`; where it listens goes into LETRADE_URL",
    )


def said(error: BaseException | None) -> str:
    """What an exception of the library says, in one line."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return "without a word"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    parts: Sequence[object] = error.args
    return " ".join(str(part) for part in parts if part is not None) or type(error).__name__


def _is_not_allowed(error: BaseException) -> bool:
    if isinstance(error, exceptions.ConnectionNotAllowed):
        return True
    return isinstance(error, exceptions.ConnectionClosed) and error.args[:1] == (_NOT_ALLOWED,)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
