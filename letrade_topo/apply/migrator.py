"""All migrations of one run: what they share, and which of them go back."""

from __future__ import annotations

import threading
from collections.abc import Callable

from letrade_topo.apply.migrating import Migration, MigrationStuck, MigrationTools
from letrade_topo.apply.moves import AmqpMoves, Means, Totals
from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Queue
from letrade_topo.management.client import ManagementClient
from letrade_topo.plan.change import Change
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan


class Migrator:
    """Performs migrations, several at once; the record tells which have not ended.

    Args:
        client: of the management API.
        plan: whose migrations they are.
        record: as it was written before the first of them.
        means: what messages are moved with.
        check_lock: raises when the lock is lost.
        say: tells people.
        write: writes a record in place of the last one.
    """

    def __init__(
        self,
        client: ManagementClient,
        plan: Plan,
        record: OwnershipRecord,
        means: Means,
        check_lock: Callable[[], None],
        say: Callable[[str], None],
        write: Callable[[OwnershipRecord], None],
    ) -> None:
        self._write = write
        self._record = record
        self._record_lock = threading.Lock()
        self._means = means
        self._stopped = threading.Event()
        self._check_lock = check_lock
        self._totals = Totals(client, plan.scope.vhost)
        self._tools = MigrationTools(
            client, plan.scope.vhost, for_version(plan.broker.version), self._check, say, self._forget
        )

    def migrate(self, change: Change) -> str:
        """Do one.

        Returns:
            What was done, in words.

        Raises:
            TopoError: it could not be finished; a later run goes on.
        """
        assert isinstance(change.after, Queue)  # noqa: S101  # queues alone are migrated
        intent = self._record.migrations[change.after.name]
        migration = Migration(self._tools, change.after, intent, AmqpMoves(self._means, self._totals))
        return migration.run().text

    def stop(self) -> None:
        """End those that go on, each after what it is doing just now; a later run goes on."""
        self._stopped.set()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise MigrationStuck("the migration was stopped", fix="run apply again: it goes on")
        self._check_lock()

    def _forget(self, queue: str) -> None:
        with self._record_lock:
            self._record = self._record.migrated(queue)
            self._write(self._record)
