"""One pass: lead or stand by, read, compare, and in repair mode do what `apply` does without `--allow`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeAlias

from letrade_topo.apply.applying import Broken, Result, Run
from letrade_topo.apply.fleet import apply
from letrade_topo.apply.lock import LockHeld
from letrade_topo.apply.outcome import Status
from letrade_topo.broker.objects import Queue
from letrade_topo.broker_errors import BrokerUnreachable, LoginRefused, TlsRefused
from letrade_topo.errors import TopoError
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, NoManagementApi
from letrade_topo.plan.plan import Plan
from letrade_topo.plan.prepare import PlanRequest
from letrade_topo.watch.drift import differences
from letrade_topo.watch.journal import Journal
from letrade_topo.watch.leadership import Leadership, Standing
from letrade_topo.watch.looks import Look, Looks
from letrade_topo.watch.metrics import Metrics
from letrade_topo.watch.schedule import PassOutcome
from letrade_topo.watch.source import Watched

LOCK_SECONDS = 5.0
"""How long a repair waits for another run: a pipeline's goes first, and the next pass comes soon."""
MOST_SHOWN = 20
_NO_ANSWER = (BrokerUnreachable, TlsRefused, LoginRefused, NoManagementApi)
_SERVER_ERROR = 500

Connect: TypeAlias = Callable[[Watched], ManagementClient]
Tell: TypeAlias = Callable[[str, str, dict[str, Any]], None]


class Mode(StrEnum):
    """What the controller does about drift."""

    DETECT = "detect"
    REPAIR = "repair"


