"""What the topology's own policies do to each other and to the policies that follow from its queues.

RabbitMQ applies one policy to a queue or exchange: of those that match and of which it takes every key, the one of the
highest priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from letrade_topo.model import names
from letrade_topo.model.policies_in_force import JudgedPolicy, judged_policies
from letrade_topo.model.queue_roles import QueueRole, RoledQueue
from letrade_topo.model.routing import escape
from letrade_topo.model.rules.problem import Breach, Rule, Severity, rule
from letrade_topo.model.topology import DeclaredPolicy, Topology

MOST_NAMED = 3
EVERYTHING = ("", "^", ".*", "^.*", "^.*$")
_ANY_ID = "0b5f7a52-93e0-4b6c-a9f1-0123456789ab"


@rule(
    "policy-displaces",
    "policy that takes the place of a queue's own",
    "RabbitMQ applies one policy to a queue, the one of the highest priority. The limits of the topology's queues are "
    "policies already (priority 1, or 2 for a queue with limits of its own): a stronger one takes them away. Where "
    "failed messages wait (`.rejected`, the retry queues, the dead letters), nothing may expire or be limited.",
)
def policy_displaces(topology: Topology) -> Iterator[Breach]:
    """Declared policies that would be in force where the topology's own limits have to be."""
    for one in judged_policies(topology):
        hit = [queue for queue in one.applied if _taken(one, queue) or (one.loses(queue) and _is_in_force(one, queue))]
        if hit:
            queue = hit[0]
            harm = [f"would take {' and '.join(lost)} away" for lost in [_taken(one, queue)] if lost]
            harm += [f"what waits there would be lost by its {key}" for key in one.loses(queue)]
            why = f"On the queue {queue.name!r} it would be in force, and {', and '.join(harm)}."
            yield Breach(("policies", one.policy.name, "pattern"), why, _narrowed(one, hit, topology))


def _taken(one: JudgedPolicy, queue: RoledQueue) -> list[str]:
    return one.takes(queue) if one.policy.priority > queue.priority else []


def _is_in_force(one: JudgedPolicy, queue: RoledQueue) -> bool:
    """On some version: before 4.0 waiting queues have no policy of their own, retry queues have none on any."""
    return queue.role is not QueueRole.CONSUMER or one.policy.priority > queue.priority


def _narrowed(one: JudgedPolicy, hit: Sequence[RoledQueue], topology: Topology) -> str:
    """What to do, with a pattern that leaves those queues out."""
    left_out = [r".*\.(?:rejected|retry\.[0-9]+)"] if any(queue.keeps_what_failed for queue in hit) else []
    left_out += [escape(topology.dead_letter.queue)] if left_out else []
    consumers = [queue for queue in hit if not queue.keeps_what_failed]
    limits = " Limits of a declared queue stand at the queue itself." if consumers else ""
    if not one.exchanges and len(hit) == len(one.queues):
        return "Remove the policy: it matches nothing else." + limits
    if len(consumers) > MOST_NAMED:
        weaker = min(queue.priority for queue in consumers) - 1
        fix = f"Give it the priority {weaker}, and write limits of declared queues at the queues themselves."
        return fix + (f" Let its pattern begin with ^(?!(?:{'|'.join(left_out)})$)." if left_out else "")
    left_out += [escape(queue.name) for queue in consumers]
    pattern = one.policy.pattern
    is_plain = pattern.startswith("^") and not set("|(") & set(pattern)
    rest = pattern[1:] if is_plain else f"(?=.*(?:{pattern}))"
    without = f"^(?!(?:{'|'.join(left_out)})$){'' if pattern in EVERYTHING else rest}"
    return f"Leave them out, as in '{without}'.{limits}"


@rule(
    "policy-tie",
    "two policies of one priority on one object",
    "Of several policies that match with the same priority RabbitMQ applies any one, and it may be another tomorrow. A "
    "warning where no queue of a service or of message types is among those that both match.",
)
def policy_tie(topology: Topology) -> Iterator[Breach]:
    """Declared policies that share a priority with another one on a queue or exchange."""
    seen: list[_Applied] = []
    for one in judged_policies(topology):
        applied = _Applied(one, frozenset(one.applied), frozenset(one.exchanges))
        tie = _tie(applied, seen)
        seen.append(applied)
        if tie is not None:
            where, other, is_on_bus = tie
            why = f"On {where} {other} has the priority {one.policy.priority}, too: which of them is in force is open."
            fix = f"Give it the priority {one.policy.priority - 1}, or narrow its pattern."
            severity = None if is_on_bus else Severity.WARNING
            yield Breach(("policies", one.policy.name), why, fix, at_key=True, severity=severity)


class _Applied(NamedTuple):
    """A policy, and the queues and exchanges that it is in force on, or would be if no other were."""

    judged: JudgedPolicy
    queues: frozenset[RoledQueue]
    exchanges: frozenset[str]

    @property
    def policy(self) -> DeclaredPolicy:
        return self.judged.policy


