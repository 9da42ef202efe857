"""A whole run over one or more topologies: plan, review, lock, look again, and do one after the other.

Nothing is written before all plans are reviewed, no guard refuses any of them, and all locks are held, but for vhosts
that are made: a lock lies in its vhost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from letrade_topo.apply.applying import (
    Broken,
    Declined,
    Interrupted,
    Result,
    Run,
    RunPhase,
    make_vhost,
    means_of,
    perform,
    record_intent,
    refuse,
    remove_vhost,
    stale,
)
from letrade_topo.apply.lock import CALL_SECONDS, BrokerLock
from letrade_topo.apply.migrator import MigrationRights, Migrator
from letrade_topo.apply.moves import Means
from letrade_topo.apply.outcome import Outcome
from letrade_topo.apply.record import RecordKeeper
from letrade_topo.broker.capabilities import for_version
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.plan.fleet import beside_each_other, prepare_all
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What a run did for each topology.

    Args:
        results: of those that were begun, in this order; the last one may be broken off.
        not_begun: of the others.
        error: why there are such, or why the last one was broken off.
    """

    results: tuple[Result, ...]
    not_begun: tuple[Plan, ...] = ()
    error: Broken | Interrupted | None = None


def apply(client: ManagementClient, request: PlanRequest, run: Run) -> Result:
    """Make the broker match one topology, or say what kept it from matching.

    Raises:
        Broken: it ended before its end.
        Interrupted: Ctrl-C; the lock is released.
        TopoError: as of `apply_all`.
    """
    done = apply_all(client, (request,), run)
    if done.error is not None:
        raise done.error
    (result,) = done.results
    return result


def apply_all(client: ManagementClient, requests: Sequence[PlanRequest], run: Run) -> FleetResult:
    """Make the broker match all of several topologies, or say for each what kept it from matching.

    What one topology fails in does not keep the others, unless the run itself cannot go on.

    Raises:
        UnsafePlan: a guard refuses, a plan is stale, or the person declined; nothing was written.
        LockHeld: another run goes on; nothing was written.
        TopoError: the broker cannot be reached or read.
    """
    requests = beside_each_other(requests)
    plans = prepare_all(client, requests)
    saved = {one.scope.record_name: one.fingerprint for one in requests if one.fingerprint is not None}
    if any(saved.get(plan.scope.record_name, plan.fingerprint) != plan.fingerprint for plan in plans):
        raise stale("the plan was saved")
    if all(map(_is_idle, plans)):
        run.review(plans)
        return FleetResult(tuple(map(Result, plans)))
    if not run.review(plans):
        raise Declined("nothing was changed", why="the plan was declined")
    for plan in plans:
        refuse(plan)
    means = {plan.scope.record_name: means_of(plan, run) for plan in plans}
    with ExitStack() as stack:
        locked = _Locked(client, {one.scope.record_name: one for one in requests}, means, run)
        locked.take(stack, [plan for plan in plans if not _is_idle(plan)])
        done = locked.perform(plans)
    return _without_vhosts(client, done)


def _is_idle(plan: Plan) -> bool:
    return plan.is_empty and plan.record_is_current and not plan.refusals


