"""What a subscription needs on the broker: a declared queue of the service, or bindings for a queue of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeAlias

from letrade_topo.bus.errors import PatternError
from letrade_topo.bus.patterns import ANY_WORDS, ONE_WORD, Meeting, Pattern, meet
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DeclaredQueue, DestinationType, Topology

_MOST_NAMED = 5

Bound: TypeAlias = tuple[str, str]
"""An exchange and a binding key on it."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a pattern means for a service.

    Args:
        pattern: what is asked for.
        queue: the declared queue that has exactly these keys; "": there is none.
        bindings: exchange and binding key, for an ephemeral queue.
        obstacle: why no ephemeral queue can have all of it; empty if one can.
    """

    pattern: Pattern
    queue: str
    bindings: tuple[Bound, ...]
    obstacle: str = ""


class Interests:
    """Finds out what patterns mean for one service.

    Args:
        topology: a valid one.
        service: one of its services.
    """

    def __init__(self, topology: Topology, service: Service) -> None:
        self._topology = topology
        self._service = service
        self._consumes = frozenset(service.consumes)

    def of(self, text: str) -> Interest:
        """What a pattern means.

        Raises:
            PatternError: it is malformed, or there is nothing that the service may consume.
        """
        pattern = Pattern.parse(text)
        met = [(message, meet(pattern, message.key)) for message in self._topology.messages.values()]
        asked = [(message, meeting) for message, meeting in met if meeting.bindings]
        bindings, unbindable = self._bindings(asked)
        readable = [pair for pair in asked if pair[0].name in self._consumes]
        queue = self._declared_queue(readable) if _is_all(readable, bindings, unbindable) else ""
        if not queue and not bindings:
            raise self._nothing(pattern, asked, unbindable)
        return Interest(pattern, queue, bindings, _obstacle(unbindable))

    def missing_queue(self, interest: Interest) -> PatternError:
        """Why there is no declared queue for a pattern, and what to declare."""
        names = [
            message.name
            for message in self._topology.messages.values()
            if message.name in self._consumes and meet(interest.pattern, message.key).is_covered
        ]
        queue = f"{self._service.name}.{_suggested(interest.pattern)}"
        listed = ", ".join(f'"{name}"' for name in names)
        return PatternError(
            f"{self._service.name} has no declared queue with exactly the keys of {interest.pattern.text!r}",
            why="durable=True asks for a queue that keeps messages while nobody consumes",
            fix=f"declare under `queues` in topology.yaml, and apply: {queue}: "
            f"{{service: {self._service.name}, messages: [{listed}]}}"
            if names
            else "a declared queue has all keys of a type: subscribe to all of them, or to these without durable=True",
        )

    def unbindable(self, interest: Interest) -> PatternError:
        """Why no queue of the service's own can have all that a pattern means."""
        return PatternError(
            f"no queue of {self._service.name}'s own can be bound for {interest.pattern.text!r}",
            why=interest.obstacle,
            fix="write the whole word, or declare a queue for the type in topology.yaml",
        )

    def _bindings(self, asked: Sequence[tuple[MessageType, Meeting]]) -> tuple[tuple[Bound, ...], list[Bound]]:
        """What the service may bind, and what it may consume and yet not bind."""
        may, may_not = [], []
        for message, meeting in asked:
            for key in meeting.bindings:
                allowed = next((one for one in self._candidates(key) if self._may_bind(message.exchange, one)), None)
                if allowed is not None:
                    may.append((message.exchange, allowed))
                elif message.name in self._consumes:
                    may_not.append((message.exchange, key))
        return tuple(dict.fromkeys(may)), may_not

    def _candidates(self, key: str) -> Iterator[str]:
        """A binding key, and what may stand for it where only a pattern of the service allows it.

        RabbitMQ judges the text of the binding key, so a `*` or `#` of the pattern has to be there as such.
        """
        yield key
        for template in self._service.patterns:
            yield from widened(tuple(key.split(".")), template.words)

    def _may_bind(self, exchange: str, key: str) -> bool:
        """The rule of the broker's topic permission, which the agent has too."""
        consumed = [self._topology.messages[name] for name in self._service.consumes]
        templates = [message.key for message in consumed if message.exchange == exchange]
        return any(_expression(template).fullmatch(key) for template in (*templates, *self._service.patterns))

    def _declared_queue(self, readable: Sequence[tuple[MessageType, Meeting]]) -> str:
        if not readable or not all(meeting.is_covered for _, meeting in readable):
            return ""
        wanted = {(message.exchange, message.key.binding_key) for message, _ in readable}
        own = [queue for queue in self._topology.queues.values() if queue.service == self._service.name]
        return next((queue.name for queue in own if set(self._bound(queue)) == wanted), "")

    def _bound(self, queue: DeclaredQueue) -> Iterator[Bound]:
        for name in queue.messages:
            message = self._topology.messages[name]
            yield message.exchange, message.key.binding_key
        for binding in self._topology.bindings:
            if (binding.destination_type, binding.destination) == (DestinationType.QUEUE, queue.name):
                yield binding.source, binding.routing_key

    def _nothing(
        self, pattern: Pattern, asked: Sequence[tuple[MessageType, Meeting]], unbindable: list[Bound]
    ) -> PatternError:
        name = self._service.name
        if unbindable:
            return self.unbindable(Interest(pattern, "", (), _obstacle(unbindable)))
        if asked:
            types = [message.name for message, _ in asked]
            return PatternError(
                f"{name} may not consume what {pattern.text!r} matches",
                why=f"it matches {_listed(types)}",
                fix=f"add what it needs to `services.{name}.consumes` in topology.yaml, and apply",
            )
        keys = [message.key.text for message in self._topology.messages.values()]
        near = get_close_matches(pattern.text, keys, n=1)
        return PatternError(
            f"the pattern {pattern.text!r} matches no message type of the topology",
            fix=f"did you mean {near[0]!r}?" if near else f"{name} consumes {_listed(list(self._service.consumes))}",
        )


