"""Whether the members of a quorum queue do anything, by what the management API says.

It knows nothing of migrations, which ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from letrade_topo.broker.objects import Queue
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, MissingRight
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import QueueType

FIRST_COUNT_SECONDS = 30.0
"""Within this time after a start the broker knows how much a queue holds (4 to 10 s, seen on 3.10.8, 4.0.5, 4.3.6)."""

POLL_SECONDS = 0.5


class QueueMembers:
    """Asks for members of quorum queues.

    Args:
        client: of the management API.
        vhost: where.
        check_lock: raises when the lock is lost; called while it waits.
    """

    def __init__(self, client: ManagementClient, vhost: str, check_lock: Callable[[], None]) -> None:
        self._client = client
        self._vhost = vhost
        self._check_lock = check_lock

    def do_nothing(self, queue: Queue) -> bool:
        """Whether a quorum queue is there and does nothing, although all of its members are running.

        One whose broker was killed before the name of its member was written: at the start a new member is made, which
        knows nothing and elects nobody, as nobody tells it to (rabbitmq-server#15725; 3.10.8 and 4.0.5, not 4.3.6).
        It never says how much it holds. Where the broker keeps no statistics, nothing is known, and nothing done.
        """
        if queue.arguments.get(ARGUMENT_QUEUE_TYPE) != QueueType.QUORUM:
            return False
        until = time.monotonic() + FIRST_COUNT_SECONDS
        while time.monotonic() < until:
            self._check_lock()
            try:
                if self._client.queue_messages(self._vhost, queue.name) is not None:
                    return False
            except BrokerRefused:
                return False
            time.sleep(POLL_SECONDS)
        return self.are_running(queue.name)

    def are_running(self, queue: str) -> bool:
        """Whether the nodes of all members are running.

        Of a member that was never started its queue says that it is not online, so the nodes are asked, too.
        """
        found = self._client.queue(self._vhost, queue)
        return set(found.get("members", ())) <= {*found.get("online", ()), *self._running_nodes()}

    def _running_nodes(self) -> frozenset[str]:
        """As far as the login may know."""
        try:
            return frozenset(node["name"] for node in self._client.nodes() if node.get("running"))
        except MissingRight:
            return frozenset()
