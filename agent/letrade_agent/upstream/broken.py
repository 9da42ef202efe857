"""Why there is no connection to the broker, and what the client is told."""

from __future__ import annotations

import os
import socket
import ssl
from enum import StrEnum

from letrade_agent.transport.leg import LegLost
from letrade_topo.amqp.connection_commands import ConnectionClose
from letrade_topo.amqp.faults import AmqpFault, ReplyCode, readable, shorten
from letrade_topo.reading import CannotRead


class ConnectOutcome(StrEnum):
    """The label of `broker_connect_attempts_total`."""

    OK = "ok"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    AUTH = "auth"
    VHOST = "vhost"
    PROTOCOL = "protocol"


class UpstreamBroken(Exception):
    """No connection to the broker; the text says why, in the broker's words if it said any.

    Attributes:
        outcome: what kind of failure.
        close: what the client is to be told; the broker's own words if it said any.
        is_nodes_fault: whether another node, or the same one later, may do better.
    """

    def __init__(self, outcome: ConnectOutcome, problem: str, close: ConnectionClose, *, is_nodes_fault: bool) -> None:
        super().__init__(problem)
        self.outcome = outcome
        self.close = close
        self.is_nodes_fault = is_nodes_fault


def forced(text: str) -> ConnectionClose:
    """connection.close 320, in the agent's words."""
    return ConnectionClose(
        reply_code=ReplyCode.CONNECTION_FORCED, reply_text=shorten(f"CONNECTION_FORCED - letrade-agent: {text}")
    )


def unreachable(problem: str, outcome: ConnectOutcome = ConnectOutcome.REFUSED) -> UpstreamBroken:
    """No node answers."""
    text = f"no broker node can be reached: {problem}"
    return UpstreamBroken(outcome, text, forced(text), is_nodes_fault=True)


def from_error(error: Exception) -> UpstreamBroken:
    """What went wrong with a socket, with TLS, or with what came over it."""
    outcome, problem = _classified(error)
    return UpstreamBroken(outcome, problem, forced(f"the broker cannot be used: {problem}"), is_nodes_fault=True)


def unusable_files(error: CannotRead | OSError | ValueError) -> UpstreamBroken:
    """The authority's file, or the client certificate with its key, cannot be read or used."""
    problem = f"the certificate files cannot be used: {error}"
    return UpstreamBroken(ConnectOutcome.TLS, problem, forced(problem), is_nodes_fault=True)


def _classified(error: Exception) -> tuple[ConnectOutcome, str]:
    match error:
        case LegLost():
            return (
                _classified(error.cause)
                if error.cause
                else (ConnectOutcome.PROTOCOL, "it closed the connection at the login")
            )
        case AmqpFault():
            return ConnectOutcome.PROTOCOL, f"it does not speak AMQP 0-9-1 as expected: {error}"
        case TimeoutError():
            return ConnectOutcome.TIMEOUT, "it did not answer in time"
        case socket.gaierror():
            return ConnectOutcome.DNS, f"its name cannot be resolved: {error.strerror}"
        case ssl.SSLCertVerificationError():
            return ConnectOutcome.TLS, f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return ConnectOutcome.TLS, f"TLS failed: {error.reason or error}"
        case _:
            number = getattr(error, "errno", None)
            return ConnectOutcome.REFUSED, os.strerror(number).lower() if number else str(error)


def from_close(close: ConnectionClose) -> UpstreamBroken:
    """The broker refused, and said why: a login, a vhost, too many connections, or that it is going down."""
    match close.reply_code:
        case ReplyCode.ACCESS_REFUSED:
            outcome = ConnectOutcome.AUTH
        case ReplyCode.NOT_ALLOWED | ReplyCode.NOT_FOUND | ReplyCode.INVALID_PATH:
            outcome = ConnectOutcome.VHOST
        case ReplyCode.CONNECTION_FORCED:
            outcome = ConnectOutcome.REFUSED
        case _:
            outcome = ConnectOutcome.PROTOCOL
    problem = readable(close.reply_text)
    return UpstreamBroken(
        outcome, problem, close, is_nodes_fault=outcome in (ConnectOutcome.REFUSED, ConnectOutcome.PROTOCOL)
    )
