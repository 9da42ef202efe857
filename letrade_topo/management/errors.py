"""What can go wrong between us and the management API beside the connection, split by what a person does about it.

No text here ever holds a password or an Authorization header. How these errors come about is in
`faults` (no answer) and `refusals` (an answer that says no).
"""

from __future__ import annotations

from letrade_topo.broker_errors import BrokerError


class NoManagementApi(BrokerError):
    """Something answers, but it is not RabbitMQ's management API."""


class PathsRewritten(NoManagementApi):
    """Paths do not reach the broker as they are sent, so no answer about a name can be trusted."""


class MissingRight(BrokerError):
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


class ReservedName(BrokerError):
    """A name that RabbitMQ keeps for itself, or that its HTTP API cannot address."""


class BrokerRefused(BrokerError):
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
