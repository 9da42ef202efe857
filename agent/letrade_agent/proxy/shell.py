"""What all connections of an agent share, and what the status page shows of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from letrade_agent.hand_over.hand_overs import HandOvers
from letrade_agent.limits import Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.object_store.objects import Objects
from letrade_agent.upstream.away_queues import AwayQueues


@dataclass(frozen=True, slots=True)
class Unsent:
    """What sockets have not taken, in bytes."""

    to_client: int
    to_broker: int

    def __add__(self, other: Unsent) -> Unsent:
        return Unsent(self.to_client + other.to_client, self.to_broker + other.to_broker)


class Snapshot(NamedTuple):
    """A connection, for the status page.

    Attributes:
        peer: the client's address.
        name: what it calls itself.
        node: where it is connected.
        since: seconds since the epoch.
        unsent_to_client, unsent_to_broker, held: bytes.
        is_blocked: the broker takes no publishes.
        is_ending: it is being closed.
    """

    peer: str
    name: str
    node: str
    since: float
    unsent_to_client: int
    unsent_to_broker: int
    held: int
    is_blocked: bool
    is_ending: bool


@dataclass(frozen=True, slots=True)
class Shell:
    """What all connections share.

    Attributes:
        measures: counts.
        dead_letters: where hand-overs go.
        objects: the store of claim checks.
        away: queues that are away, and who waits for them.
        log: told when a connection opens and ends.
        monotonic: seconds.
        crowded: called when all connections together hold more of unfinished messages than they may.
        frames_a_turn: how many frames of one read are worked through now, before others have their turn.
        limits: of the agent.
    """

    measures: Measures
    dead_letters: HandOvers
    objects: Objects
    away: AwayQueues
    log: Log
    monotonic: Callable[[], float]
    crowded: Callable[[], None]
    frames_a_turn: Callable[[], int]
    limits: Limits
