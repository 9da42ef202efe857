"""No usable answer: what an exception of the HTTP library means, and what to do about it.

Foreign exceptions end here; only `transport` catches them.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Final

import requests
import urllib3.exceptions

from letrade_topo.broker_errors import BrokerError, BrokerUnreachable, InvalidEndpoint, TlsRefused
from letrade_topo.management.calls import Call
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import NoManagementApi

_TIMEOUTS: Final = requests.Timeout | urllib3.exceptions.TimeoutError

# X509_V_ERR_* of OpenSSL, which Python's ssl module passes through as numbers.
_NOT_YET_VALID, _EXPIRED = 9, 10
_HOST_MISMATCHES = frozenset({62, 64})  # host name, IP address
# What OpenSSL reports when the other side does not speak TLS at all, by version and platform.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
FOREIGN: Final = (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError)
"""What a call can raise: requests wraps most of what urllib3 raises, and which of it differs by version."""

_TLS_ALERT_RECORD = "\x15\x03"


def is_worth_repeating(error: Exception) -> bool:
    """Whether the same call may well succeed in a moment: the connection was refused, or broke.

    A kept-alive connection that the broker closed in the same instant looks like this too. Never
    after a time-out (the limit is long; thrice that helps nobody) nor after a TLS failure.
    """
    if isinstance(error, requests.exceptions.SSLError | _TIMEOUTS) or _speaks_tls_to_http(error):
        return False
    return any(isinstance(cause, ConnectionError | http.client.IncompleteRead) for cause in _causes(error))


def explain(error: Exception, endpoint: ManagementEndpoint, call: Call, tried: int) -> BrokerError:
    """What happened, for the person who runs the tool.

    Args:
        error: what the HTTP library raised.
        endpoint: who was called.
        call: for what.
        tried: how often it was sent.
    """
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError | UnicodeError):
        return InvalidEndpoint(f"the management URL {endpoint.url} cannot be used", why=str(error))
    if _speaks_tls_to_http(error):
        return TlsRefused(
            f"{endpoint.host_and_port} speaks TLS, but was called with plain http",
            why="it answered with a TLS alert",
            fix=f"use https://{endpoint.host_and_port}",
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return tls_refused(cause, endpoint)
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
            return NoManagementApi(
                f"what answers at {endpoint.host_and_port} does not speak HTTP",
                why=f"its answer begins with {str(cause)[:20]!r}",
                fix="give the port of the management plugin (usually 15671), not one of AMQP (5671, 5672)",
            )
    return _unreachable(error, endpoint, call, tried)


def tls_refused(error: ssl.SSLError, endpoint: ManagementEndpoint) -> TlsRefused:
    """What went wrong while TLS was agreed on, for the person who runs the tool."""
    where = endpoint.host_and_port
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, where, endpoint)
    if (error.reason or "") in _NOT_TLS:
        return TlsRefused(
            f"{where} does not speak TLS",
            why="it answered https with something else: plain http, or another protocol such as AMQP",
            fix="give the port of the management plugin's TLS listener (usually 15671); plain http only on this"
            " machine, with http:// and --insecure-loopback",
        )
    return TlsRefused(
        f"no TLS connection with {where} could be agreed on",
        why=f"TLS 1.2 or newer is needed; OpenSSL says: {error.reason or error}",
        fix="check the broker's management.ssl.* settings: versions, certificate and key that belong together,"
        " and whether a client certificate is demanded",
    )


def _certificate(error: ssl.SSLCertVerificationError, where: str, endpoint: ManagementEndpoint) -> TlsRefused:
    if error.verify_code in _HOST_MISMATCHES:
        return TlsRefused(
            f"the certificate of {where} is not for this host name",
            why=error.verify_message,
            fix="call the broker by a name that its certificate holds (subjectAltName), or have that name added;"
            " --ca-file does not help here",
        )
    if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
        return TlsRefused(
            f"the certificate of {where} is not valid at this time",
            why=error.verify_message,
            fix="renew the broker's certificate, or set the clock of this machine right",
        )
    trusted = f"the authorities in {endpoint.ca_file}" if endpoint.ca_file else "this system's authorities"
    return TlsRefused(
        f"the certificate of {where} is not trusted",
        why=f"none of {trusted} signed it ({error.verify_message})",
        fix="give the certificate of the authority that signed it with --ca-file FILE (PEM)",
    )


def _unreachable(error: Exception, endpoint: ManagementEndpoint, call: Call, tried: int) -> BrokerUnreachable:
    times = "" if tried == 1 else f", {tried} times"
    what = f"the broker at {endpoint.host_and_port} does not answer"
    attempt = f"tried to {call.doing} ({call.method}{times})"
    for cause in _causes(error):
        match cause:
            case socket.gaierror() | urllib3.exceptions.NameResolutionError():
                return BrokerUnreachable(
                    what, why=f"{attempt}: the host name is unknown here", fix="check the name in --management, and DNS"
                )
            case ConnectionRefusedError():
                return BrokerUnreachable(
                    what,
                    why=f"{attempt}: the connection was refused, nothing listens there",
                    fix="check that the broker runs, that rabbitmq_management is enabled"
                    " (rabbitmq-plugins enable rabbitmq_management) and the port in --management",
                )
    if isinstance(error, _TIMEOUTS):
        return BrokerUnreachable(
            what,
            why=f"{attempt}: no answer in time",
            fix="check the network and firewalls on the way, and whether the broker is overloaded or has lost its"
            " majority of nodes",
        )
    return BrokerUnreachable(
        what,
        why=f"{attempt}: the connection was lost ({_last_words(error)})",
        fix="check that the broker runs and that this port is its management API; then run the same again",
    )


def _speaks_tls_to_http(error: BaseException) -> bool:
    return any(
        isinstance(cause, http.client.BadStatusLine) and str(cause).startswith(_TLS_ALERT_RECORD)
        for cause in _causes(error)
    )


def _last_words(error: BaseException) -> str:
    *_, innermost = _causes(error)
    return str(innermost) or type(innermost).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what is wrapped in it, outermost first: the libraries wrap in four different ways."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__)
        waiting += [each for each in inner if isinstance(each, BaseException)]
