"""What can go wrong with a private node, each with its cause and its remedy."""

from __future__ import annotations

from letrade_topo.errors import TopoError


class NodeError(TopoError):
    """A private node cannot be made, started, stopped or asked."""


class RabbitMQMissing(NodeError):
    """No RabbitMQ is installed where one was looked for."""


class NodeDied(NodeError):
    """The node ended while it started; `why` holds its own words.

    Args:
        port_was_taken: a listener's port was no longer free: other ports may do.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "", port_was_taken: bool = False) -> None:
        super().__init__(what, why=why, fix=fix)
        self.port_was_taken = port_was_taken


class NodeNotReady(NodeError):
    """The node runs, but did not answer within the limit."""
