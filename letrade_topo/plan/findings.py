"""Drift that no write of ours repairs: what is in effect differs although each object is as declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from letrade_topo.broker.objects import Address, OperatorPolicy, Policy
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model import names
from letrade_topo.model.messages import Json
from letrade_topo.model.pcre import matcher
from letrade_topo.plan.cycle_findings import cycle_findings
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.policy_findings import policy_findings
from letrade_topo.plan.scope import Scope
from letrade_topo.plan.state_findings import state_findings

PLAIN_PROTOCOLS = frozenset(
    {"amqp", "mqtt", "stomp", "stream", "http", "http/web-mqtt", "http/web-stomp"},
)
"""Listener protocols without TLS, as `GET /api/overview` names them."""

APPLY_TO_CLASSIC = frozenset({"all", "queues", "classic_queues"})
"""Policies that apply to the lock's queue, which is a classic one."""


def find(
    desired: DesiredState, live: LiveState, scope: Scope, changing: Collection[Address] = (), *, tls_required: bool
) -> tuple[Finding, ...]:
    """Look for what the comparison of objects does not show.

    Args:
        desired: what should be there.
        live: what is there.
        scope: what counts.
        changing: what the plan changes; that a policy is in force which goes is no finding besides.
        tls_required: plain-text listeners count.
    """
    found = [
        *policy_findings(desired, live, scope, changing),
        *cycle_findings(desired, live),
        *state_findings(desired, live, scope),
    ]
    if tls_required:
        found += _plain_listeners(live)
    return tuple(finding for finding in found if not scope.ignores(finding.address))


def lock_hazards(live: LiveState, desired: DesiredState, topology: str) -> tuple[str, ...]:
    """Policies under which the lock's queue would expire before its lease ends, each as `policy 'NAME'`.

    Those that a run would make count as well: it makes them under its own lock.
    """
    things = chain(live.objects.values(), (one.object for one in desired.objects.values()))
    policies = ((f"policy {thing.name!r}", thing.attributes) for thing in things if isinstance(thing, Policy))
    declared = (one.object for one in desired.objects.values() if isinstance(one.object, OperatorPolicy))
    ours = ((f"operator policy {one.name!r}", one.attributes) for one in declared)
    operators = ((f"operator policy {one.get('name')!r}", one) for one in live.operator_policies)
    lock = names.lock_queue(topology)
    return tuple(
        dict.fromkeys(name for name, attributes in chain(policies, operators, ours) if _expires(attributes, lock))
    )


def _expires(policy: Mapping[str, Json], queue: str) -> bool:
    definition = policy.get("definition")
    if not isinstance(definition, Mapping) or "expires" not in definition:
        return False
    if policy.get("apply-to") not in APPLY_TO_CLASSIC:
        return False
    matches = matcher(str(policy.get("pattern")))
    return matches is None or matches(queue)  # where Python cannot tell, rather refuse than lose the lock half-way


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


__all__ = ["Finding", "find", "lock_hazards"]
