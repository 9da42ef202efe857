"""Performing a plan's changes: stage after stage, in parallel within a stage, each with its result.

Creates and updates run in the order of `broker/order.py`, then deletes in the opposite order, so that a
renamed queue receives before the old one goes. A stage with a failure is the last one: what depends on it is
skipped and said to be. Many creates of one stage go in bulk; which of them exist is then known from reading
back, never from the broker's answer, which skips conflicting objects silently.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Lock
from typing import Protocol

from letrade_topo.apply.outcome import Outcome, Progress, Status
from letrade_topo.apply.taking_over import in_turn
from letrade_topo.apply.twins import delete_beside
from letrade_topo.broker.addresses import Address
from letrade_topo.broker.objects import (
    Binding,
    Exchange,
    Kind,
    Permission,
    Queue,
    TopicPermission,
    UserLimit,
    VhostLimit,
)
from letrade_topo.broker.order import Stage
from letrade_topo.broker.reach import EVERYTHING, LoginReach
from letrade_topo.broker_errors import BrokerUnreachable
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, MissingRight, NotFound
from letrade_topo.management.perform import bulk_create, create, delete, update
from letrade_topo.management.reading import QueueCounts, read_queue_counts, statistics_delay_seconds
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import QueueType
from letrade_topo.plan.change import Action, Change, ChangeReason
from letrade_topo.plan.closing import NOTHING_CLOSED, Closing
from letrade_topo.plan.guards import Allowance, Allowances, count
from letrade_topo.plan.holders import holders_of
from letrade_topo.plan.migrating import MIGRATIONS_AT_ONCE
from letrade_topo.plan.twins import Way, way_of

WORKERS = 8
"""The broker's metadata store takes writes one after the other; more connections than this gain nothing."""

BULK_THRESHOLD = 16
FIRST_CHUNK = 100
MOST_IN_CHUNK = 1_000
CHUNK_SECONDS = 3.0
"""Bulk creates go in chunks of about this time: the broker finishes one even when the run that asked for it was
killed, and must have done so long before the run's lock ends. Progress is seen, too, and the lock checked. A chunk
costs 0.1 s beyond its objects, a quorum queue 2 to 40 ms (3.10.8 and 4.0.5, by how quickly the disk syncs)."""

BULK_KINDS = frozenset(
    {
        Kind.USER,
        Kind.EXCHANGE,
        Kind.POLICY,
        Kind.QUEUE,
        Kind.BINDING,
        Kind.TOPIC_PERMISSION,
        Kind.PERMISSION,
    }
)


class Migrations(Protocol):
    """What performs migrations."""

    def migrate(self, change: Change) -> str:
        """Do one, and say what it took."""

    def stop(self) -> None:
        """End those that go on, each after what it is doing just now; a later run goes on."""


