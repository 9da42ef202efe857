"""What a connection does for its relay beside passing bytes: hand over, store, fetch, wait for queues, mind a block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

from letrade_agent.hand_over.hand_overs import HandingOver
from letrade_agent.object_store.claim_checks import ClaimChecks
from letrade_agent.proxy.shell import Shell
from letrade_agent.relay.effects import (
    AwaitQueue,
    Effect,
    Ended,
    FetchObject,
    HandOver,
    StoreObject,
    Ticket,
    UpstreamBlocked,
)
from letrade_agent.relay.relay import Relay
from letrade_agent.transport.leg import Leg
from letrade_agent.upstream.away_queues import AwaitedQueue
from letrade_agent.upstream.sockets import limit_unacknowledged


class Errands:
    """Carries out the effects of one relay.

    Args:
        relay: asks, and is told.
        shell: what all connections share.
        client, upstream: the legs of the connection.
        node: of the broker, for logs.
        guarded: calls the relay, and carries out what comes of it; does nothing once the connection is over.
        end: the connection is over.
    """

    def __init__(
        self,
        relay: Relay,
        shell: Shell,
        client: Leg,
        upstream: Leg,
        node: str,
        guarded: Callable[[Callable[[], None]], None],
        end: Callable[[Ended], None],
    ) -> None:
        self._relay = relay
        self._shell = shell
        self._upstream = upstream
        self._node = node
        self._guarded = guarded
        self._end = end
        self.claims: Final = ClaimChecks(shell.objects, relay, client, guarded, shell.limits.object_store)
        self._handing_over: dict[Ticket, HandingOver] = {}
        self._awaited: dict[str, AwaitedQueue] = {}
        self._blocked_at: float | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether the broker takes no publishes."""
        return self._blocked_at is not None

    def carry_out(self, effect: Effect) -> None:
        """Do what the relay wants."""
        match effect:
            case HandOver(ticket, dead_letter):
                entry = self._shell.dead_letters.submit(dead_letter, partial(self._handed_over, ticket))
                if ticket.upstream_tag is not None:
                    self._handing_over[ticket] = entry
            case StoreObject():
                self.claims.store(effect)
            case FetchObject():
                self.claims.fetch(effect)
            case AwaitQueue(queue, needs_sign):
                self._await_queue(queue, needs_sign=needs_sign)
            case UpstreamBlocked(blocked, reason):
                self._upstream_blocks(blocked, reason)
            case Ended():
                self._end(effect)
            case _:
                assert_never(effect)

    def close(self) -> None:
        """The connection is over: what was withheld is in its queue again, and nobody waits for bodies."""
        self._unblocked()
        self.claims.close()
        for entry in self._handing_over.values():
            self._shell.dead_letters.abandon(entry)
        self._handing_over.clear()
        for waiting in self._awaited.values():
            self._shell.away.forget(waiting)
        self._awaited.clear()

    def _await_queue(self, queue: str, *, needs_sign: bool) -> None:
        waiting = self._awaited.get(queue)
        if waiting is None:
            told = partial(self._queue_told, queue)
            self._awaited[queue] = self._shell.away.wait(queue, told, needs_sign=needs_sign)
        else:
            waiting.needs_sign = waiting.needs_sign and needs_sign

    def _queue_told(self, queue: str, is_back: bool) -> None:
        self._awaited.pop(queue, None)
        self._guarded(partial(self._relay.queue_is_back if is_back else self._relay.queue_is_gone, queue))

    def _handed_over(self, ticket: Ticket) -> None:
        self._handing_over.pop(ticket, None)
        self._guarded(partial(self._relay.handed_over, ticket))

    def _upstream_blocks(self, blocked: bool, reason: str) -> None:
        shell = self._shell
        if blocked and self._blocked_at is None:
            self._blocked_at = shell.monotonic()
            shell.measures.blocked += 1
            shell.log("warning", "broker_blocks", {"node": self._node, "problem": reason})
        elif not blocked and self._unblocked():
            shell.log("info", "broker_unblocks", {"node": self._node})
        limit_unacknowledged(self._upstream, 0 if blocked else shell.limits.upstream.unacknowledged_seconds)

    def _unblocked(self) -> bool:
        if self._blocked_at is None:
            return False
        self._shell.measures.blocked -= 1
        self._shell.measures.blocked_seconds += self._shell.monotonic() - self._blocked_at
        self._blocked_at = None
        return True