class Passes:
    """Makes passes.

    Args:
        mode: whether it repairs.
        connect: opens a client for a topology's broker, anew for each pass: logins and authorities may change.
        metrics: counts.
        log: told of what changes, not of every pass.
        clock: seconds since the epoch.
        journal: remembers what was found and done, for the page.
    """

    def __init__(
        self,
        mode: Mode,
        connect: Connect,
        metrics: Metrics,
        log: Tell,
        clock: Callable[[], float],
        journal: Journal | None = None,
    ) -> None:
        self._mode = mode
        self._connect = connect
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._journal = journal or Journal()
        self._leadership = Leadership()
        self._looks = Looks(metrics.timed)
        self._standing: Standing | None = None
        self._differences: tuple[str, ...] | None = None
        self._problem = ""
        self._remarks: tuple[str, ...] = ()

    def run(self, watched: Watched) -> PassOutcome:
        """One pass. Whatever goes wrong is logged and counted, and is no reason to end."""
        try:
            with self._connect(watched) as client:
                outcome = self._pass(client, watched)
        except TopoError as error:
            self._metrics.check_failed()
            return self._failed(error, str(error))
        except Exception as error:  # noqa: BLE001  # the next pass may do better; a controller that is gone does not
            self._metrics.check_failed()
            return self._failed(error, f"this is a bug: {error!r}")
        self._journal.passed(self._clock(), outcome)
        if self._problem and outcome is not PassOutcome.FAILED:
            self._log("info", "recovered", {})
            self._problem = ""
        return outcome

    def leave(self) -> None:
        """Let another one lead."""
        self._leadership.leave()

    def _pass(self, client: ManagementClient, watched: Watched) -> PassOutcome:
        request = replace(watched.request, leaves_blocked=True, leaves_expired=True)
        standing = self._leadership.take(client, request.scope, needed=self._mode is Mode.REPAIR)
        self._stands(standing)
        if standing is Standing.STANDBY:
            self._metrics.broker_up.set(1)
            return PassOutcome.STANDBY
        look = self._looks.look(client, watched, request)
        plan = look.plan
        self._journal.looked(watched, look, self._clock())
        self._metrics.checked(plan, self._clock())
        self._say(plan)
        self._metrics.broker_up.set(1)
        if plan.vhost_exists:
            self._metrics.queues(look.totals, _queues(plan, watched))
        if self._mode is Mode.DETECT:
            return PassOutcome.DONE
        return self._repair(client, watched, request, look)

    def _stands(self, standing: Standing) -> None:
        leads = standing is not Standing.STANDBY
        if leads:
            self._metrics.leader.set(1)
        else:
            self._metrics.standing_by()
        if standing is not self._standing:
            self._differences = None
            why = {
                Standing.LEADING: "",
                Standing.STANDBY: "another controller leads; this one takes over when it ends",
                Standing.UNLED: "no lease can be taken (no vhost yet, or no right to declare a queue): working without",
            }[standing]
            self._log("info", standing.value, {"why": why} if why else {})
        self._standing = standing

    def _say(self, plan: Plan) -> None:
        """What differs, when that is news."""
        if plan.remarks != self._remarks and (plan.remarks or self._remarks):
            self._log("info", "scope", {"remarks": list(plan.remarks), "not_looked_at": list(plan.unseen.names)})
        self._remarks = plan.remarks
        found = differences(plan)
        if found == self._differences:
            return
        if found:
            facts: dict[str, Any] = {"differences": len(found), "objects": list(found[:MOST_SHOWN])}
            blocked = sum("; blocked: " in line for line in found)
            self._log("warning", "drift", facts | ({"blocked": blocked} if blocked else {}))
        elif plan.in_sync:
            self._log("info", "in_sync", {"objects": len(plan.desired.objects)})
        self._differences = found

    def _repair(self, client: ManagementClient, watched: Watched, request: PlanRequest, look: Look) -> PassOutcome:
        plan = look.plan
        if plan.is_empty and plan.record_is_current:
            self._metrics.ran("noop", self._clock(), successful=True)
            return PassOutcome.DONE
        run = Run(lambda _: True, _Silent(), lock_timeout_seconds=LOCK_SECONDS, timed=self._metrics.timed)
        try:
            result = apply(client, request, run)
        except LockHeld as held:
            self._metrics.ran("locked", self._clock(), successful=False)
            self._log("info", "repair_waits", {"problem": held.what})
            return PassOutcome.BUSY
        except Broken as broken:
            self._metrics.changed(broken.result.outcomes)
            partly = broken.result.count(Status.DONE) > 0
            self._metrics.ran("partial" if partly else "error", self._clock(), successful=False)
            return self._failed(broken.cause, str(broken.cause))
        except TopoError as error:
            self._metrics.ran("error", self._clock(), successful=False)
            return self._failed(error, str(error))
        if result.after is not None:
            self._journal.looked(watched, replace(look, plan=result.after), self._clock())
        return self._ran(result)

    def _ran(self, result: Result) -> PassOutcome:
        self._metrics.changed(result.outcomes)
        done, left = result.count(Status.DONE), len(result.outcomes) - result.count(Status.DONE)
        word = ("partial" if done else "error") if left else ("ok" if done else "noop")
        self._metrics.ran(word, self._clock(), successful=not left)
        if result.after is not None:
            self._metrics.show(result.after)
        if done:
            made = [f"{one.change.action} {one.change.address}" for one in result.outcomes if one.status is Status.DONE]
            self._log("info", "repaired", {"changes": done, "objects": made[:MOST_SHOWN]})
        if left:
            failed = [f"{one.change.address}: {one.why}" for one in result.outcomes if one.status is not Status.DONE]
            self._log("error", "repair_failed", {"changes": left, "objects": failed[:MOST_SHOWN]})
            return PassOutcome.FAILED
        if result.after is not None:
            self._say(result.after)
        return PassOutcome.DONE

    def _failed(self, error: Exception, problem: str) -> PassOutcome:
        if isinstance(error, _NO_ANSWER) or (isinstance(error, BrokerRefused) and error.status >= _SERVER_ERROR):
            self._metrics.broker_up.set(0)
        if not self._leadership.leads:
            self._metrics.leader.set(0)
            self._standing = None
        if problem != self._problem:
            self._log("error", "pass_failed", {"problem": problem})
        self._problem = problem
        self._journal.passed(self._clock(), PassOutcome.FAILED, problem)
        return PassOutcome.FAILED


def _queues(plan: Plan, watched: Watched) -> dict[str, None]:
    """Every queue that the topology implies, in an order that hardly changes: those of services first."""
    implied = (one.object.name for one in plan.desired.objects.values() if isinstance(one.object, Queue))
    return dict.fromkeys((*watched.queues, *implied))


class _Silent:
    """Nobody watches."""

    def say(self, text: str) -> None:
        """Nothing."""

    def begin(self, title: str, total: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
