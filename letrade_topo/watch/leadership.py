"""Which of several controllers works: a lease on the broker, taken and kept as the lock of `apply` is.

It is another lock than that: a pipeline's `apply` must not wait for a controller that leads for days.
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum

from letrade_topo.apply.lock import CALL_SECONDS, BrokerLock, LockHeld, LockLost, new_nonce
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight, NotFound
from letrade_topo.model import names
from letrade_topo.plan.scope import Scope


class Standing(StrEnum):
    """What a controller is to the others."""

    LEADING = "leading"
    STANDBY = "standby"
    UNLED = "unled"
    """There is no lease to be had: no vhost yet, or no right to take one."""


class Leadership:
    """One controller's side of the lease; renewed by a thread of its own as long as it is held."""

    def __init__(self) -> None:
        self._nonce = new_nonce()  # for life: whoever lost its connection finds its own lease again
        self._lock: BrokerLock | None = None
        self._held = ExitStack()

    @property
    def leads(self) -> bool:
        """Whether the lease is held, as far as known."""
        return self._lock is not None

    def take(self, client: ManagementClient, scope: Scope, *, needed: bool) -> Standing:
        """Hold the lease, if nobody else does.

        Args:
            client: to the broker.
            scope: of which topology.
            needed: whoever writes must hold it where it can be held; who only looks may do so without.

        Raises:
            MissingRight: the lease is needed, and this user may not take it.
            BrokerError: the broker did not answer.
        """
        if self._lock is not None:
            try:
                self._lock.check()
            except LockLost:
                self.leave()
            else:
                return Standing.LEADING
        client.check_paths()
        try:
            self._enter(client, scope)
        except LockHeld:
            return Standing.STANDBY
        except NotFound:  # the vhost: `apply` makes it, and its own lock keeps two runs apart
            if client.has_vhost(scope.vhost):
                raise
            return Standing.UNLED
        except MissingRight:
            if needed:
                raise
            return Standing.UNLED
        return Standing.LEADING

    def leave(self) -> None:
        """Give the lease back, so that another controller need not wait for its end."""
        self._lock = None
        self._held.close()

    def _enter(self, client: ManagementClient, scope: Scope) -> None:
        with ExitStack() as stack:
            own = stack.enter_context(
                ManagementClient(client.endpoint, timeout_seconds=CALL_SECONDS, pool_size=1, observe=client.observe)
            )
            queue = names.leader_queue(scope.topology)
            lock = BrokerLock(own, scope.vhost, scope.topology, 0, queue=queue, nonce=self._nonce)
            stack.enter_context(lock)
            self._held = stack.pop_all()
            self._lock = lock
