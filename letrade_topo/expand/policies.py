"""Policies: the limits that may change without harm, so that a later edit needs no redeclare.

RabbitMQ applies at most one policy to a queue, and whenever one policy changes it matches every policy against every
queue. So there are as few as possible, and none of them grows with the number of queues: one for the queues in which
messages wait; one for all consumers, or none where the broker's own default is what the topology wants and no declared
policy could take its place; and one for each different set of limits that queues have of their own, of higher priority.
A policy's name never depends on its values: an edit is an update in place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Attributes, Policy
from letrade_topo.expand.desired import Desired, DocumentPath, Standby, by_address
from letrade_topo.model import names
from letrade_topo.model.name_patterns import NamePattern, Others, Precision, Wanted, find_patterns, fits, list_names
from letrade_topo.model.pcre import matcher
from letrade_topo.model.policy_keys import targets_queues
from letrade_topo.model.queue_roles import delivery_limit_of
from letrade_topo.model.routing import escape
from letrade_topo.model.topology import DeclaredQueue, Ownership, PolicyTarget, QueueType, Topology
from letrade_topo.model.units import Duration

SHARED_PRIORITY = 1
OWN_PRIORITY = 2
"""A queue that gets limits of its own is matched by both policies; the own one wins."""

UNLIMITED_DELIVERIES = -1
MOST_DELAYS = 10
"""So many times the redelivery delay is the longest: the broker's own delay grows with each failed delivery."""
DELIVERY_LIMIT = "delivery-limit"

_DERIVED = re.compile(names.DERIVED_QUEUES_EXPRESSION)
_NOT_OURS = (names.RESERVED_PREFIX, names.OWNERSHIP_RECORD_PREFIX)


def expand_policies(
    topology: Topology, capabilities: Capabilities
) -> tuple[list[Desired], dict[str, str | None], Standby]:
    """The derived and the declared policies, which one each queue should be under, and what may be needed besides."""
    derived = _Derived(topology, capabilities)
    desired = [*derived.waiting(), *derived.own()]
    standby = Standby()
    if derived.is_default:
        unshared = dict(derived.effect)
        objects = by_address(derived.consumer())
        standby = Standby(objects, {queue: name for queue, name in derived.effect.items() if queue not in unshared})
        derived.effect = unshared
    else:
        desired += derived.consumer()
    for name, declared in topology.policies.items():
        path: DocumentPath = ("policies", name)
        definition = dict(declared.definition)
        desired.append(Desired(Policy(name, declared.pattern, declared.apply_to, definition, declared.priority), path))
    return desired, derived.effect, standby


