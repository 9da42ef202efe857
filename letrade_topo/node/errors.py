"""What can go wrong with a private node, each with its cause and its remedy."""

from __future__ import annotations

from letrade_topo.errors import TopoError


class NodeError(TopoError):
    """A private node cannot be made, started, stopped or asked."""


class RabbitMQMissing(NodeError):
    """No RabbitMQ is installed where one was looked for."""


class NodeDied(NodeError):
    """The node ended while it started; `why` holds the last lines that it wrote."""

    @property
    def port_was_taken(self) -> bool:
        """Whether a listener's port was no longer free: other ports may do."""
        return "eaddrinuse" in self.why


class NodeNotReady(NodeError):
    """The node runs, but did not answer within the limit."""
