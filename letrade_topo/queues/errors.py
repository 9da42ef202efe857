"""What can go wrong with what lies in queues, beside the connection."""

from __future__ import annotations

from letrade_topo.broker_errors import BrokerError
from letrade_topo.errors import TopoError


class QueueRefused(BrokerError):
    """A queue is not there, or this user may not read it or write to it."""


class NoSuchMessage(TopoError):
    """Nothing in the queue has this id."""


class NotForThis(TopoError):
    """A guard: what was asked for is not done. Nothing was changed."""