class _Derived:
    """The policies that follow from the queues of a topology; `effect` says which one each queue is under."""

    def __init__(self, topology: Topology, capabilities: Capabilities) -> None:
        self._topology = topology
        self._capabilities = capabilities
        self._is_exclusive = topology.ownership is Ownership.EXCLUSIVE
        self._namespaces = [names.namespace(service) for service in topology.services]
        self._dead = [topology.dead_letter.queue] if topology.has_dead_letters else []
        self._consumers: list[str] = []
        self._without: list[str] = []  # queues that need no policy at all
        self._groups: dict[str, tuple[Attributes, list[str]]] = {}
        self._common: Attributes = {DELIVERY_LIMIT: topology.limits.delivery_limit}
        self._common |= self._brake(topology.limits.redelivery_delay)
        for queue in topology.queues.values():
            definition = self._definition(queue)
            if queue.type is QueueType.QUORUM and definition == self._common:
                self._consumers.append(queue.name)
            elif definition:
                key = json.dumps(definition, sort_keys=True)
                self._groups.setdefault(key, (definition, []))[1].append(queue.name)
            else:
                self._without.append(queue.name)
        self.effect: dict[str, str | None] = {}

    @property
    def is_default(self) -> bool:
        """Whether a queue without limits of its own is as it should be without a policy."""
        is_common = self._common == {DELIVERY_LIMIT: self._capabilities.default_delivery_limit}
        return is_common and not self._is_disputed()

    def consumer(self) -> Iterator[Desired]:
        """What all queues without limits of their own have."""
        if not self._consumers:
            return
        patterns: Iterable[tuple[NamePattern, Iterable[str]]]
        everything = self._everything() if self._is_exclusive else None
        if everything is not None:
            patterns = [(everything, self._consumers)]
        else:
            patterns = self._patterns(self._consumers, lambda: [*self._without, *self._dead])
        yield from self._shared("consumer", patterns, self._common, ("limits", DELIVERY_LIMIT.replace("-", "_")))

    def waiting(self) -> Iterator[Desired]:
        """No delivery limit where messages wait for a person or for the router: to look at one is a delivery, too."""
        if not self._capabilities.unlimited_delivery_limit or not self._dead:
            return
        dead, suffix = self._dead[0], names.REJECTED_SUFFIX
        stems = [queue.name for queue in self._topology.queues.values() if queue.has_rejected_queue]
        waiting = sorted([dead, *map(names.rejected_queue, stems)])
        # Queues that only look as if messages waited in them.
        lookalikes = [name.removesuffix(suffix) for name in (*self._consumers, *self._without) if name.endswith(suffix)]
        patterns: Iterable[tuple[NamePattern, Iterable[str]]]
        if self._is_exclusive and not lookalikes:
            patterns = [(NamePattern(f"^(?:.+{escape(suffix)}|{escape(dead)})$", Precision.OPEN), waiting)]
        elif (listed := list_names(waiting)) is not None:
            patterns = [(listed, waiting)]
        else:
            wanted = Wanted(
                stems,
                lambda: Others(lookalikes, _NOT_OURS),
                namespaces=self._namespaces,
                tail=escape(suffix),
                further=[escape(dead)],
            )
            found = find_patterns(wanted)
            patterns = ((pattern, [dead, *map(names.rejected_queue, some)]) for pattern, some in found)
        yield from self._shared("waiting", patterns, {DELIVERY_LIMIT: UNLIMITED_DELIVERIES}, ("dead_letter",))

    def own(self) -> Iterator[Desired]:
        """One policy for all queues of the same limits; its name is that of the first of them."""
        queues = self._topology.queues
        for definition, members in self._groups.values():
            own = frozenset(members)

            def others(own: frozenset[str] = own) -> Iterable[str]:
                return chain((name for name in queues if name not in own), self._dead)

            for pattern, some in self._patterns(members, others):
                first = min(some)
                name = names.queue_policy(self._topology.name, first)
                self.effect.update(dict.fromkeys(some, name))
                policy = Policy(name, pattern.expression, PolicyTarget.QUEUES, definition, OWN_PRIORITY)
                yield Desired(policy, ("queues", first))

    def _is_disputed(self) -> bool:
        """Whether a declared policy might apply to a queue without limits of its own, if that had no policy."""
        for policy in self._topology.policies.values():
            matches = matcher(policy.pattern)
            if targets_queues(policy.apply_to, QueueType.QUORUM) and (
                matches is None or any(map(matches, self._consumers))
            ):
                return True
        return False

    def _definition(self, queue: DeclaredQueue) -> Attributes:
        """What a policy of a queue's own would have to say."""
        limits, definition = queue.limits, Attributes()
        if (deliveries := delivery_limit_of(queue, self._topology)) is not None:
            definition[DELIVERY_LIMIT] = deliveries
            definition |= self._brake(limits.redelivery_delay or self._topology.limits.redelivery_delay)
        if limits.max_length is not None:
            definition["max-length"] = limits.max_length
        if limits.max_length_bytes is not None:
            definition["max-length-bytes"] = limits.max_length_bytes.bytes
        if limits.expires is not None:
            definition["expires"] = limits.expires.milliseconds
        return definition

    def _brake(self, delay: Duration | None) -> Attributes:
        """Hold back what is given back, however that happens: the delay times the failed deliveries."""
        if delay is None or not self._capabilities.delayed_retry:
            return {}
        least = max(1, delay.milliseconds)
        return {
            "delayed-retry-type": "all",
            "delayed-retry-min": least,
            "delayed-retry-max": least * MOST_DELAYS,
        }

    def _patterns(
        self, members: Iterable[str], others: Callable[[], Iterable[str]]
    ) -> Iterator[tuple[NamePattern, Iterable[str]]]:
        """Patterns of these queues; others of ours, or that follow from them, they do not match."""
        wanted = Wanted(
            sorted(members),
            lambda: Others((name for name in others() if not _DERIVED.fullmatch(name)), _NOT_OURS),
            namespaces=self._namespaces,
            derived=names.DERIVED_QUEUES_EXPRESSION,
        )
        return find_patterns(wanted)

    def _everything(self) -> NamePattern | None:
        """The pattern of every queue of a vhost that is ours alone, but those that have or need no limit.

        None where a queue's name does not say which it is.
        """
        if any(map(_DERIVED.fullmatch, self._consumers)):
            return None
        told = (name for name in self._without if not _DERIVED.fullmatch(name))
        apart = "|".join([*map(escape, (*self._dead, *told)), names.DERIVED_QUEUES_EXPRESSION])
        reserved = "|".join(map(escape, _NOT_OURS))
        expression = rf"^(?!{reserved}|(?:{apart})$).+$"
        return NamePattern(expression, Precision.OPEN) if fits(expression) else None

    def _shared(
        self,
        role: str,
        patterns: Iterable[tuple[NamePattern, Iterable[str]]],
        definition: Attributes,
        path: DocumentPath,
    ) -> Iterator[Desired]:
        for number, (pattern, members) in enumerate(patterns):
            name = names.shared_policy(self._topology.name, role, number)
            self.effect.update(dict.fromkeys(members, name))
            policy = Policy(name, pattern.expression, PolicyTarget.QUEUES, definition, SHARED_PRIORITY)
            yield Desired(policy, path)
