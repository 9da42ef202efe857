"""A whole run: plan, review, lock, look again, do, read back, record.

The intent is recorded before the first write and settled after the last, so a run that dies at any point
leaves nothing half-known: the next one finds what was made, owns it, and finishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from letrade_topo.apply.execute import Execution
from letrade_topo.apply.lock import CALL_SECONDS, BrokerLock
from letrade_topo.apply.outcome import Outcome, Progress, Status
from letrade_topo.broker.objects import Address, Kind, Vhost
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create, delete
from letrade_topo.model import names
from letrade_topo.plan.change import Action, Change
from letrade_topo.plan.guards import UnsafePlan
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import Request, prepare


class StalePlan(UnsafePlan):
    """The broker is not any more as it was when the plan was reviewed."""


class Declined(UnsafePlan):
    """The person who was asked said no."""


class Phase(StrEnum):
    """The parts of a run that take time."""

    LOCK = "lock"
    WRITE = "write"
    VERIFY = "verify"


def _untimed(phase: Phase, seconds: float) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is done.

    Args:
        review: shows the plan; False means that a person declined it.
        reviewed: a person saw the plan, so it must still be the same under the lock.
        fingerprint: of a saved plan; the broker must still have it.
        lock_timeout_seconds: how long to wait for another run.
        progress: who is told how far it is.
        timed: who is told how long a phase took, in seconds.
    """

    review: Callable[[Plan], bool]
    progress: Progress
    reviewed: bool = False
    fingerprint: str | None = None
    lock_timeout_seconds: float = 30.0
    timed: Callable[[Phase, float], None] = _untimed


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did.

    Args:
        plan: what was to be done.
        outcomes: one for each change.
        after: what was left when it was read back; None when nothing was written.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    after: Plan | None = None

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


def apply(client: ManagementClient, request: Request, run: Run) -> Result:
    """Make the broker match, or say what kept it from matching.

    Raises:
        UnsafePlan: a guard refuses, the plan is stale, or the person declined; nothing was written.
        LockHeld: another run goes on; nothing was written.
        Interrupted: Ctrl-C; the lock is released.
        TopoError: the broker cannot be reached or read.
    """
    plan = prepare(client, request)
    if run.fingerprint is not None and plan.fingerprint != run.fingerprint:
        raise _stale("the plan was saved")
    if plan.is_empty and plan.record_is_current:
        run.review(plan)
        return Result(plan)
    if not run.review(plan):
        raise Declined("nothing was changed", why="the plan was declined")
    refuse(plan)
    if plan.destroys and not plan.vhost_exists:
        # Only users are left, and no place for the lock; to delete them twice does no harm.
        return _perform(client, request, run, plan, lambda: None, ())
    made = _make_vhost(client, plan)
    with (
        ManagementClient(
            client.endpoint, timeout_seconds=CALL_SECONDS, pool_size=1, observe=client.observe
        ) as lock_client,
        BrokerLock(lock_client, plan.scope.vhost, plan.scope.topology, run.lock_timeout_seconds) as lock,
    ):
        run.timed(Phase.LOCK, lock.waited_seconds)
        result = _locked(client, request, run, plan, lock, made)
    return _remove_vhost(client, result)


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


def _locked(
    client: ManagementClient, request: Request, run: Run, first: Plan, lock: BrokerLock, made: tuple[Outcome, ...]
) -> Result:
    plan = prepare(client, request)
    plan = replace(plan, changes=(*(outcome.change for outcome in made), *plan.changes))
    if plan.fingerprint != first.fingerprint and (run.reviewed or run.fingerprint is not None):
        raise _stale("the plan was reviewed")
    refuse(plan)  # again: messages may have come while a person was asked, and no fingerprint shows them
    intent = plan.record.intending(_ours_to_be(plan), plan.broker.username)
    intent = replace(intent, vhost_created=intent.vhost_created or bool(made))
    lock.check()
    client.put_global_parameter(plan.scope.record_name, intent.to_json())
    return _perform(client, request, run, plan, lock.check, made)


