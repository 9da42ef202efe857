"""Where a message goes: the exchange, the full routing key and the type that a publisher means.

A publisher may leave the class of a key away: `execute_trade` on `letrade.commands` is `commands.execute_trade`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, NamedTuple

from letrade_topo.bus.errors import DestinationError
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.topology import Topology

REQUEST_CLASS: Final = "request"
RESPONSE_CLASS: Final = "response"
MOST_BYTES: Final = 255

_KEPT: Final = 16_384
_MOST_NAMED: Final = 5


class MessageAddress(NamedTuple):
    """Where a message goes.

    Args:
        exchange: on the broker.
        routing_key: in full.
        message: its type.
    """

    exchange: str
    routing_key: str
    message: MessageType


class AddressBook:
    """The message types of a topology by exchange.

    Args:
        topology: a valid one.
    """

    def __init__(self, topology: Topology) -> None:
        self._exchanges = tuple(topology.exchanges)
        self._types: defaultdict[str, list[MessageType]] = defaultdict(list)
        for message in topology.messages.values():
            self._types[message.exchange].append(message)
        self._classes = {message.key.words[0] for message in topology.messages.values()}
        self.find = lru_cache(maxsize=_KEPT)(self._find)

    def _find(self, exchange: str, key: str, key_class: str = "") -> MessageAddress:
        """What is meant by an exchange and a key.

        Args:
            exchange: by name.
            key: the routing key, in full or without its class.
            key_class: only types of this class are meant.

        Raises:
            DestinationError: nothing, or more than one thing; names what may have been meant.
        """
        types = self._of(exchange)
        if key_class:
            types = [message for message in types if message.key.words[0] == key_class]
            if not types:
                raise DestinationError(
                    f"no message type of the exchange {exchange!r} is a {key_class}",
                    fix=f"its keys would begin with {key_class!r}; publish what needs no answer by `publish`",
                )
        if len(key.encode()) > MOST_BYTES:
            raise DestinationError(
                f"the key {key[:20]!r}… has {len(key.encode())} bytes", why=f"AMQP has room for {MOST_BYTES}"
            )
        for message in types:
            if message.key.matches(key):
                return MessageAddress(exchange, key, message)
        # What begins with a class is a key in full that is wrong, not short for something like market_data.{a}.{b}.
        is_short = key.partition(".")[0] not in self._classes or key in self._classes
        found = [message for message in types if is_short and _without_class(message.key, key)]
        if len(found) == 1:
            return MessageAddress(exchange, f"{found[0].key.words[0]}.{key}", found[0])
        if found:
            raise DestinationError(
                f"the key {key!r} on {exchange!r} may mean more than one message type",
                why=f"it is short for {_listed([f'{message.key.words[0]}.{key}' for message in found], 'and')}",
                fix="write the full key",
            )
        raise self._unknown(exchange, key, types)

    def response_to(self, request: MessageAddress) -> MessageAddress:
        """Where responses to a request go: the same exchange, the same key in the class `response`.

        Raises:
            DestinationError: there is no such type.
        """
        first, _, rest = request.routing_key.partition(".")
        if first != REQUEST_CLASS or not rest:
            raise DestinationError(
                f"{request.routing_key!r} is not the key of a request",
                why="the response to request.X is response.X",
                fix="say where the response comes from: response='…'",
            )
        return self.find(request.exchange, f"{RESPONSE_CLASS}.{rest}")

    def _of(self, exchange: str) -> list[MessageType]:
        if exchange in self._types:
            return self._types[exchange]
        if exchange in self._exchanges:
            raise DestinationError(
                f"no message type of the topology is published to the exchange {exchange!r}",
                fix=f"use one of {_listed(list(self._types))}, or declare a type in topology.yaml",
            )
        near = get_close_matches(exchange, self._exchanges, n=1)
        raise DestinationError(
            f"the topology has no exchange {exchange!r}",
            fix=f"did you mean {near[0]!r}?" if near else f"use one of {_listed(list(self._types))}",
        )

    def _unknown(self, exchange: str, key: str, types: Sequence[MessageType]) -> DestinationError:
        elsewhere = [
            message.exchange
            for others in self._types.values()
            for message in others
            if message.exchange != exchange and message.key.matches(key)
        ]
        if elsewhere:
            return DestinationError(
                f"the key {key!r} does not belong to the exchange {exchange!r}",
                fix=f"publish it to {elsewhere[0]!r}",
            )
        full = [message.key.text for message in types]
        by_short = {name.partition(".")[2]: name for name in full} | {name: name for name in full}
        near = [by_short[name] for name in get_close_matches(key, by_short, n=_MOST_NAMED)]
        candidates = list(dict.fromkeys(near)) or full
        return DestinationError(
            f"no message type of the topology has the key {key!r} on {exchange!r}",
            fix=f"did you mean {_listed(candidates, 'or')}? A new type is declared in topology.yaml",
        )


def _without_class(template: KeyTemplate, key: str) -> bool:
    rest = template.words[1:]
    return bool(rest) and KeyTemplate(".".join(rest), rest).matches(key)


def _listed(names: Sequence[str], word: str = "or") -> str:
    shown = [repr(name) for name in names[:_MOST_NAMED]]
    if len(names) > _MOST_NAMED:
        shown.append(f"{len(names) - _MOST_NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
