"""A lease on the broker: a lock that frees itself when its holder dies. One holder's side of it.

Theory of operation. The lock is a queue without bindings. Declaring a queue is atomic on a broker, and
declaring it again succeeds only with the same arguments. So the holder puts a number of its own, the
nonce, into an argument (`x-max-length`: the queue never holds a message, any value will do): whoever
declares first wins, and everybody else is told "inequivalent arg". `x-expires` makes the broker delete
the queue after one lease without a new declaration, and a declaration by the holder begins a new lease.

The queue is durable, because brokers of 4.3 refuse others that are not exclusive; after a restart of the
broker its lease begins anew. It is classic, always said so: a default type of quorum would not expire in
the same way. No policy with `expires` may match its name, or the lease may end early.

Knows no clock and no thread: to renew in time is the caller's business.
"""

from __future__ import annotations

import re

from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE

LARGEST_NONCE = 2**31
"""Accepted as a length by every version."""

_HELD_BY_ANOTHER = re.compile("inequivalent arg 'x-(max-length|expires)'")
"""How RabbitMQ names the argument that differs (rabbit_misc:assert_args_equivalence); a holder of another
version of this tool may have a lease of another length."""


class Lease:
    """A lease that this holder has, or wants.

    Args:
        client: to the broker.
        vhost: where the lock's queue lives; must exist.
        queue_name: the lock.
        lease_ms: how long it lasts without renewal. All holders of one lock must use the same.
        nonce: tells holders apart; random, from 1 to `LARGEST_NONCE`.
    """

    def __init__(self, client: ManagementClient, vhost: str, queue_name: str, lease_ms: int, nonce: int) -> None:
        if not 1 <= nonce <= LARGEST_NONCE:
            raise ValueError(f"a nonce is between 1 and {LARGEST_NONCE}, not {nonce}")
        self._client = client
        self._vhost = vhost
        self._queue_name = queue_name
        self._declaration = {
            "durable": True,
            "auto_delete": False,
            "arguments": {ARGUMENT_QUEUE_TYPE: "classic", "x-expires": lease_ms, "x-max-length": nonce},
        }

    def try_acquire(self) -> bool:
        """Take the lease, or renew it when it is ours already; False when another holds it.

        Raises:
            BrokerError: the broker did not answer, or refused for another reason.
        """
        try:
            self._client.put_queue(self._vhost, self._queue_name, self._declaration)
        except BrokerRefused as refused:
            if refused.status == 400 and _HELD_BY_ANOTHER.search(refused.reason):
                return False
            raise
        return True

    def renew(self) -> bool:
        """Begin a new lease; False when it ran out and another holds it now.

        When it ran out and nobody took it, it is taken again: nobody else can have been the holder of a
        lock that is free. (Somebody may have been and let go since: hence renew well within the lease, and
        stop when that failed for as long as a lease.)

        Raises:
            BrokerError: as `try_acquire`; whether the lease still runs is then not known.
        """
        return self.try_acquire()

    def release(self) -> None:
        """Free the lock, if it is still ours.

        Between the look and the deletion the lease cannot run out, as looking renews it; only a stall of this
        program of a whole lease between the two calls would delete another's lock.

        Raises:
            BrokerError: the broker did not answer; the lease then ends by itself.
        """
        if self.renew():
            self._client.delete_queue(self._vhost, self._queue_name)
