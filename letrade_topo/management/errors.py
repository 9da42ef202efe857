"""What can go wrong between us and the management API, split by what a person does about it.

No text here ever holds a password or an Authorization header. How these errors come about is in
`faults` (no answer) and `refusals` (an answer that says no).
"""

from __future__ import annotations

from letrade_topo.errors import TopoError


class ManagementError(TopoError):
    """The management API could not be asked, or said no."""


class InvalidEndpoint(ManagementError):
    """The URL, the CA file or the login cannot be used: a usage error, found before anything is sent."""


class BrokerUnreachable(ManagementError):
    """No answer: refused, unknown host, time-out, connection lost."""


class TlsRefused(ManagementError):
    """The other side cannot be trusted, or one side speaks TLS and the other does not."""


class LoginRefused(ManagementError):
    """User or password is wrong, or this user may not log in from here."""


class NoManagementApi(ManagementError):
    """Something answers, but it is not RabbitMQ's management API."""


class MissingRight(ManagementError):
    """Logged in, but not allowed.

    Args:
        what, why, fix: as everywhere.
        user: who asked.
        tags: the management tags that user has.
        needed: the missing right, in words.
    """

    def __init__(self, what: str, *, why: str, fix: str, user: str, tags: tuple[str, ...], needed: str) -> None:
        super().__init__(what, why=why, fix=fix)
        self.user = user
        self.tags = tags
        self.needed = needed


class ReservedName(ManagementError):
    """A name that RabbitMQ keeps for itself, or that its HTTP API cannot address."""


class BrokerRefused(ManagementError):
    """The broker understood and said no.

    Args:
        what, why, fix: as everywhere.
        status: the HTTP status.
        reason: the broker's own words.
    """

    def __init__(self, what: str, *, status: int, reason: str, fix: str = "") -> None:
        super().__init__(what, why=f"the broker said (HTTP {status}): {reason or 'nothing'}", fix=fix)
        self.status = status
        self.reason = reason


class NotFound(BrokerRefused):
    """What was asked for is not there."""
