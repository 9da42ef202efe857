"""Policies in force, by the broker's own word, against what the topology wants in force. Pure.

Each policy can be on the broker as declared and yet do nothing, or do something where another should: of all that
match, RabbitMQ applies one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from letrade_topo.broker.objects import Address, Exchange, Kind, Policy, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.pcre import matcher
from letrade_topo.model.policy_keys import LOSING_KEYS, keys_that_keep_off, targets_exchanges, targets_queues
from letrade_topo.plan.change import same
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.scope import Scope


def policy_findings(
    desired: DesiredState, live: LiveState, scope: Scope, changing: Collection[Address] = ()
) -> Iterator[Finding]:
    """Where another policy is in force than the topology wants, or none; but for policies that the plan changes."""
    found = _Policies(desired, live, changing)
    for queue, expected in desired.policies.items():
        yield from _on_queue(queue, expected, found)
    for name in found.exchanges:
        yield from _on_exchange(name, found, scope)
    for policy in found.settled.values():
        if policy.name not in found.derived:
            yield from _without_effect(policy, found)
    for thing in live.objects.values():
        if isinstance(thing, Policy) and thing.name not in found.wanted and thing.address not in changing:
            yield from _rival(thing, found)
    yield from _operator_policies(desired, live)


class _Policies:
    """The declared and derived policies that are on the broker as they should be, and what is in force where.

    Where a policy itself is still to be written, its effect is no finding of its own.
    """

    def __init__(self, desired: DesiredState, live: LiveState, changing: Collection[Address]) -> None:
        self.desired, self.live, self.changing = desired, live, changing
        self.derived = frozenset(name for name in desired.policies.values() if name is not None)
        self.wanted: dict[str, Policy] = {}
        self.exchanges: list[str] = []
        for one in desired.objects.values():
            match one.object:
                case Policy(name=name):
                    self.wanted[name] = one.object
                case Exchange(name=name) if one.object.address in live.objects:
                    self.exchanges.append(name)
        self.settled = {name: policy for name, policy in self.wanted.items() if self._is_settled(policy)}

    def _is_settled(self, policy: Policy) -> bool:
        found = self.live.objects.get(policy.address)
        return found is not None and same(found.attributes, policy.attributes)

    def type_of(self, queue: str) -> str:
        """The type of a live queue."""
        found = self.live.objects.get(Queue(queue).address)
        return str(found.arguments.get(ARGUMENT_QUEUE_TYPE, "classic")) if isinstance(found, Queue) else "classic"

    def priority(self, policy: str | None) -> float:
        """The priority of a live policy; below all others for none."""
        thing = self.live.objects.get(Address(f"policy:{policy}"))
        return thing.priority if isinstance(thing, Policy) else -math.inf

    def definition(self, policy: str) -> Mapping[str, Json]:
        """What a live policy says."""
        found = self.live.objects.get(Address(f"policy:{policy}"))
        return found.definition if isinstance(found, Policy) else {}


def _on_queue(queue: str, expected: str | None, found: _Policies) -> Iterator[Finding]:
    status = found.live.queues.get(queue)
    actual = status.policy if status is not None else None
    if status is None or actual == expected or (expected is not None and expected not in found.settled):
        return
    if Address(f"{Kind.POLICY}:{actual}") in found.changing:
        return
    if actual in found.wanted:
        lost = _lost(queue, expected, actual, found) if actual in found.settled else []
        if not lost:
            return
        text = f"the declared policy {actual!r} is in effect on the queue"
        text += (f" instead of {expected!r}" if expected else "") + f": {' and '.join(lost)}"
    else:
        effective = f"policy {actual!r}" if actual else "no policy"
        text = (
            f"{effective} is in effect on the queue instead of {expected!r}"
            if expected
            else f"{effective} is in effect"
        )
    fix = "a policy of higher priority also matches the queue: narrow its pattern or remove it"
    yield Finding("policy-effect", Queue(queue).address, text, fix)


def _rival(policy: Policy, found: _Policies) -> Iterator[Finding]:
    """A foreign policy of the same priority as one that is in force: which of them is, may change at any moment."""
    for queue, expected in found.desired.policies.items():
        status = found.live.queues.get(queue)
        if expected is None or status is None or status.policy != expected:
            continue
        queue_type = found.type_of(queue)
        if (
            policy.priority == found.priority(expected)
            and targets_queues(policy.apply_to, queue_type)
            and not keys_that_keep_off(queue_type, policy.definition)
            and found.live.matches(policy.pattern, queue)
        ):
            text = f"it has the priority of {expected!r}, and both match queue {queue!r}: which is in effect may change"
            yield Finding("policy-tie", policy.address, text, "give it another priority, or narrow its pattern")
            return


def _lost(queue: str, expected: str | None, actual: str, found: _Policies) -> list[str]:
    """What does not hold on a queue under a declared policy in place of the derived one."""
    definition = found.definition(actual)
    wanted = found.definition(expected) if expected is not None else {}
    lost = [f"{key} is not {value}" for key, value in wanted.items() if not same(definition.get(key), value)]
    if queue in found.desired.keeping:
        lost += [f"what waits there is lost by {key}" for key in sorted(LOSING_KEYS & definition.keys())]
    return lost


def _on_exchange(name: str, found: _Policies, scope: Scope) -> Iterator[Finding]:
    actual = found.live.exchange_policies.get(name)
    if actual is None or actual in found.wanted or scope.ignores(Address(f"policy:{actual}")):
        return
    keys = ", ".join(found.definition(actual)) or "nothing that could be read"
    yield Finding(
        "policy-effect",
        Exchange(name, "").address,
        f"policy {actual!r} is in effect on the exchange ({keys})",
        f"narrow its pattern or remove it, or accept it by `policy:{actual}` under `ignore`",
    )


@dataclass(frozen=True, slots=True)
class _Matched:
    """A live object that a policy's pattern matches.

    Args:
        address: of the object.
        policy: the name of the policy in force there.
        kept_off: the keys that keep this one off.
    """

    address: Address
    policy: str | None
    kept_off: tuple[str, ...] = ()


def _without_effect(policy: Policy, found: _Policies) -> Iterator[Finding]:
    """A declared policy that is in force nowhere, or not where nothing stronger is."""
    if found.live.matches(policy.pattern, "") is None:
        in_force = (*found.live.exchange_policies.values(), *(one.policy for one in found.live.queues.values()))
        if policy.name not in in_force:
            yield _unjudged(policy.address, "it is in effect on nothing")
        return
    matched = list(_matched(policy, found))
    off = [one for one in matched if one.policy != policy.name and found.priority(one.policy) < policy.priority]
    # On others of its types it does what it is for; and what a type takes on no version, `validate` says of patterns
    # that it reads: an error on the bus, a warning beside it.
    if matcher(policy.pattern) is not None or any(one.policy == policy.name for one in matched):
        off = [one for one in off if not one.kept_off]
    if off:
        first, keys = off[0], ", ".join(off[0].kept_off)
        where = str(first.address) + (f" and {len(off) - 1:,} more" if len(off) > 1 else "")
        culprit = keys or f"one of {', '.join(policy.definition)}"
        text = f"it matches {where}, and is not in effect there: {culprit} is not taken there, and keeps all of it off"
        fix = f"remove {keys} from it, or narrow its pattern" if keys else "remove that key, or narrow its pattern"
        yield Finding("policy-effect", policy.address, text, fix)


def _matched(policy: Policy, found: _Policies) -> Iterator[_Matched]:
    live = found.live
    for queue in found.desired.policies:
        status, queue_type = live.queues.get(queue), found.type_of(queue)
        if status and targets_queues(policy.apply_to, queue_type) and live.matches(policy.pattern, queue):
            yield _Matched(Queue(queue).address, status.policy, keys_that_keep_off(queue_type, policy.definition))
    if targets_exchanges(policy.apply_to):
        for name in found.exchanges:
            if live.matches(policy.pattern, name):
                yield _Matched(Exchange(name, "").address, live.exchange_policies.get(name))


def _operator_policies(desired: DesiredState, live: LiveState) -> Iterator[Finding]:
    """One finding for each of them that is in force on queues of ours, whatever it says: we can never write it."""
    hit: dict[str, list[str]] = {}
    for queue in desired.policies:
        status = live.queues.get(queue)
        if status is not None and status.operator_policy is not None:
            hit.setdefault(status.operator_policy, []).append(queue)
    definitions = {str(one.get("name")): one.get("definition") for one in live.operator_policies}
    for name, queues in hit.items():
        if _operator_address(name) in desired.objects:
            continue
        definition = definitions.get(name)
        yield Finding(
            "operator-policy",
            _operator_address(name),
            _operator_text(name, queues, definition if isinstance(definition, Mapping) else {}, desired.keeping),
            "ask the broker's operator to narrow it, or list it under `ignore`",
        )
    for one in live.operator_policies:
        if live.matches(str(one.get("pattern")), "") is None:
            yield _unjudged(_operator_address(str(one.get("name"))), "it may be in effect on queues of this topology")


def _operator_text(name: str, queues: list[str], definition: Mapping[str, Json], keeping: Collection[str]) -> str:
    more = f" and {len(queues) - 1:,} more" if len(queues) > 1 else ""
    says = f" ({', '.join(f'{key}: {value}' for key, value in definition.items())})" if definition else ""
    text = f"the operator policy {name!r}{says} changes the limits of queue {queues[0]!r}{more}"
    lost = sorted(LOSING_KEYS & definition.keys())
    waiting = next((queue for queue in queues if queue in keeping), None)
    if lost and waiting:
        text += f"; what waits in {waiting!r} is lost by {' and '.join(lost)}"
    return text


def _operator_address(name: str) -> Address:
    return Address(f"operator-policy:{name}")


def _unjudged(address: Address, what: str) -> Finding:
    text = f"which names its pattern matches could be told neither here nor by the broker; {what}"
    return Finding("policy-unjudged", address, text, "write its pattern without verbs, classes by name and the like")
