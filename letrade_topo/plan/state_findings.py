"""What is wrong although every object is as declared: queues that do not work, others who take part. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from letrade_topo.broker.objects import Kind, Parameter, Queue, Vhost
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.topology import Ownership
from letrade_topo.plan.finding import Finding
from letrade_topo.plan.scope import Scope

NOT_WORKING = {
    "crashed": "its process has crashed",
    "down": "no node that holds it answers",
    "minority": "fewer than half of its members are there, so it takes and gives no message",
    "stopped": "it was stopped",
    "terminated": "it was stopped",
}
"""Words of the broker's listing for queues that cannot be used."""

_CARRIES = {
    "src-queue": "takes messages out of queue",
    "src-exchange": "takes copies of what arrives at exchange",
    "dest-queue": "puts messages into queue",
    "dest-exchange": "publishes to exchange",
}
"""What a shovel does, by the key of its definition (rabbit_shovel_parameters)."""


def state_findings(desired: DesiredState, live: LiveState, scope: Scope) -> Iterator[Finding]:
    """Queues out of work or taken by one connection, parameters that move messages, a vhost that is traced."""
    for queue in desired.policies:
        yield from _queue(queue, live)
    for parameter in live.parameters:
        if parameter.address in desired.objects:
            continue
        yield from _parameter(parameter, desired, scope)
    vhost = desired.objects.get(Vhost(live.vhost).address)
    is_said = vhost is not None and isinstance(vhost.object, Vhost) and vhost.object.tracing is not None
    if live.is_traced and desired.objects and not is_said:
        yield Finding(
            "tracing",
            Vhost(live.vhost).address,
            "tracing is on: whoever may bind to amq.rabbitmq.trace reads every message",
            f"turn it off: `rabbitmqctl trace_off -p {shlex.quote(live.vhost)}`",
        )


def _queue(name: str, live: LiveState) -> Iterator[Finding]:
    status = live.queues.get(name)
    if status is None:
        return
    if status.exclusive:
        text = "it belongs to one connection: nobody else may use it, and it goes with that connection"
        fix = "close that connection; then apply makes the queue as declared"
        yield Finding("exclusive-queue", Queue(name).address, text, fix)
    if status.state in NOT_WORKING:
        text = f"it is {status.state}: {NOT_WORKING[status.state]}"
        yield Finding("queue-state", Queue(name).address, text, "look at the broker's nodes and at its log")


def _parameter(parameter: Parameter, desired: DesiredState, scope: Scope) -> Iterator[Finding]:
    """Of somebody else; what it says may hold passwords, so of that only names of ours are shown."""
    value = parameter.value if isinstance(parameter.value, dict) else {}
    does = [
        f"{what} {named!r}"
        for key, what in _CARRIES.items()
        if (named := value.get(key)) is not None and _is_ours(key, str(named), desired)
    ]
    if does or scope.ownership is Ownership.EXCLUSIVE:
        text = f"the {parameter.component} {parameter.name!r} is not declared"
        yield Finding(
            "parameter",
            parameter.address,
            text + (f"; it {' and '.join(does)}" if does else ""),
            f"remove it (`rabbitmqctl clear_parameter -p {shlex.quote(scope.vhost)} {shlex.quote(parameter.component)} "
            f"{shlex.quote(parameter.name)}`), or list it under `ignore`",
        )


def _is_ours(key: str, name: str, desired: DesiredState) -> bool:
    kind = Kind.QUEUE if key.endswith("queue") else Kind.EXCHANGE
    return f"{kind}:{name}" in desired.objects