@dataclass(slots=True)
class _Locked:
    """A run that holds its locks.

    Args:
        client: to the broker.
        requests: by the names of their records.
        means: what messages are moved with, likewise, where a plan migrates queues.
        run: how.
        checks: raise when a topology's lock is lost.
        made: vhosts that were made for the locks.
    """

    client: ManagementClient
    requests: Mapping[str, PlanRequest]
    means: Mapping[str, Means | None]
    run: Run
    checks: dict[str, Callable[[], None]] = field(default_factory=dict)
    made: dict[str, tuple[Outcome, ...]] = field(default_factory=dict)

    def take(self, stack: ExitStack, plans: Sequence[Plan]) -> None:
        """Take all locks in one order, so that two runs cannot wait for each other; those of new vhosts last."""
        waited = 0.0
        for plan in sorted(plans, key=lambda one: (not one.vhost_exists, one.scope.vhost, one.scope.topology)):
            name = plan.scope.record_name
            self.checks[name] = _unlocked
            self.made[name] = make_vhost(self.client, plan)
            if plan.destroys and not plan.vhost_exists:
                continue  # only users are left, and no place for the lock; to delete them twice does no harm
            lock_client = stack.enter_context(
                ManagementClient(
                    self.client.endpoint, timeout_seconds=CALL_SECONDS, pool_size=1, observe=self.client.observe
                )
            )
            lock = stack.enter_context(
                BrokerLock(lock_client, plan.scope.vhost, plan.scope.topology, self.run.lock_timeout_seconds)
            )
            waited += lock.waited_seconds
            self.checks[name] = lock.check
        self.run.timed(RunPhase.LOCK, waited)

    def perform(self, first: Sequence[Plan]) -> FleetResult:
        """Look again, and do one after the other.

        Args:
            first: the plans before the locks.
        """
        results = {plan.scope.record_name: Result(plan) for plan in first if plan.scope.record_name not in self.checks}
        plans = self._looked_again(first)
        error: Broken | Interrupted | None = None
        left = list(plans)
        while left and error is None:
            plan = left.pop(0)
            name = plan.scope.record_name
            if len(first) > 1:
                self.run.progress.say(f"topology {plan.scope.topology!r} on vhost {plan.scope.vhost!r}")
            try:
                results[name] = self._perform(plan, is_first=plan is plans[0])
            except (Broken, Interrupted) as broken:
                results[name], error = broken.result, broken
        begun = [plan.scope.record_name for plan in first if plan.scope.record_name in results]
        return FleetResult(tuple(results[name] for name in begun), tuple(left), error)

    def _looked_again(self, first: Sequence[Plan]) -> list[Plan]:
        """What is to be done, as it is under the locks."""
        before = {plan.scope.record_name: plan for plan in first}
        # What the login may write was found out a moment ago.
        requests = [
            replace(request, tries_permissions=False) for name, request in self.requests.items() if name in self.checks
        ]
        plans: list[Plan] = []
        for plan in prepare_all(self.client, requests):
            name = plan.scope.record_name
            must_fit = self.run.reviewed or self.requests[name].fingerprint is not None
            if must_fit and plan.fingerprint != before[name].fingerprint:
                raise stale("the plan was reviewed")
            refuse(plan)  # again: messages may have come while a person was asked, and no fingerprint shows them
            plans.append(replace(plan, changes=(*(outcome.change for outcome in self.made[name]), *plan.changes)))
        return plans

    def _perform(self, plan: Plan, *, is_first: bool) -> Result:
        name, migrator = plan.scope.record_name, None
        request, check, made, means = self.requests[name], self.checks[name], self.made[name], self.means[name]
        if check is not _unlocked:
            try:
                check()
                keeper = RecordKeeper(self.client, plan)
                intent = record_intent(keeper, request, plan, made)
            except TopoError as error:
                if is_first:
                    raise  # nothing was written
                raise Broken(error, Result(plan, made)) from error
            except KeyboardInterrupt:
                raise Interrupted(Result(plan, made)) from None
            if means:
                declared = request.expand(for_version(plan.broker.version))
                rights = MigrationRights(self.client, plan, declared)
                migrator = Migrator(
                    self.client, plan, intent, means, check, self.run.progress.say, keeper.write, rights
                )
        return perform(self.client, request, self.run, plan, check, made, migrator)


def _unlocked() -> None:
    """There is no lock that could be lost."""


def _without_vhosts(client: ManagementClient, done: FleetResult) -> FleetResult:
    """Remove the vhosts that are to go, as far as the run came."""
    results = list(done.results)
    broken_off = done.error.result if done.error is not None else None
    for index, result in enumerate(results):
        if result is broken_off:
            continue
        try:
            results[index] = remove_vhost(client, result)
        except TopoError as error:
            return replace(done, results=tuple(results), error=done.error or Broken(error, result))
    return replace(done, results=tuple(results))