def widened(words: tuple[str, ...], pattern: tuple[str, ...]) -> Iterator[str]:
    """The words of a binding key with the wildcards of a pattern put in where it has them."""
    yield from (".".join(found) for found in _widened(words, pattern))


def _widened(words: tuple[str, ...], pattern: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not pattern:
        if not words:
            yield ()
        return
    first, rest = pattern[0], pattern[1:]
    if first == ANY_WORDS:
        for taken in range(len(words) + 1):
            yield from ((ANY_WORDS, *more) for more in _widened(words[taken:], rest))
    elif words:
        word = ONE_WORD if first == ONE_WORD else words[0]
        yield from ((word, *more) for more in _widened(words[1:], rest))


def _is_all(
    readable: Sequence[tuple[MessageType, Meeting]], bindings: Sequence[Bound], unbindable: Sequence[Bound]
) -> bool:
    """Whether the consumed types bring all that may be bound: a pattern of the service may bring more."""
    brought = {(message.exchange, key) for message, meeting in readable for key in meeting.bindings}
    return {*bindings, *unbindable} <= brought


def _obstacle(unbindable: Sequence[Bound]) -> str:
    if not unbindable:
        return ""
    exchange, key = unbindable[0]
    return (
        f"the binding {key!r} on {exchange!r} would ask for more than the service may consume: AMQP has no wildcard "
        "for part of a word"
    )


def _suggested(pattern: Pattern) -> str:
    words = [re.sub(r"[^A-Za-z0-9_]+", "", word) for word in pattern.words[1:]]
    return "_".join(word.strip("_") for word in words if word) or "messages"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "") if names else "nothing"


@lru_cache(maxsize=1024)
def _expression(template: KeyTemplate) -> re.Pattern[str]:
    return re.compile(template.bind_expression, re.DOTALL)
