"""Which queues and exchanges of a topology its own policies match, where that can be judged without a broker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from letrade_topo.model.pcre import Matches, matcher, only_name
from letrade_topo.model.policy_keys import LOSING_KEYS, keys_that_keep_off, targets_exchanges, targets_queues
from letrade_topo.model.queue_roles import RoledQueue, roled_queues
from letrade_topo.model.topology import DeclaredPolicy, Topology

BUILT_IN_EXCHANGES = ("amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic")


@dataclass(frozen=True, slots=True)
class JudgedPolicy:
    """A declared policy with a pattern that can be judged here.

    Args:
        policy: the policy.
        matches: whether its pattern matches a name.
        queues: the queues of the topology that it matches, whether or not they take its keys.
        exchanges: likewise.
    """

    policy: DeclaredPolicy
    matches: Matches
    queues: tuple[RoledQueue, ...]
    exchanges: tuple[str, ...]

    @property
    def applied(self) -> Iterator[RoledQueue]:
        """The queues that take all of its keys."""
        return (queue for queue in self.queues if not self.kept_off(queue))

    def kept_off(self, queue: RoledQueue) -> tuple[str, ...]:
        """Its keys that keep it off a queue."""
        return keys_that_keep_off(queue.type, self.policy.definition)

    def takes(self, queue: RoledQueue) -> list[str]:
        """What a queue's own policy says and this one does not."""
        definition = self.policy.definition
        return [f"its {key} of {value}" for key, value in queue.limits.items() if definition.get(key) != value]

    def loses(self, queue: RoledQueue) -> list[str]:
        """By which keys messages would go that wait in a queue."""
        return sorted(LOSING_KEYS & self.policy.definition.keys()) if queue.keeps_what_failed else []


@lru_cache(maxsize=1)
def judged_policies(topology: Topology) -> tuple[JudgedPolicy, ...]:
    """The declared policies whose patterns mean the same here and on the broker."""
    queues = {queue.name: queue for queue in roled_queues(topology)} if topology.policies else {}
    exchanges = dict.fromkeys((*topology.exchanges, *topology.failure_exchanges, *BUILT_IN_EXCHANGES))
    judged: list[JudgedPolicy] = []
    for policy in topology.policies.values():
        if (matches := matcher(policy.pattern)) is not None:
            target = policy.apply_to
            found = (queues[name] for name in _candidates(policy.pattern, queues) if matches(name))
            matched = tuple(queue for queue in found if targets_queues(target, queue.type))
            reached = _candidates(policy.pattern, exchanges) if targets_exchanges(target) else ()
            judged.append(JudgedPolicy(policy, matches, matched, tuple(filter(matches, reached))))
    return tuple(judged)


def _candidates(pattern: str, names: Collection[str]) -> Iterable[str]:
    """The names that a pattern may match: of thousands of policies for one queue each, not all names for each."""
    name = only_name(pattern)
    return names if name is None else [one for one in (name, f"{name}\n") if one in names]