def _perform(
    client: ManagementClient,
    request: Request,
    run: Run,
    plan: Plan,
    check_lock: Callable[[], None],
    made: tuple[Outcome, ...],
) -> Result:
    changes = _inside(plan)
    execution = Execution(client, plan.scope.vhost, plan.allowances, check_lock, run.progress)
    began = time.monotonic()
    try:
        try:
            execution.run(changes)
        finally:
            run.timed(Phase.WRITE, time.monotonic() - began)
        check_lock()
        run.progress.say("reading back")
        began = time.monotonic()
        after = prepare(client, request)
        _settle(client, plan, after)
    except KeyboardInterrupt:
        raise Interrupted(Result(plan, (*made, *execution.outcomes.values()))) from None
    except TopoError as error:
        raise Broken(error, Result(plan, (*made, *execution.outcomes.values()))) from error
    run.timed(Phase.VERIFY, time.monotonic() - began)
    return Result(plan, (*made, *_verified(plan, changes, execution.outcomes, after)), after)


def _ours_to_be(plan: Plan) -> list[Address]:
    """What a run makes because it is declared.

    Not what it deletes, which is ours already or somebody else's and then stays so if the deletion fails; nor
    an undeclared binding that it makes again beside a replaced queue.
    """
    made = (change.address for change in _inside(plan) if change.action is not Action.DELETE)
    return [address for address in made if address in plan.desired.objects]


def _inside(plan: Plan) -> tuple[Change, ...]:
    """All changes but those of the vhost, which is made before the lock and deleted after it."""
    return tuple(change for change in plan.changes if change.kind is not Kind.VHOST)


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
    record = after.record
    present = set(after.comparison.in_sync)
    for change in after.changes:
        if change.before is not None and (change.after is not None or record.owns(change.address)):
            present.add(change.address)
    present |= {one.change.address for one in after.blocked if record.owns(one.change.address)}
    owned = {address for address in present if not address.startswith("vhost:")}
    # A vhost that this tool made and that has to stay, as somebody's queue is in it, goes with a later `destroy`.
    keeps_vhost = record.vhost_created and after.vhost_exists and _vhost_deletion(after) is None
    if plan.destroys and not owned and not keeps_vhost:
        client.delete_global_parameter(plan.scope.record_name)
    else:
        client.put_global_parameter(plan.scope.record_name, record.settled(owned).to_json())


def _make_vhost(client: ManagementClient, plan: Plan) -> tuple[Outcome, ...]:
    """Before the lock, because the lock lives in it; making it twice does no harm."""
    for change in plan.changes:
        if change.kind is Kind.VHOST and change.action is Action.CREATE:
            create(client, plan.scope.vhost, change.object)
            return (Outcome(change, Status.DONE),)
    return ()


def _remove_vhost(client: ManagementClient, result: Result) -> Result:
    """After the lock, which lies in it; only when everything of ours is gone and, read back, nothing else is in it."""
    deletion = _vhost_deletion(result.plan)
    if deletion is None:
        return result
    is_free = result.after is not None and _vhost_deletion(result.after) is not None
    if not is_free or result.count(Status.DONE) < len(result.outcomes):
        outcome = Outcome(deletion, Status.SKIPPED, "objects are left in it")
    else:
        delete(client, result.plan.scope.vhost, Vhost(result.plan.scope.vhost))
        outcome = Outcome(deletion, Status.DONE)
    return replace(result, outcomes=(*result.outcomes, outcome))


def _vhost_deletion(plan: Plan) -> Change | None:
    deletions = (one for one in plan.changes if one.kind is Kind.VHOST and one.action is Action.DELETE)
    return next(deletions, None)


def _stale(since: str) -> StalePlan:
    return StalePlan(
        f"the broker has changed since {since}; nothing was changed",
        why="what was reviewed is not what would be done now",
        fix="make the plan again and review it",
    )
