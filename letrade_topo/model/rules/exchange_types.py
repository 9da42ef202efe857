"""Exchange types of plug-ins: what their arguments and binding keys have to be."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.exchange_types import CONSISTENT_HASH, PLUGIN_EXCHANGES
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, did_you_mean, rule
from letrade_topo.model.topology import DeclaredExchange, ExchangeType, Topology

_HASHED_BY = ("hash-header", "hash-property")


@rule(
    "exchange-argument",
    "argument that the exchange's type refuses",
    "The exchange types of plug-ins read arguments of their own, and refuse the exchange where one is missing or has "
    "another value.",
)
def exchange_argument(topology: Topology) -> Iterator[Breach]:
    """Arguments of plug-in exchanges that are wrong, or not there."""
    for exchange in topology.exchanges.values():
        known = PLUGIN_EXCHANGES.get(exchange.type)
        if known is None:
            continue
        place: Path = ("exchanges", exchange.name)
        for name in known.required:
            if name not in exchange.arguments:
                why = f"An {exchange.type} exchange needs {name!r}: as what it routes when the time has come."
                fix = f"Write `arguments: {{{name}: direct}}`, or another type."
                yield Breach((*place, "type"), why, fix)
        for name, values in known.arguments.items():
            if name in exchange.arguments and not values.accepts(exchange.arguments[name]):
                yield Breach((*place, "arguments", name), f"{name!r} is {values}; this is not.", f"Write {values}.")
        if exchange.type == CONSISTENT_HASH and all(name in exchange.arguments for name in _HASHED_BY):
            why = "A message is hashed by one of its headers or by one of its properties."
            yield Breach((*place, "arguments", _HASHED_BY[1]), why, "Remove one of the two.", at_key=True)


@rule(
    "exchange-argument-unread",
    "argument that the exchange's type does not read",
    "RabbitMQ stores an argument of an exchange that nothing reads, and does nothing with it.",
    severity=Severity.WARNING,
)
def exchange_argument_unread(topology: Topology) -> Iterator[Breach]:
    """Arguments of one type of exchange on another."""
    readers = {name: kind for kind, known in PLUGIN_EXCHANGES.items() for name in known.arguments}
    for exchange in topology.exchanges.values():
        if exchange.type not in PLUGIN_EXCHANGES and exchange.type not in list(ExchangeType):
            continue
        for name in exchange.arguments:
            reader = readers.get(name)
            if reader is not None and reader != exchange.type:
                why = f"{name!r} is read by {reader} exchanges alone."
                place: Path = ("exchanges", exchange.name, "arguments", name)
                yield Breach(place, why, f"Remove it, or write `type: {reader}`.", at_key=True)


@rule(
    "exchange-type-unknown",
    "exchange type that nobody knows here",
    "Plug-ins bring exchange types of their own, and which there are on a broker says `plan`.",
    severity=Severity.WARNING,
)
def exchange_type_unknown(topology: Topology) -> Iterator[Breach]:
    """Types that begin with `x-` and are in no table."""
    for exchange in topology.exchanges.values():
        if exchange.type not in PLUGIN_EXCHANGES and exchange.type not in list(ExchangeType):
            why = f"No plug-in that comes with RabbitMQ 3.10 to 4.3 has the type {exchange.type!r}."
            fix = did_you_mean(exchange.type, PLUGIN_EXCHANGES, "Leave it, if a plug-in of the broker's own has it.")
            yield Breach(("exchanges", exchange.name, "type"), why, fix)


@rule(
    "hash-weight",
    "binding key that is no weight",
    "The key of a binding from an x-consistent-hash exchange is the share of messages that goes there: a whole number, "
    "at least 1. RabbitMQ refuses the binding otherwise.",
)
def hash_weight(topology: Topology) -> Iterator[Breach]:
    """Bindings of consistent-hash exchanges with another key."""
    for index, binding in enumerate(topology.bindings):
        if _is_hashed(topology.exchanges.get(binding.source)) and not _is_weight(binding.routing_key):
            why = f"{binding.routing_key!r} is no whole number, at least 1."
            yield Breach(("bindings", index, "routing_key"), why, 'Write for example `routing_key: "1"`.')


def _is_hashed(exchange: DeclaredExchange | None) -> bool:
    return exchange is not None and exchange.type == CONSISTENT_HASH


def _is_weight(key: str) -> bool:
    return key.isascii() and key.isdigit() and int(key) > 0


RULES: tuple[Rule, ...] = (exchange_argument, exchange_argument_unread, exchange_type_unknown, hash_weight)
