"""Why no connection came about: by types and reply codes, in whatever words a version of the library puts it."""

from __future__ import annotations

import ssl

import pytest
from aiormq import exceptions

from letrade_topo.bus.errors import BusError, ConfigurationError, NotConnected
from letrade_topo.bus.faults import explain_unreachable


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    """An error as `raise error from cause` leaves it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "what"),
    [
        (exceptions.ProbableAuthenticationError("nope"), ConfigurationError, "the login at h:1 was refused"),
        (exceptions.AuthenticationError([], []), ConfigurationError, "the login at h:1 was refused"),
        (exceptions.ConnectionNotAllowed("nope"), ConfigurationError, "does not let the bus into the vhost 'v'"),
        (exceptions.ConnectionClosed(530, "nope"), ConfigurationError, "does not let the bus into the vhost 'v'"),
        (exceptions.ConnectionClosed(541, "nope"), NotConnected, "instead of opening the vhost 'v'"),
        (exceptions.InvalidFrameError("nope"), NotConnected, "instead of opening the vhost 'v'"),
        (
            raised_from(exceptions.AMQPConnectionError(1, "nope"), ssl.SSLCertVerificationError(1, "nope")),
            NotConnected,
            "no TLS connection to h:1",
        ),
        (raised_from(OSError("nope"), ssl.SSLZeroReturnError(6, "nope")), NotConnected, "no TLS connection to h:1"),
        (exceptions.AMQPConnectionError("OpenSSL is mentioned", "nope"), NotConnected, "no connection to h:1"),
        (ConnectionRefusedError(111, "nope"), NotConnected, "no connection to h:1"),
        (TimeoutError("nope"), NotConnected, "no connection to h:1"),
    ],
)
def test_what_an_error_of_the_library_means(error: BaseException, kind: type[BusError], what: str) -> None:
    """None of the texts has a word that tells."""
    found = explain_unreachable(error, "h:1", "v", "shop")

    assert type(found) is kind
    assert what in str(found)