def _tie(one: _Applied, earlier: Iterable[_Applied]) -> tuple[str, str, bool] | None:
    """Where, with what, and whether that is a queue on the bus, or an exchange."""
    for queue in one.judged.applied:
        if queue.priority == one.policy.priority and one.judged.takes(queue):
            return f"the queue {queue.name!r}", "the policy of its own limits", True
    for other in earlier:
        if other.policy.priority != one.policy.priority:
            continue
        if shared := {queue.name: queue.is_on_bus for queue in one.queues & other.queues}:
            return f"the queue {min(shared)!r}", f"the policy {other.policy.name!r}", any(shared.values())
        if common := one.exchanges & other.exchanges:
            return f"the exchange {min(common)!r}", f"the policy {other.policy.name!r}", False
    return None


@rule(
    "policy-kept-off",
    "policy that is in force nowhere",
    "A key that a queue's type does not take keeps the whole policy off the queue, the other keys with it. A warning "
    "where it matches no queue of a service or of message types.",
)
def policy_kept_off(topology: Topology) -> Iterator[Breach]:
    """Policies that no matching object takes."""
    for one in judged_policies(topology):
        if one.queues and not one.exchanges and all(map(one.kept_off, one.queues)):
            severity = None if any(queue.is_on_bus for queue in one.queues) else Severity.WARNING
            breach = _key_breach(one, one.queues[0], f"Nothing that it matches takes it: {one.queues[0].name!r}")
            yield replace(breach, severity=severity)


@rule(
    "policy-partly-kept-off",
    "policy that is not in force on all it matches",
    "A key that a queue's type does not take keeps the whole policy off the queue, the other keys with it.",
    severity=Severity.WARNING,
)
def policy_partly_kept_off(topology: Topology) -> Iterator[Breach]:
    """Policies that some matching queues take, and others do not."""
    for one in judged_policies(topology):
        off = [queue for queue in one.queues if one.kept_off(queue)]
        meant = [
            queue for queue in off if queue.role is QueueRole.CONSUMER
        ]  # what follows from a queue is no one's concern
        if meant and (len(off) < len(one.queues) or one.exchanges):
            yield _key_breach(one, meant[0], f"It is not in force on {meant[0].name!r}, which")


def _key_breach(one: JudgedPolicy, queue: RoledQueue, text: str) -> Breach:
    keys = one.kept_off(queue)
    listed = ", ".join(map(repr, keys))
    why = f"{text} is a {queue.type} queue, and these take no {listed}; none of the policy is in force there."
    fix = f"Remove {listed}, or put it into a policy of its own for the queues that take it."
    return Breach(("policies", one.policy.name, "definition", keys[0]), why, fix, at_key=True)


@rule(
    "policy-over-queue",
    "policy without effect on a queue",
    "RabbitMQ applies one policy to a queue, the one of the highest priority. The limits of the topology's queues are "
    "policies already (priority 1, or 2 for a queue with limits of its own): a weaker one has no effect on them.",
    severity=Severity.WARNING,
)
def policy_over_queue(topology: Topology) -> Iterator[Breach]:
    """Declared policies that match queues on which the topology's own policy is stronger."""
    for one in judged_policies(topology):
        queue = next((queue for queue in one.applied if _is_weaker(one, queue)), None)
        if queue is not None:
            why = f"On {queue.name!r}, among others maybe, the policy of its own limits is stronger."
            yield Breach(
                ("policies", one.policy.name, "pattern"),
                why,
                "Write the limits at the queues themselves, or narrow the pattern.",
            )


def _is_weaker(one: JudgedPolicy, queue: RoledQueue) -> bool:
    return queue.role is QueueRole.CONSUMER and bool(queue.limits) and one.policy.priority < queue.priority


@rule(
    "policy-matches-nothing",
    "policy that matches nothing",
    "A policy that matches none of the topology's queues and exchanges, and no run-time queue of a service, is a "
    "spelling mistake more often than not.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def policy_matches_nothing(topology: Topology) -> Iterator[Breach]:
    """Policies whose pattern matches no name that is known here."""
    for one in judged_policies(topology):
        if not one.queues and not one.exchanges and not any(map(one.matches, _run_time_names(topology))):
            why = f"No queue or exchange to which it applies has a name that {one.policy.pattern!r} matches."
            yield Breach(
                ("policies", one.policy.name, "pattern"),
                why,
                "Correct the pattern or `apply_to`, or remove the policy.",
            )


def _run_time_names(topology: Topology) -> Iterator[str]:
    for service in topology.services:
        yield from (f"{service}.{kind}.{_ANY_ID}" for kind in ("reply", "sub"))
    yield from (f"{names.RESERVED_PREFIX}gen-{_ANY_ID}", f"amq_{_ANY_ID}")


RULES: tuple[Rule, ...] = (
    policy_displaces,
    policy_tie,
    policy_kept_off,
    policy_partly_kept_off,
    policy_over_queue,
    policy_matches_nothing,
)
