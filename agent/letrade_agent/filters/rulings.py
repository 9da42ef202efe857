"""What filters rule about declares and their like, and what they are to those who ask: values and a protocol."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from letrade_agent.filters.decisions import Refusal
from letrade_topo.amqp.command import Command


class Pass(NamedTuple):
    """The command goes upstream as it is."""


class Absorbed(NamedTuple):
    """The command does not go upstream; the client gets this answer (None where it asked for none).

    Attributes:
        answer: for example queue.declare-ok. For an absorbed queue.declare the relay sends a passive declare
            upstream instead, so that name and counts are true; `answer` is then None and `replacement` is set.
        replacement: the command to send upstream in its place; the broker's answer goes to the client.
    """

    answer: Command | None
    replacement: Command | None = None


Ruling: TypeAlias = Pass | Absorbed | Refusal


class Declares(Protocol):
    """What becomes of declare, bind, unbind, delete, purge, consume and qos."""

    def may_come_back(self, queue: str) -> bool:
        """Whether a queue that is gone may be one that is being migrated: the service's own, by the topology."""

    def rule(self, command: Command) -> Ruling:
        """Decide on one command of the classes exchange, queue, or on basic.consume, basic.get and basic.qos.

        Args:
            command: with the queue's name in it: where the client left it empty, the one that was declared last on
                this channel (AMQP 0-9-1, 1.7.2.4), as the broker or the agent named it. Left empty it means that
                no queue was declared there, but for queue.declare, where it asks for a name.
        """
