"""From pika's errors to one message for the person who runs the tool. Never holds a password."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from pika import exceptions

from letrade_topo.broker_errors import BrokerUnreachable, LoginRefused, TlsRefused
from letrade_topo.errors import TopoError
from letrade_topo.queues.endpoint import AmqpEndpoint
from letrade_topo.queues.errors import QueueRefused

_NOT_FOUND, _ACCESS_REFUSED, _NOT_ALLOWED = 404, 403, 530
_HOST_MISMATCHES = frozenset({62, 64})  # X509_V_ERR_*: host name, IP address


def explain_unreachable(endpoint: AmqpEndpoint, error: BaseException) -> TopoError:
    """Why no connection came about."""
    where = endpoint.host_and_port
    what = f"the broker at {where} does not answer"
    for cause in _causes(error):
        match cause:
            case ssl.SSLError():
                return _tls(endpoint, cause)
            case exceptions.ProbableAuthenticationError() | exceptions.AuthenticationError():
                return _login(endpoint, "wrong user name or password")
            case exceptions.ConnectionClosedByBroker():
                return _closed_by_broker(endpoint, cause)
            case exceptions.ProbableAccessDeniedError():
                return _login(endpoint, f"no access to the vhost {endpoint.vhost!r}")
            case exceptions.IncompatibleProtocolError():
                return TlsRefused(
                    f"what answers at {where} ended the connection before AMQP began",
                    why="it may want a client certificate, or speak plain AMQP, or something else",
                    fix="check the port (AMQP over TLS is usually 5671), and give --cert-file and --key-file if needed",
                )
            case socket.gaierror():
                return BrokerUnreachable(
                    what, why="the host name is unknown here", fix="check the name in --amqp, and DNS"
                )
            case ConnectionRefusedError():
                return BrokerUnreachable(
                    what,
                    why="the connection was refused, nothing listens there",
                    fix="check that the broker runs, and the port in --amqp",
                )
    last = list(_causes(error))[-1]
    return BrokerUnreachable(what, why=_words(last), fix="check that the broker runs, and --amqp")


def explain_closed(endpoint: AmqpEndpoint, error: BaseException) -> TopoError:
    """Why an open connection ended."""
    for cause in _causes(error):
        if isinstance(cause, exceptions.ConnectionClosedByBroker):
            return _closed_by_broker(endpoint, cause)
    return BrokerUnreachable(f"the connection to the broker at {endpoint.host_and_port} was lost", why=_words(error))


def explain_refused(endpoint: AmqpEndpoint, error: BaseException) -> TopoError:
    """Why a channel ended: the broker refused what was asked for."""
    if not isinstance(error, exceptions.ChannelClosedByBroker):
        return explain_closed(endpoint, error)
    said = f"the broker said ({error.reply_code}): {error.reply_text}"
    if error.reply_code == _NOT_FOUND:
        return QueueRefused(
            "there is no such queue", why=said, fix="`letrade-topo apply` makes what the topology file declares"
        )
    if error.reply_code == _ACCESS_REFUSED:
        user = endpoint.login.username or "of the certificate"
        return QueueRefused(
            f"the user {user} has not the right to do that",
            why=said,
            fix="looking takes the right to read the queue, replaying to write to amq.default (with --fan-out, to the "
            "exchange)",
        )
    return QueueRefused("the broker refused", why=said)


def _closed_by_broker(endpoint: AmqpEndpoint, error: exceptions.ConnectionClosedByBroker) -> TopoError:
    said = f"the broker said ({error.reply_code}): {error.reply_text}"
    if error.reply_code == _ACCESS_REFUSED:
        return _login(endpoint, said)
    if error.reply_code == _NOT_ALLOWED:
        return LoginRefused(
            f"the broker at {endpoint.host_and_port} gives no access to the vhost {endpoint.vhost!r}",
            why=said,
            fix="the vhost is that of the topology file; `letrade-topo apply` makes it",
        )
    return BrokerUnreachable(f"the broker at {endpoint.host_and_port} ended the connection", why=said)


def _login(endpoint: AmqpEndpoint, why: str) -> LoginRefused:
    who = f"the user {endpoint.login.username!r}" if endpoint.login.username else "this certificate"
    return LoginRefused(
        f"the broker at {endpoint.host_and_port} refused the login of {who}",
        why=why,
        fix="check --username and --password-file, or --cert-file and --key-file",
    )


def _tls(endpoint: AmqpEndpoint, error: ssl.SSLError) -> TlsRefused:
    where = endpoint.host_and_port
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOST_MISMATCHES:
            return TlsRefused(
                f"the certificate of {where} is not for this host name",
                why=error.verify_message,
                fix="call the broker by a name that its certificate holds (subjectAltName)",
            )
        return TlsRefused(
            f"the certificate of {where} is not trusted",
            why=error.verify_message,
            fix="give the certificate of the authority that signed it with --ca-file FILE (PEM)",
        )
    return TlsRefused(
        f"no TLS connection with {where} could be agreed on",
        why=f"OpenSSL says: {error.reason or error}",
        fix="check the port (AMQP over TLS is usually 5671), and whether a client certificate is demanded",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is inside it, as deep as pika packs it."""
    todo, seen = [error], set()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [each for each in one.args if isinstance(each, BaseException)]
        for name in ("exception", "__cause__", "__context__"):
            inner = getattr(one, name, None)
            if isinstance(inner, BaseException):
                todo.append(inner)
        todo += [each for each in getattr(one, "exceptions", ()) if isinstance(each, BaseException)]


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
