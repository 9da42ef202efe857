"""Circles of dead letters on the broker as it is: with bindings, queues and policies that nobody declared. Pure.

Circles that the topology itself would make are an error of `validate`; so nothing is looked for while everything that
could lead a message on is as declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from letrade_topo.broker.objects import Binding, Policy, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import DesiredState
from letrade_topo.graph.wiring import live_wiring
from letrade_topo.model.cycles import Passage, Step, find_cycles, in_words
from letrade_topo.model.pcre import matcher
from letrade_topo.model.rules.cycles import LEADING_KEYS
from letrade_topo.model.topology import DestinationType
from letrade_topo.plan.finding import Finding


def cycle_findings(desired: DesiredState, live: LiveState) -> Iterator[Finding]:
    """Circles that a queue of the topology lies on."""
    broker = _Broker(desired, live)
    if not broker.leads_further_than_declared():
        return
    for cycle in find_cycles(broker.passages, broker.wiring.routes):
        ours = next((step.queue for step in cycle if step.queue in desired.policies), None)
        if ours is not None:
            yield Finding(
                "dead-letter-cycle",
                Queue(ours).address,
                f"what fails travels {in_words(cycle)}: "
                "one rejected message is delivered without end, hundreds of times in seconds",
                broker.remedy(cycle),
            )


class _Broker:
    """What leads messages on, as the broker has it."""

    def __init__(self, desired: DesiredState, live: LiveState) -> None:
        self._desired = desired
        self.wiring = live_wiring(live)
        self.passages: dict[str, list[Passage]] = {}
        for name in sorted(
            self.wiring.queues, key=lambda name: name not in desired.policies
        ):  # ours are reported first
            own = self.wiring.dead_letters_of(name)
            if ways := [*([own] if own is not None else []), *desired.agent_passages.get(name, ())]:
                self.passages[name] = ways

    def leads_further_than_declared(self) -> bool:
        """Whether a message that fails may get somewhere where the topology does not send it."""
        declared = self._desired.objects
        in_force = {*self.wiring.exchange_policies.values(), *self.wiring.queue_policies.values()}
        return (
            any(self._leads_undeclared(policy) for policy in in_force)
            or any(Queue(name).address not in declared for name in self.passages)
            or any(
                binding.address not in declared
                and (binding.destination_type == DestinationType.EXCHANGE or binding.destination in self.passages)
                for binding in self.wiring.bindings
            )
        )

    def remedy(self, cycle: Sequence[Step]) -> str:
        """What to remove."""
        for step in cycle:
            bound = step.bound
            address = Binding(
                bound.source, bound.destination_type, bound.destination, bound.routing_key, bound.arguments
            ).address
            if bound.source and address not in self._desired.objects:
                return f"remove {address}"
        return "lead one of these ways elsewhere: by its binding, its dead-letter exchange, or the policy that sets it"

    def _leads_undeclared(self, policy: str | None) -> bool:
        """Whether a policy leads messages on, and `validate` has not judged where to."""
        found = self.wiring.policies.get(policy or "")
        if found is None or not LEADING_KEYS & found.definition.keys():
            return False
        one = self._desired.objects.get(found.address)
        return one is None or not isinstance(one.object, Policy) or matcher(one.object.pattern) is None
