"""Arguments of queues, exchanges and bindings: fields of their own, what the broker refuses, what means nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from letrade_topo.model.messages import Json
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, did_you_mean, rule
from letrade_topo.model.rules.references import DEFAULT_EXCHANGE, known_exchanges, known_queues
from letrade_topo.model.settings import HEADER_MATCHES, QUEUE_ARGUMENTS, Argument
from letrade_topo.model.topology import (
    DeadLettering,
    DeclaredExchange,
    DeclaredQueue,
    ExchangeType,
    QueueType,
    Topology,
)

QUEUE_FIELDS: Mapping[str, str] = {
    "x-queue-type": "type",
    "x-message-ttl": "message_ttl",
    "x-dead-letter-exchange": "dead_letter",
    "x-dead-letter-routing-key": "dead_letter",
    "x-dead-letter-strategy": "dead_letter",
    "x-overflow": "guarantee",
    "x-single-active-consumer": "single_active_consumer",
    "x-max-priority": "max_priority",
}
"""Arguments that a field stands for."""

POLICY_FIELDS: Mapping[str, str] = {
    "x-expires": "expires",
    "x-max-length": "max_length",
    "x-max-length-bytes": "max_length_bytes",
    "x-delivery-limit": "delivery_limit",
}
"""Arguments whose field becomes a policy. A queue may have the one or the other: as an argument it never changes."""

EXCHANGE_FIELDS = {"alternate-exchange": "alternate_exchange"}

TARGETS: Final = frozenset(
    {"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "alternate-exchange"}
)
"""Arguments that may stand as they are where the field says nothing: to name an exchange that is not declared."""
_HEADERS_EXCHANGES = frozenset({"amq.headers", "amq.match"})


@rule(
    "argument-with-a-field",
    "argument that has a field of its own",
    "What decides about retries, overflow and dead letters has a field of its own, which is checked and judged "
    "together with the others. As a bare argument it would contradict them silently. A length, an expiry or a delivery "
    "limit may be an argument, for a queue that already has it as one; then the field is left out. So may a "
    "dead-letter or alternate exchange that nobody declares.",
)
def argument_with_a_field(topology: Topology) -> Iterator[Breach]:
    """Arguments that a field stands for."""
    for section, fields in (("queues", QUEUE_FIELDS), ("exchanges", EXCHANGE_FIELDS)):
        for name, entry in getattr(topology, section).items():
            for argument in entry.arguments:
                if argument in fields and not (argument in TARGETS and not _has_target(entry)):
                    path = (section, name, "arguments", argument)
                    why = f"{argument!r} is decided by `{fields[argument]}`."
                    yield Breach(path, why, f"Write `{fields[argument]}` instead.", at_key=True)
    for queue in topology.queues.values():
        for argument, field in POLICY_FIELDS.items():
            if argument in queue.arguments and getattr(queue.limits, field) is not None:
                path = ("queues", queue.name, "arguments", argument)
                why = f"`{field}` says the same as a policy, and the broker makes something of the two together."
                yield Breach(path, why, f"Remove this argument, or `{field}`.", at_key=True)


@rule(
    "argument-value",
    "argument that the broker refuses",
    "Which arguments a queue may have depends on its type, and each takes values of one kind. RabbitMQ refuses the "
    "whole queue otherwise, or keeps the argument and does something else with it.",
)
def argument_value(topology: Topology) -> Iterator[Breach]:
    """Arguments of another queue type, and values of the wrong kind."""
    for queue in topology.queues.values():
        for name, value in queue.arguments.items():
            argument = QUEUE_ARGUMENTS.get(name)
            if argument is None or name in QUEUE_FIELDS:
                continue
            path: Path = ("queues", queue.name, "arguments", name)
            if queue.type not in argument.types and queue.type not in argument.ignored:
                why = f"A {_kind(queue)} refuses {name!r}; only a {_kinds(argument)} has it."
                yield Breach(path, why, f"Remove it, or make it a {_kinds(argument)}.", at_key=True)
            elif not argument.values.accepts(value):
                why = f"{name!r} is {argument.values}; {_shown(value)} is not."
                yield Breach(path, why, f"Write {argument.values}.")


def _has_target(entry: DeclaredQueue | DeclaredExchange) -> bool:
    """Whether the field says where messages go that fail, or that nobody takes."""
    if isinstance(entry, DeclaredExchange):
        return entry.alternate_exchange is not None
    return entry.dead_lettering is not DeadLettering.NONE


@rule(
    "target-as-argument",
    "exchange that only an argument names",
    "A dead-letter or alternate exchange that stands among the `arguments` is taken as it is: nothing checks that it "
    "exists, and while it does not, the broker silently drops what is sent there.",
    severity=Severity.WARNING,
)
def target_as_argument(topology: Topology) -> Iterator[Breach]:
    """Dead-letter and alternate exchanges as bare arguments."""
    known, queues = known_exchanges(topology), known_queues(topology)
    for section, argument, field in (
        ("queues", "x-dead-letter-exchange", "`dead_letter`"),
        ("exchanges", "alternate-exchange", "`alternate_exchange`"),
    ):
        for name, entry in getattr(topology, section).items():
            target = entry.arguments.get(argument)
            if target is None or _has_target(entry):
                continue
            path: Path = (section, name, "arguments", argument)
            key = entry.arguments.get("x-dead-letter-routing-key")
            if target == DEFAULT_EXCHANGE and key is not None and key not in queues:
                why = f"{_shown(key)} is not under `queues`: what is sent there is lost while it is missing."
                yield Breach(path, why, f"Declare it, and write {field}.")
            elif target in known or target == DEFAULT_EXCHANGE:
                yield Breach(path, f"{_shown(target)} is declared.", f"Write {field} instead.", at_key=True)
            else:
                why = f"{_shown(target)} is not under `exchanges`: what is sent there is lost while it is missing."
                yield Breach(path, why, f"Declare it, bind a queue to it, and write {field}.")


def _kind(queue: DeclaredQueue) -> str:
    return "stream" if queue.type is QueueType.STREAM else f"{queue.type} queue"


def _kinds(argument: Argument) -> str:
    kinds = [name if name == QueueType.STREAM else f"{name} queue" for name in argument.types]
    return " or a ".join(kinds)


def _shown(value: Json) -> str:
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


@rule(
    "unknown-argument",
    "argument that the broker does not know",
    "RabbitMQ stores an argument that it does not know, and does nothing with it.",
    severity=Severity.WARNING,
)
def unknown_argument(topology: Topology) -> Iterator[Breach]:
    """Arguments that nothing reads."""
    known = {*QUEUE_ARGUMENTS, *QUEUE_FIELDS}
    for queue in topology.queues.values():
        for argument in queue.arguments:
            path: Path = ("queues", queue.name, "arguments", argument)
            if (argument.startswith("x-") and argument not in known) or f"x-{argument}" in known:
                why = f"No queue type of RabbitMQ 3.10 to 4.3 reads {argument!r}."
                fix = did_you_mean(argument, known, "Remove it, unless a plugin reads it.")
                yield Breach(path, why, fix, at_key=True)
            elif argument in QUEUE_ARGUMENTS and queue.type in QUEUE_ARGUMENTS[argument].ignored:
                why = f"A {_kind(queue)} does nothing with {argument!r}."
                yield Breach(path, why, "Remove it.", at_key=True)
    for exchange in topology.exchanges.values():
        for argument in exchange.arguments:
            if argument in known:
                path = ("exchanges", exchange.name, "arguments", argument)
                why = f"{argument!r} is an argument of queues; an exchange does nothing with it."
                yield Breach(path, why, "Write it at the queue that is meant.", at_key=True)


@rule(
    "header-match",
    "unusable match of headers",
    "`x-match` says whether all headers of a binding have to be there or any: `all`, `any`, or either of them with "
    "`-with-x` for headers that begin with `x-`. RabbitMQ refuses the binding otherwise.",
)
def header_match(topology: Topology) -> Iterator[Breach]:
    """Bindings of headers exchanges with another `x-match`."""
    for index, binding in enumerate(topology.bindings):
        source = topology.exchanges.get(binding.source)
        is_headers = binding.source in _HEADERS_EXCHANGES or (source and source.type is ExchangeType.HEADERS)
        match = binding.arguments.get("x-match")
        if is_headers and match is not None and not HEADER_MATCHES.accepts(match):
            why = f"'x-match' is {HEADER_MATCHES}; {_shown(match)} is not."
            fix = did_you_mean(str(match), HEADER_MATCHES.words, f"Write {HEADER_MATCHES}.")
            yield Breach(("bindings", index, "arguments", "x-match"), why, fix)


RULES: tuple[Rule, ...] = (
    argument_with_a_field,
    target_as_argument,
    argument_value,
    unknown_argument,
    header_match,
)