class Execution:
    """One run over the changes of a plan.

    Args:
        client: to the broker.
        vhost: the vhost of every object that is in one.
        allowances: what the caller allowed; deletions look at live counts again.
        check_lock: raises when the lock is lost; called before each step.
        progress: who is told.
        closing: what happens beside making topic exchanges.
        queues: the declared ones, none of which is to be without its policy for a moment.
        migrations: performs them.
        reach: of the login.
    """

    def __init__(
        self,
        client: ManagementClient,
        vhost: str,
        allowances: Allowances,
        check_lock: Callable[[], None],
        progress: Progress,
        closing: Closing = NOTHING_CLOSED,
        queues: Collection[str] = (),
        migrations: Migrations | None = None,
        *,
        reach: LoginReach = EVERYTHING,
    ) -> None:
        self._client = client
        self._vhost = vhost
        self._allowances = allowances
        self._check_lock = check_lock
        self._progress = progress
        self._closing = closing
        self._twins: dict[Way, list[Change]] = {}
        self._twins_lock = Lock()
        self._queues = queues
        self._migrations = migrations
        self._reach = reach
        self.outcomes: dict[Address, Outcome] = {}

    def run(self, changes: Iterable[Change]) -> None:
        """Perform every change, or say why not; results are in `outcomes`, also when this raises.

        Raises:
            LockLost: another run may have begun.
        """
        changes = tuple(changes)
        rebinds = [change for change in changes if change.reason is ChangeReason.REBIND]
        for change in changes:
            if change.reason is ChangeReason.TWIN and isinstance(change.object, Binding):
                self._twins.setdefault(way_of(change.object), []).append(change)
        for title, group in _steps(changes, self._queues):
            if any(outcome.status is Status.FAILED for outcome in self.outcomes.values()):
                self._skip(group, "an earlier stage failed")
                continue
            self._check_lock()
            self._progress.begin(title, len(group))
            try:
                with self._closed(group):
                    self._step(group, rebinds)
            finally:
                self._progress.end()

    @contextlib.contextmanager
    def _closed(self, group: Sequence[Change]) -> Iterator[None]:
        """Topic exchanges are made while their users are shut out, which ends when the topic permissions are there."""
        made = {change.address for change in group if change.action is not Action.DELETE}
        if not made & self._closing.exchanges:
            yield
            return
        for _, meanwhile in self._closing.shut:
            self._shut(meanwhile)
        try:
            yield
        finally:
            self._open()

    def _shut(self, meanwhile: Permission) -> None:
        try:
            update(self._client, self._vhost, meanwhile)
        except BrokerRefused:
            # With the exchanges left out the expression is longer than the broker takes: nothing at all, then.
            update(self._client, self._vhost, replace(meanwhile, write="", read=""))

    def _open(self) -> None:
        """A user whose topic permission cannot be written stays shut out; its stage tries again, and says why not."""
        open_for_all: set[str] = set()
        for permission in self._closing.topic_permissions:
            try:
                create(self._client, self._vhost, permission)
            except (BrokerRefused, NotFound):
                open_for_all.add(permission.user)
        for before, _ in self._closing.shut:
            if before.user not in open_for_all:
                update(self._client, self._vhost, before)

    def _step(self, group: Sequence[Change], rebinds: Sequence[Change]) -> None:
        if group[0].action is Action.MIGRATE:
            self._in_parallel(group, (), MIGRATIONS_AT_ONCE)
            return
        removed = [change for change in group if change.removes_queue]
        if removed:
            counts = self._settled_counts(removed)
            group = [change for change in group if not self._holds(change, counts)]
        bulk = [change for change in group if change.action is Action.CREATE and change.kind in BULK_KINDS]
        if len(bulk) < BULK_THRESHOLD or not self._reach.imports:
            bulk = []
        start, size = 0, FIRST_CHUNK
        while start < len(bulk):
            self._check_lock()
            begin = time.monotonic()
            self._create_in_bulk(bulk[start : start + size])
            start, size = start + size, _next_chunk(size, time.monotonic() - begin)
        in_bulk = {change.address for change in bulk}
        single = [change for change in group if change.address not in in_bulk]
        alone = [change for change in single if _is_on_default_exchange(change) or _takes_exchange_away(change)]
        for together in _apart([change for change in single if change not in alone]):
            self._in_parallel(together, rebinds)
        self._in_parallel(alone, rebinds, 1)

    def _create_in_bulk(self, chunk: Sequence[Change]) -> None:
        try:
            bulk_create(self._client, self._vhost, [change.object for change in chunk])
        except (BrokerRefused, MissingRight):
            self._in_parallel(chunk, ())  # one by one: each gets the broker's own reason
            return
        for change in chunk:
            self._record(Outcome(change, Status.DONE))

    def _in_parallel(self, group: Sequence[Change], rebinds: Sequence[Change], workers: int = WORKERS) -> None:
        with ThreadPoolExecutor(workers, thread_name_prefix="apply") as pool:
            futures = {pool.submit(self._perform, change, rebinds): change for change in group}
            try:
                for future in as_completed(futures):
                    outcome = future.result()
                    self._record(outcome)
            except BaseException:
                if self._migrations is not None:
                    self._migrations.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                for future, change in futures.items():
                    if future.done() and not future.cancelled() and not future.exception():
                        self.outcomes.setdefault(change.address, future.result())
                raise

    def _perform(self, change: Change, rebinds: Sequence[Change]) -> Outcome:
        """One change; a refusal of the broker is a result, an unreachable broker ends the run."""
        note = ""
        try:
            match change.action:
                case Action.CREATE:
                    create(self._client, self._vhost, change.object)
                case Action.UPDATE:
                    update(self._client, self._vhost, change.object)
                case Action.REPLACE:
                    self._replace(change, rebinds)
                case Action.MIGRATE:
                    assert self._migrations is not None  # noqa: S101  # `apply` refuses a run without
                    note = self._migrations.migrate(change)
                case Action.DELETE:
                    self._delete(change)
        except BrokerUnreachable:
            raise
        except TopoError as error:
            return Outcome(change, Status.FAILED, f"{error.what}: {error.why}" if error.why else error.what)
        return Outcome(change, Status.DONE, note=note)

    def _replace(self, change: Change, rebinds: Sequence[Change]) -> None:
        """Delete, make again and bind again without a pause: until it is bound, nothing arrives there."""
        self._delete(change)
        try:
            create(self._client, self._vhost, change.object)
        except BrokerRefused:
            if not isinstance(change.object, Exchange):
                raise  # a queue: somebody else may have made it anew, and it may hold messages
            # Somebody declared it in between: an exchange holds nothing, so ours takes its place.
            self._delete(change)
            create(self._client, self._vhost, change.object)
        for rebind in rebinds:
            if rebind.kind is Kind.BINDING and change.address in holders_of(rebind.object):
                with contextlib.suppress(NotFound):  # the other end is being replaced too: the bindings' stage follows
                    create(self._client, self._vhost, rebind.object)

    def _delete(self, change: Change) -> None:
        thing = change.before
        if thing is None:
            return
        if isinstance(thing, Binding) and way_of(thing) in self._twins:
            self._delete_beside_twins(thing)
        elif (
            isinstance(thing, Queue)
            and thing.arguments.get(ARGUMENT_QUEUE_TYPE, QueueType.CLASSIC) == QueueType.CLASSIC
        ):
            delete(
                self._client,
                self._vhost,
                thing,
                if_empty=not self._may(Allowance.DELETE_MESSAGES, change),
                if_unused=not self._may(Allowance.DELETE_CONSUMED, change),
            )
        else:
            delete(self._client, self._vhost, thing)

    def _delete_beside_twins(self, binding: Binding) -> None:
        twins = self._twins[way_of(binding)]
        with self._twins_lock:  # several that go may have the same twin
            delete_beside(
                self._client, self._vhost, binding, [one.object for one in twins if isinstance(one.object, Binding)]
            )
        for one in twins:
            self.outcomes[one.address] = Outcome(one, Status.DONE)

    def _settled_counts(self, removed: Sequence[Change]) -> Mapping[str, QueueCounts]:
        """Live counts that are surely newer than the last message: the broker refreshes them in intervals."""
        delay = statistics_delay_seconds(self._reach)
        self._progress.say(
            f"waiting {delay:g} s for fresh message counts of "
            f"{len(removed)} queue{'' if len(removed) == 1 else 's'} that would go"
        )
        until = time.monotonic() + delay
        while time.monotonic() < until:
            time.sleep(min(0.5, delay))
            self._check_lock()
        return read_queue_counts(self._client, self._vhost)

    def _holds(self, change: Change, counts: Mapping[str, QueueCounts]) -> bool:
        """Whether a queue that should go turns out to be in use; then it stays, and the result says so."""
        thing = change.before
        if not change.removes_queue or not isinstance(thing, Queue) or thing.name not in counts:
            return False
        held, found = counts[thing.name], []
        if held.messages != 0 and not self._may(Allowance.DELETE_MESSAGES, change):
            found.append(count(held.messages, "message"))
        if held.consumers != 0 and not self._may(Allowance.DELETE_CONSUMED, change):
            found.append(count(held.consumers, "consumer"))
        if found:
            why = f"it holds {' and '.join(found)} by now, so it was not deleted"
            self._record(Outcome(change, Status.FAILED, why))
        return bool(found)

    def _may(self, kind: Allowance, change: Change) -> bool:
        """Whether a queue may go all the same; nothing allows to replace one that is in use, as the guard says."""
        return change.action is Action.DELETE and self._allowances.permit(kind, change.address)

    def _skip(self, group: Iterable[Change], why: str) -> None:
        for change in group:
            self.outcomes.setdefault(change.address, Outcome(change, Status.SKIPPED, why))

    def _record(self, outcome: Outcome) -> None:
        self.outcomes[outcome.change.address] = outcome
        self._progress.advance(1)


