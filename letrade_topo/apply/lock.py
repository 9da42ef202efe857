"""The lock that keeps two runs apart, held on the broker itself.

It is a queue with a lease: whoever holds it re-declares it every third of the lease, and when a run dies
the broker deletes the queue. A run that cannot renew in time must stop, because another may have begun.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from types import TracebackType
from typing import Self

from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight
from letrade_topo.management.lease import Lease
from letrade_topo.model import names

LEASE_SECONDS = 15.0
CALL_SECONDS = 4.0
"""Time-out of one call about the lock: two of them and a retry fit into the lease."""

RENEWALS_PER_LEASE = 3
POLL_SECONDS = 0.5
GRANT_SECONDS = 3.0
"""RabbitMQ makes a vhost first and gives its maker the permissions after: when another run has just made it, ours
may come between."""

NONCE_BITS = 31
"""x-max-length is compared as an integer; 31 bits are accepted by every version."""


def new_nonce() -> int:
    """What tells one holder of a lock from another."""
    return secrets.randbits(NONCE_BITS) + 1


class LockHeld(TopoError):
    """Another run holds the lock."""


class LockLost(TopoError):
    """The lock could not be renewed; another run may have begun."""


class BrokerLock:
    """A context in which no other run of this topology writes.

    Args:
        client: to the broker, for the lock alone: a renewal must neither wait for a free connection nor
            longer than the lease.
        vhost: which must exist.
        topology: the topology's name.
        timeout_seconds: how long to wait for another run to end.
        queue: the lock's queue, where it is not the one of runs that write.
        nonce: of a holder who takes the lock again and again; by default a new one.

    Attributes:
        waited_seconds: how long it took to get it.
    """

    def __init__(
        self,
        client: ManagementClient,
        vhost: str,
        topology: str,
        timeout_seconds: float,
        *,
        queue: str | None = None,
        nonce: int | None = None,
    ) -> None:
        self._lease = Lease(
            client,
            vhost,
            queue or names.lock_queue(topology),
            int(LEASE_SECONDS * 1000),
            nonce or new_nonce(),
        )
        self.waited_seconds = 0.0
        self._topology = topology
        self._timeout_seconds = timeout_seconds
        self._stop = threading.Event()
        self._renewed_at = 0.0
        self._lost: str | None = None
        self._thread = threading.Thread(target=self._keep, name="lock-renewal", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._acquire()
            self._thread.start()
        except KeyboardInterrupt:
            self._stop.set()  # else what renews it would make it again
            self._release()  # the broker may have given it just before
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._lost is None:
            self._release()

    def check(self) -> None:
        """Make sure that the lock is still ours.

        Raises:
            LockLost: it could not be renewed within the lease.
        """
        age = time.monotonic() - self._renewed_at
        if self._lost is None and age > LEASE_SECONDS:
            self._lost = f"it was last renewed {age:.0f} s ago"
        if self._lost is not None:
            raise LockLost(
                f"the lock of topology {self._topology!r} was lost",
                why=self._lost,
                fix="run apply again: it finishes what is left",
            )

    def _acquire(self) -> None:
        start = time.monotonic()
        deadline = start + self._timeout_seconds
        while True:
            self._renewed_at = time.monotonic()
            try:
                if self._lease.try_acquire():
                    self.waited_seconds = time.monotonic() - start
                    return
            except MissingRight:
                if self._renewed_at > start + min(GRANT_SECONDS, self._timeout_seconds):
                    raise
            if time.monotonic() + POLL_SECONDS > deadline:
                raise LockHeld(
                    f"another run of topology {self._topology!r} holds the lock",
                    why=f"waited {self._timeout_seconds:g} s; a run that died frees it after {LEASE_SECONDS:g} s",
                    fix="try again, or wait longer with --lock-timeout",
                )
            self._stop.wait(POLL_SECONDS)

    def _release(self) -> None:
        """Give it back; where that fails, the lease ends by itself, and an error of the run matters more."""
        with contextlib.suppress(TopoError):
            self._lease.release()

    def _keep(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / RENEWALS_PER_LEASE):
            asked_at = time.monotonic()
            try:
                if not self._lease.renew():
                    self._lost = "another run took it after the lease had ended"
                    return
            except TopoError as error:
                if asked_at - self._renewed_at > LEASE_SECONDS:
                    self._lost = f"the broker did not answer in time: {error.what}"
                    return
                continue
            self._renewed_at = asked_at
