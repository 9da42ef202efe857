"""What a run does for one topology, under its lock: record the intent, do, read back, settle the record.

The intent is recorded before the first write and settled after the last, so a run that dies at any point
leaves nothing half-known: the next one finds what was made, owns it, and finishes. What comes before, and other
topologies beside this one, are `fleet`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from letrade_topo.apply.connections import DELETED, ClosedConnections, end_connections, outlived
from letrade_topo.apply.execute import Execution
from letrade_topo.apply.migrator import Migrator
from letrade_topo.apply.moves import Means
from letrade_topo.apply.outcome import Outcome, Progress, Status
from letrade_topo.apply.record import RecordKeeper
from letrade_topo.broker.objects import Address, Kind, Vhost
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create, delete
from letrade_topo.model import names
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.guards import UnsafePlan
from letrade_topo.plan.migrating import intents_of
from letrade_topo.plan.ownership import OwnershipRecord
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest, prepare


class StalePlan(UnsafePlan):
    """The broker is not any more as it was when the plan was reviewed."""


class Declined(UnsafePlan):
    """The person who was asked said no."""


class RunPhase(StrEnum):
    """The parts of a run that take time."""

    LOCK = "lock"
    WRITE = "write"
    VERIFY = "verify"


def _untimed(phase: RunPhase, seconds: float) -> None:
    """Nobody is told."""


def _no_means(_: Plan) -> Means:
    raise UnsafePlan("this run cannot migrate queues; nothing was changed")


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is done.

    Args:
        review: shows the plans; False means that a person declined them.
        reviewed: a person saw the plans, so they must still be the same under the locks.
        lock_timeout_seconds: how long to wait for another run.
        progress: who is told how far it is.
        timed: who is told how long a phase took, in seconds.
        closes_connections: of users whose password, tags or rights have changed.
        means: makes what messages are moved with, where a plan migrates queues.
    """

    review: Callable[[Sequence[Plan]], bool]
    progress: Progress
    reviewed: bool = False
    lock_timeout_seconds: float = 30.0
    timed: Callable[[RunPhase, float], None] = _untimed
    closes_connections: bool = False
    means: Callable[[Plan], Means] = _no_means


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did.

    Args:
        plan: what was to be done.
        outcomes: one for each change.
        after: what was left when it was read back; None when nothing was written.
        ended: connections that were closed.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    after: Plan | None = None
    ended: tuple[ClosedConnections, ...] = ()

    @property
    def outlived(self) -> Mapping[str, str]:
        """The users whose open connections go on as before this run, each with the reason."""
        ended = {one.user for one in self.ended if not one.failure}
        done = [outcome.change for outcome in self.outcomes if outcome.status is Status.DONE]
        return {user: why for user, why in outlived(done).items() if user not in ended and why != DELETED}

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """What only reading back showed: that something is on the broker as declared, and not in effect."""
        if self.after is None:
            return ()
        return tuple(finding for finding in self.after.findings if finding not in self.plan.findings)

    def count(self, status: Status) -> int:
        """How many changes ended so."""
        return sum(outcome.status is status for outcome in self.outcomes)


