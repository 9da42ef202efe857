"""Which live objects concern this topology at all.

Out of scope are what services make for themselves at run time (exclusive, auto-delete and server-named
queues, auto-delete exchanges, and the declared run-time names), their bindings, whatever the topology says to
ignore, and the permissions that the broker gave to the users who ran this tool.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Self

from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Permission, Queue
from letrade_topo.broker.state import LiveState
from letrade_topo.model import names
from letrade_topo.model.topology import Ownership, Topology


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a topology that decides what it sees on the broker.

    Args:
        topology: its name.
        vhost: the vhost.
        ownership: what undeclared objects mean.
        ignore: address globs that are never looked at.
        run_time_queues: regular expressions of queues that services make for themselves.
        vhost_protected: the vhost shall not be deleted.
    """

    topology: str
    vhost: str
    ownership: Ownership
    ignore: tuple[str, ...] = ()
    run_time_queues: tuple[str, ...] = ()
    vhost_protected: bool = False
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expressions = [*self.run_time_queues, r"amq\..*"]
        object.__setattr__(self, "_pattern", re.compile("|".join(f"(?:{one})" for one in expressions)))

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """The scope of a topology."""
        return cls(
            topology.name,
            topology.vhost,
            topology.ownership,
            topology.ignore,
            tuple(names.run_time_queues_expression(name) for name in topology.services),
            bool(topology.vhost_protected),
        )

    @property
    def record_name(self) -> str:
        """The global parameter that holds the ownership record."""
        return names.ownership_record(self.topology, self.vhost)

    def is_run_time_queue(self, name: str, live: LiveState) -> bool:
        """Whether a live queue belongs to a running client rather than to a topology."""
        queue = live.objects.get(Queue(name).address)
        status = live.queues.get(name)
        transient = isinstance(queue, Queue) and (queue.auto_delete or not queue.durable)
        return transient or (status is not None and status.exclusive) or self._pattern.fullmatch(name) is not None

    def _is_run_time_exchange(self, name: str, live: LiveState) -> bool:
        """Whether a live exchange goes with its last binding: clients make and lose those."""
        exchange = live.objects.get(Exchange(name, "").address)
        return isinstance(exchange, Exchange) and exchange.auto_delete

    def sees(self, thing: BrokerObject, live: LiveState, operators: frozenset[str]) -> bool:
        """Whether a live object that is not declared concerns this topology."""
        match thing:
            case Queue(name=name) if self.is_run_time_queue(name, live):
                return False
            case Exchange(auto_delete=True):
                return False
            case Binding(destination_type="queue", destination=name) if self.is_run_time_queue(name, live):
                return False
            case Binding(destination_type="exchange", destination=name) if self._is_run_time_exchange(name, live):
                return False
            case Binding(source=name) if self._is_run_time_exchange(name, live):
                return False
            case Permission(user=user) if user in operators:
                return False
        return not self.ignores(thing.address)

    def ignores(self, address: str) -> bool:
        """Whether the topology says to leave an address alone."""
        return any(_matches(address, glob) for glob in self.ignore)


def _matches(address: str, glob: str) -> bool:
    """Whether an address is meant: written out, or by a glob, in which brackets may be those of a binding's key."""
    return address == glob or fnmatchcase(address, glob) or fnmatchcase(address, glob.replace("[", "[[]"))
