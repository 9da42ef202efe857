"""Drift that no write of ours repairs: what is in effect differs although each object is as declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from letrade_topo.broker.objects import Address, Policy, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model import names
from letrade_topo.model.messages import Json
from letrade_topo.plan.scope import Scope

PLAIN_PROTOCOLS = frozenset(
    {"amqp", "mqtt", "stomp", "stream", "http", "http/web-mqtt", "http/web-stomp"},
)
"""Listener protocols without TLS, as `GET /api/overview` names them."""

APPLY_TO_CLASSIC = frozenset({"all", "queues", "classic_queues"})
"""Policies that apply to the lock's queue, which is a classic one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One such difference.

    Args:
        name: the kind of finding.
        address: what it is about.
        text: what was found.
        fix: what to do about it.
    """

    name: str
    address: Address
    text: str
    fix: str


def find(desired: DesiredState, live: LiveState, scope: Scope, *, tls_required: bool) -> tuple[Finding, ...]:
    """Look for plain-text listeners where TLS is required, and for queues under a policy that is not theirs."""
    found = [*_policy_effects(desired, live)]
    if tls_required:
        found += _plain_listeners(live)
    return tuple(finding for finding in found if not scope.ignores(finding.address))


def _policy_effects(desired: DesiredState, live: LiveState) -> Iterator[Finding]:
    for queue, expected in desired.policies.items():
        status = live.queues.get(queue)
        if status is None:
            continue
        if status.operator_policy is not None:
            yield Finding(
                "operator-policy",
                Address(f"operator-policy:{status.operator_policy}"),
                f"the operator policy {status.operator_policy!r} changes the limits of queue {queue!r}",
                "ask the broker's operator to narrow it, or list it under `ignore`",
            )
        if status.policy == expected:
            continue
        policy = live.objects.get(Address(f"policy:{expected}"))
        wanted = desired.objects.get(Address(f"policy:{expected}"))
        if expected is not None and (policy is None or wanted is None or policy.attributes != wanted.object.attributes):
            continue  # the policy itself is a change of the plan
        if status.policy is not None and _is_declared(desired, status.policy):
            continue
        effective = f"policy {status.policy!r}" if status.policy else "no policy"
        yield Finding(
            "policy-effect",
            Queue(queue).address,
            f"{effective} is in effect on the queue instead of {expected!r}"
            if expected
            else f"{effective} is in effect",
            "a policy of higher priority also matches the queue: narrow its pattern or remove it",
        )


def lock_hazards(live: LiveState, desired: DesiredState, topology: str) -> tuple[str, ...]:
    """Policies under which the lock's queue would expire before its lease ends, each as `policy 'NAME'`.

    Those that a run would make count as well: it makes them under its own lock.
    """
    things = chain(live.objects.values(), (one.object for one in desired.objects.values()))
    policies = ((f"policy {thing.name!r}", thing.attributes) for thing in things if isinstance(thing, Policy))
    operators = ((f"operator policy {one.get('name')!r}", one) for one in live.operator_policies)
    lock = names.lock_queue(topology)
    return tuple(dict.fromkeys(name for name, attributes in chain(policies, operators) if _expires(attributes, lock)))


def _expires(policy: Mapping[str, Json], queue: str) -> bool:
    definition = policy.get("definition")
    if not isinstance(definition, Mapping) or "expires" not in definition:
        return False
    if policy.get("apply-to") not in APPLY_TO_CLASSIC:
        return False
    try:
        return re.search(str(policy.get("pattern")), queue) is not None
    except re.error:
        return True  # PCRE that Python cannot read: rather refuse than lose the lock half-way


def _is_declared(desired: DesiredState, name: str) -> bool:
    one = desired.objects.get(Address(f"policy:{name}"))
    return one is not None and isinstance(one.object, Policy)


def _plain_listeners(live: LiveState) -> Iterator[Finding]:
    for listener in live.broker.listeners or ():
        if listener.protocol in PLAIN_PROTOCOLS:
            where = f"{listener.ip}:{listener.port}" if ":" not in listener.ip else f"[{listener.ip}]:{listener.port}"
            yield Finding(
                "plain-listener",
                Address(f"listener:{listener.protocol}:{listener.port}"),
                f"{listener.protocol} is listening without TLS on {where} of {listener.node or 'the broker'}",
                "set `listeners.tcp = none` (or the plugin's equivalent) in rabbitmq.conf; TLS is required",
            )