def _apart(group: Sequence[Change]) -> list[list[Change]]:
    """What may be done at once, and after it what may not: the limits of one vhost or user are one value to the broker.

    Whoever sets one of them reads all, and writes all: of two at the same time one is lost (rabbit_vhost_limit,
    rabbit_auth_backend_internal; seen on 3.10.8 and 4.3.6).
    """
    rounds: list[list[Change]] = [[]]
    earlier: Counter[str] = Counter()
    for change in group:
        match change.object:
            case VhostLimit():
                owner = ""
            case UserLimit(user=user):
                owner = f"user {user}"
            case _:
                rounds[0].append(change)
                continue
        number = earlier[owner]
        earlier[owner] += 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(change)
    return rounds


def _is_on_default_exchange(change: Change) -> bool:
    """Whether it deletes a topic permission that cannot go without the user's others, which are made again."""
    return change.action is Action.DELETE and isinstance(change.object, TopicPermission) and not change.object.exchange


def _takes_exchange_away(change: Change) -> bool:
    """Whether it deletes an exchange, if only for a moment.

    Of exchanges that are bound to each other and deleted at once, one may not be found by the other's deletion, which
    then ends half-way: HTTP 400 with `rabbit_exchange:serialise_events` on 4.0.5; on 3.10.8 one was still there after
    the broker had confirmed that it is gone.
    """
    return change.kind is Kind.EXCHANGE and change.action in (Action.DELETE, Action.REPLACE)


def _next_chunk(size: int, seconds: float) -> int:
    """How many objects take CHUNK_SECONDS when `size` took `seconds`."""
    return max(BULK_THRESHOLD, min(MOST_IN_CHUNK, int(size * CHUNK_SECONDS / max(seconds, 0.001))))


def _steps(changes: Sequence[Change], queues: Collection[str]) -> Iterator[tuple[str, list[Change]]]:
    """Twins are made again with what they are twins of. What is migrated has everything else by then."""
    makes = [
        change
        for change in changes
        if change.action not in (Action.DELETE, Action.MIGRATE) and change.reason is not ChangeReason.TWIN
    ]
    migrations = [change for change in changes if change.action is Action.MIGRATE]
    deletes = [change for change in changes if change.action is Action.DELETE]
    for stage in Stage:
        group = [change for change in makes if change.stage is stage]
        groups = in_turn(group, queues) if stage is Stage.POLICIES else [group] if group else []
        for part in groups:
            yield stage.title, part
    if migrations:
        yield "migrations", migrations
    for stage in reversed(Stage):
        group = [change for change in deletes if change.stage is stage]
        if group:
            yield f"delete {stage.title}", group
