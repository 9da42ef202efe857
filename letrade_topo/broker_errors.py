"""Why a broker cannot be asked, over HTTPS or AMQP, split by what a person does about it.

No text here ever holds a password.
"""

from __future__ import annotations

from letrade_topo.errors import TopoError


class BrokerError(TopoError):
    """The broker could not be asked, or said no."""


class InvalidEndpoint(BrokerError):
    """The URL, the files or the login cannot be used: a usage error, found before anything is sent."""


class BrokerUnreachable(BrokerError):
    """No answer: refused, unknown host, time-out, connection lost."""


class TlsRefused(BrokerError):
    """The other side cannot be trusted, or one side speaks TLS and the other does not."""


class LoginRefused(BrokerError):
    """User or password is wrong, or this user may not log in from here, or not use this vhost."""
