"""What can go wrong between this tool and the broker's AMQP port. No text here ever holds a password."""

from __future__ import annotations

from letrade_topo.errors import TopoError


class InvalidEndpoint(TopoError):
    """The URL, the files or the login cannot be used: a usage error, found before anything is sent."""


class BrokerUnreachable(TopoError):
    """No answer: refused, unknown host, time-out, connection lost."""


class TlsRefused(TopoError):
    """The other side cannot be trusted, or one side speaks TLS and the other does not."""


class LoginRefused(TopoError):
    """User or password is wrong, or this user may not use this vhost."""


class QueueRefused(TopoError):
    """A queue is not there, or this user may not read it or write to it."""


class NoSuchMessage(TopoError):
    """Nothing in the queue has this id."""


class NotForThis(TopoError):
    """A guard: what was asked for is not done. Nothing was changed."""
