"""All migrations of one run: what they share, and which of them go back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from letrade_topo.apply.migrating import Migration, MigrationStuck, MigrationTools
from letrade_topo.apply.moves import AmqpMoves, Means, Totals
from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Kind, Permission, Queue
from letrade_topo.expand.desired import DesiredState
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create
from letrade_topo.plan.change import Change
from letrade_topo.plan.migration_rights import permissions_of, seeing
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan


class MigrationRights:
    """Lets services see that their queues are migrated, as long as they are (`letrade_topo.plan.migration_rights`).

    Args:
        client: of the management API.
        plan: whose migrations they are; of a login that writes no permissions nothing is written.
        declared: what the topology says.
    """

    def __init__(self, client: ManagementClient, plan: Plan, declared: DesiredState) -> None:
        self._client = client
        self._vhost = plan.scope.vhost
        self._capabilities = for_version(plan.broker.version)
        there = {one.user for one in plan.comparison.seen if isinstance(one, Permission)}
        is_able = plan.reach.writes(Kind.PERMISSION)
        self._declared = tuple(one for one in permissions_of(declared) if is_able and one.user in there)
        self._written: dict[str, Permission] = {}

    def let_see(self, queues: Iterable[str]) -> None:
        """From now on these queues are migrated, and no others."""
        queues = frozenset(queues)
        for declared in self._declared:
            wanted = seeing(declared, queues, self._capabilities)
            if self._written.get(declared.user, declared) != wanted:
                create(self._client, self._vhost, wanted)
            self._written[declared.user] = wanted


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
        rights: of services, to see what is under way.
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
        rights: MigrationRights,
    ) -> None:
        self._rights = rights
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
        with self._record_lock:
            self._rights.let_see(self._record.migrations)
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
            self._rights.let_see(self._record.migrations)
            self._write(self._record)