class LockUnsafe(UnsafePlan):
    """A policy on the broker would end the lock before its time."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; `result` says how far it was."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


class Broken(TopoError):
    """A run ended before its end; `result` says how far it was, `cause` why."""

    def __init__(self, cause: TopoError, result: Result) -> None:
        super().__init__(cause.what, why=cause.why, fix="run apply again: it finishes what is left")
        self.cause = cause
        self.result = result


def refuse(plan: Plan) -> None:
    """Raise when a guard stands against a plan."""
    if plan.lock_hazards:
        raise LockUnsafe(
            f"{plan.lock_hazards[0]} would end the lock {names.lock_queue(plan.scope.topology)!r} too early",
            why="its pattern matches the lock's queue and it sets `expires`; two runs could write at once",
            fix=r"narrow its pattern, for example to ^(?!letrade-topo\.)",
        )
    if plan.refusals:
        raise UnsafePlan(
            f"{len(plan.refusals)} guard{'' if len(plan.refusals) == 1 else 's'} refused the plan; nothing was changed",
            why="\n  ".join(refusal.text for refusal in plan.refusals),
        )


def means_of(plan: Plan, run: Run) -> Means | None:
    """What messages are moved with, where a plan migrates queues.

    Before anything is written: a login that is refused, or a key that is not there, is said then.

    Raises:
        TopoError: there are no such means.
    """
    return run.means(plan) if plan.counts[Action.MIGRATE] else None


def record_intent(keeper: RecordKeeper, request: PlanRequest, plan: Plan, made: tuple[Outcome, ...]) -> OwnershipRecord:
    """Say on the broker what a run is about to make.

    Args:
        keeper: writes the record.
        request: that the plan was made for.
        plan: made under the lock.
        made: the vhost, if this run made it.

    Returns:
        The record as it was written.

    Raises:
        TopoError: it could not be written.
    """
    intent = plan.record.intending(_ours_to_be(plan), plan.broker.username)
    intent = replace(intent, vhost_created=intent.vhost_created or bool(made))
    if not request.aborts:
        intent = intent.migrating(intents_of(plan.changes))
    keeper.write(intent)
    return intent


def perform(
    client: ManagementClient,
    request: PlanRequest,
    run: Run,
    plan: Plan,
    check_lock: Callable[[], None],
    made: tuple[Outcome, ...],
    migrator: Migrator | None,
) -> Result:
    """Do what a plan says, read back, and settle the record.

    Args:
        client: to the broker.
        request: that the plan was made for.
        run: how.
        plan: made under the lock.
        check_lock: raises LockLost when it is not ours any more.
        made: the vhost, if this run made it.
        migrator: migrates queues, where the plan does.

    Raises:
        Interrupted: Ctrl-C.
        Broken: it ended before its end.
    """
    changes = _inside(plan)
    execution = Execution(
        client,
        plan.scope.vhost,
        plan.allowances,
        check_lock,
        run.progress,
        plan.closing,
        plan.desired.policies,
        migrator,
        reach=plan.reach,
    )
    began = time.monotonic()
    try:
        try:
            execution.run(changes)
        finally:
            run.timed(RunPhase.WRITE, time.monotonic() - began)
        check_lock()
        run.progress.say("reading back")
        began = time.monotonic()
        after = prepare(client, request)
        if not request.aborts:
            _settle(client, plan, after)
    except KeyboardInterrupt:
        raise Interrupted(Result(plan, (*made, *execution.outcomes.values()))) from None
    except TopoError as error:
        raise Broken(error, Result(plan, (*made, *execution.outcomes.values()))) from error
    run.timed(RunPhase.VERIFY, time.monotonic() - began)
    outcomes = (*made, *_verified(plan, changes, execution.outcomes, after))
    return Result(plan, outcomes, after, end_connections(client, outcomes) if run.closes_connections else ())


def _ours_to_be(plan: Plan) -> list[Address]:
    """What a run makes because it is declared.

    Not what it deletes, which is ours already or somebody else's and then stays so if the deletion fails; nor
    an undeclared binding that it makes again beside a replaced queue.
    """
    made = (change.address for change in _inside(plan) if change.action is not Action.DELETE)
    return [address for address in made if address in plan.desired.objects]


def _inside(plan: Plan) -> tuple[Change, ...]:
    """All changes but those that the vhost is made or deleted by, before and after the lock that lives in it."""
    return tuple(change for change in plan.changes if change.kind is not Kind.VHOST or change.action is Action.UPDATE)


def _verified(plan: Plan, changes: tuple[Change, ...], outcomes: dict[Address, Outcome], after: Plan) -> list[Outcome]:
    """A change is done when the broker, read again, no longer needs it."""
    left = {change.address: change for change in after.changes}
    verified: list[Outcome] = []
    for change in changes:
        outcome = outcomes.get(change.address) or Outcome(change, Status.SKIPPED, "not reached")
        again = left.pop(change.address, None)
        if outcome.status is Status.DONE and again is not None:
            names = ", ".join(one.attribute for one in again.differences)
            why = f"read back, it still {f'differs in {names}' if names else f'needs: {again.action}'}"
            outcome = Outcome(change, Status.FAILED, why)
        verified.append(outcome)
    known = {change.address for change in plan.changes}
    verified += [
        Outcome(change, Status.FAILED, "changed by somebody else during the run")
        for address, change in left.items()
        if address not in known and change.kind is not Kind.VHOST
    ]
    return verified


def _settle(client: ManagementClient, plan: Plan, after: Plan) -> None:
    """Record what is ours now: everything declared that is there, and what could not be deleted."""
    record, owned = after.record, after.owned_afterwards
    unseen = [address for address in record.pending if not after.reach.writes_address(address)]
    # A vhost that this tool made and that has to stay, as somebody's queue is in it, goes with a later `destroy`.
    keeps_vhost = record.vhost_created and after.vhost_exists and _vhost_deletion(after) is None
    if plan.destroys and not owned and not unseen and not keeps_vhost:
        RecordKeeper(client, after).remove()
    else:
        RecordKeeper(client, after).write(record.settled(owned, unseen))


def make_vhost(client: ManagementClient, plan: Plan) -> tuple[Outcome, ...]:
    """Make the vhost where a plan does, before the lock, because the lock lives in it; making it twice does no harm.

    Raises:
        TopoError: it could not be made.
    """
    for change in plan.changes:
        if change.kind is Kind.VHOST and change.action is Action.CREATE:
            create(client, plan.scope.vhost, change.object)
            return (Outcome(change, Status.DONE),)
    return ()


def remove_vhost(client: ManagementClient, result: Result) -> Result:
    """Delete the vhost where a plan does, after the lock, which lies in it.

    Only when everything of ours is gone and, read back, nothing else is in it.

    Raises:
        TopoError: the broker cannot be reached any more, or does not allow it.
    """
    deletion = _vhost_deletion(result.plan)
    if deletion is None:
        return result
    is_free = result.after is not None and _vhost_deletion(result.after) is not None
    if not is_free or result.count(Status.DONE) < len(result.outcomes):
        outcome = Outcome(deletion, Status.SKIPPED, "objects are left in it")
    else:
        vhost = result.plan.scope.vhost
        delete(client, vhost, Vhost(vhost))
        outcome = Outcome(deletion, Status.DONE)
        if client.has_vhost(vhost):  # a 404 of the deletion proves nothing
            outcome = Outcome(deletion, Status.FAILED, "read back, it is still there")
    return replace(result, outcomes=(*result.outcomes, outcome))


def _vhost_deletion(plan: Plan) -> Change | None:
    deletions = (one for one in plan.changes if one.kind is Kind.VHOST and one.action is Action.DELETE)
    return next(deletions, None)


def stale(since: str) -> StalePlan:
    """The error of a plan that does not fit any more."""
    return StalePlan(
        f"the broker has changed since {since}; nothing was changed",
        why="what was reviewed is not what would be done now, or this login reaches another part of it",
        fix="make the plan again and review it",
    )
