"""Topologies made at random, of every kind of exchange and binding, and messages to publish in them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from letrade_topo.model.messages import Json
from letrade_topo.model.names import UNREACHABLE_NAMES
from tests.topologies import Document

_WORDS = ("a", "b", "c", "")
_VALUES: tuple[Json, ...] = ("1", 1, 2, True, False, "true")
_NAMES = ("k", "l", "x-m")
_MATCHES = (None, "all", "any", "all-with-x", "any-with-x")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message to publish: where, under which key, with which headers."""

    exchange: str
    key: str
    headers: dict[str, Json]


def random_topology(number: int, vhost: str, dice: random.Random, version: tuple[int, ...]) -> Document:
    """A topology whose names begin with its number, so that many fit into one vhost."""
    exchanges = [f"t{number}.x{index}" for index in range(dice.randint(2, 5))]
    queues = [f"t{number}.q{index}" for index in range(dice.randint(1, 5))]
    types = {name: dice.choice(("direct", "fanout", "topic", "topic", "headers")) for name in exchanges}
    declared: Document = {name: {"type": kind} for name, kind in types.items()}
    for name in exchanges:
        if dice.random() < 0.3:
            declared[name]["alternate_exchange"] = dice.choice(exchanges)
    most_hashes = 2 if version >= (4, 3, 5) else 9
    bindings = [_binding(exchanges, queues, types, dice, most_hashes) for _ in range(dice.randint(2, 10))]
    document: Document = {
        "topology": 1,
        "name": f"t{number}",
        "vhost": vhost,
        "exchanges": declared,
        "queues": {name: {"type": "classic"} for name in queues},
        "bindings": bindings,
    }
    if dice.random() < 0.3:
        document["policies"] = {
            f"t{number}.alternates": {
                "pattern": rf"^t{number}\.x[01]$",
                "apply_to": "exchanges",
                "definition": {"alternate-exchange": dice.choice(exchanges)},
            }
        }
    return document


def random_messages(document: Document, dice: random.Random, count: int) -> list[Sent]:
    """Messages to its exchanges, and some to the default exchange."""
    exchanges, queues = [*document["exchanges"]], [*document["queues"]]
    sent = []
    for _ in range(count):
        headers = {name: dice.choice((*_VALUES, None)) for name in _NAMES if dice.random() < 0.6}
        if dice.random() < 0.1:
            sent.append(Sent("", dice.choice([*queues, "nobody"]), headers))
        else:
            sent.append(Sent(dice.choice(exchanges), _key(dice, _WORDS), headers))
    return sent


def _binding(
    exchanges: list[str], queues: list[str], types: dict[str, str], dice: random.Random, most_hashes: int
) -> dict[str, Any]:
    source = dice.choice(exchanges)
    to = ("exchange", dice.choice(exchanges)) if dice.random() < 0.35 else ("queue", dice.choice(queues))
    binding: dict[str, Any] = {"source": source, to[0]: to[1]}
    match types[source]:
        case "topic":
            binding["routing_key"] = _binding_key(dice, (*_WORDS, "*", "#"), most_hashes)
        case "headers":
            binding["arguments"] = {name: dice.choice((*_VALUES, 1.5)) for name in _NAMES if dice.random() < 0.5}
            if (match := dice.choice(_MATCHES)) is not None:
                binding["arguments"]["x-match"] = match
        case _:
            binding["routing_key"] = _binding_key(dice, _WORDS, most_hashes)
    return binding


def _binding_key(dice: random.Random, words: tuple[str, ...], most_hashes: int) -> str:
    """A key that every version takes, and that the management API can delete again."""
    while (key := _key(dice, words)) in UNREACHABLE_NAMES or key.count("#") > most_hashes:
        pass
    return key


def _key(dice: random.Random, words: tuple[str, ...]) -> str:
    return ".".join(dice.choice(words) for _ in range(dice.randint(0, 3)))
