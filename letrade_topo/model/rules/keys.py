"""Message types: their keys, exchanges, lifetimes and sensitive fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from letrade_topo.model.messages import MessageType
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routes import PREDEFINED_TYPES
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import DestinationType, ExchangeType, Topology


@rule(
    "ambiguous-key",
    "two message types with a key in common",
    "The routing key says which type a message is: which schema it has, who may publish it, how long it lives. Two "
    "types of one exchange must not share a key; a variable stands for any text of one word.",
)
def ambiguous_key(topology: Topology) -> Iterator[Breach]:
    """Types of one exchange whose keys overlap."""
    earlier: dict[tuple[str, int], _Tree] = defaultdict(_Tree)
    for message in topology.messages.values():
        tree = earlier[message.exchange, len(message.key.words)]
        rival = tree.find(message.key.words)
        if rival is not None:
            why = f"Some key belongs to {message.name!r} and to {rival.name!r}, both on {message.exchange!r}."
            yield Breach(
                _key_path(message), why, "Make a literal word differ, or join the two types.", _at_key(message)
            )
        tree.add(message)


class _Tree:
    """Message types by the words of their keys, so that ten thousand of them need no comparison of each with each."""

    __slots__ = ("literal", "message", "variable")

    def __init__(self) -> None:
        self.literal: dict[str, _Tree] = {}
        self.variable: dict[str, _Tree] = {}
        self.message: MessageType | None = None

    def add(self, message: MessageType) -> None:
        """Put a type at the end of its words."""
        node = self
        for word in message.key.words:
            node = (node.variable if "{" in word else node.literal).setdefault(word, _Tree())
        node.message = node.message or message

    def find(self, words: tuple[str, ...]) -> MessageType | None:
        """A type that has a key in common with a template of these words."""
        if not words:
            return self.message
        word = words[0]
        candidates = chain(self.literal.items(), self.variable.items())
        if "{" not in word:
            same = [(word, self.literal[word])] if word in self.literal else []
            candidates = chain(same, self.variable.items())
        for other, below in candidates:
            if (other == word or _words_overlap(word, other)) and (found := below.find(words[1:])) is not None:
                return found
        return None


def _words_overlap(one: str, other: str) -> bool:
    """Whether two words of templates, each on its own, have a text in common."""
    begin, other_begin = one.partition("{")[0], other.partition("{")[0]
    end, other_end = one.rpartition("}")[2], other.rpartition("}")[2]
    if not (begin.startswith(other_begin) or other_begin.startswith(begin)):
        return False
    if not (end.endswith(other_end) or other_end.endswith(end)):
        return False
    return KeyFamily.of_template(KeyTemplate(one, (one,))).overlaps(KeyFamily.of_template(KeyTemplate(other, (other,))))


def _key_path(message: MessageType) -> Path:
    return ("messages", message.name) if _at_key(message) else ("messages", message.name, "key")


def _at_key(message: MessageType) -> bool:
    return message.key.text == message.name


@rule(
    "exchange-type-for-messages",
    "unsuitable exchange for messages",
    "Messages are routed, and permissions to publish are given, by routing key: that takes a topic exchange, one that "
    "services may publish to, and none of the two through which failed messages travel.",
)
def exchange_for_messages(topology: Topology) -> Iterator[Breach]:
    """Message types whose exchange cannot carry them."""
    failed = topology.failure_exchanges
    for message in topology.messages.values():
        path: Path = ("messages", message.name, "exchange")
        exchange = topology.exchanges.get(message.exchange)
        if message.exchange in failed:
            why = f"{message.exchange!r} is where failed messages travel."
            yield Breach(path, why, "Publish to another exchange.")
        elif exchange is not None and exchange.type is not ExchangeType.TOPIC:
            why = f"{message.exchange!r} is a {exchange.type} exchange; topic permissions hold on topic exchanges only."
            yield Breach(path, why, "Make it `type: topic`, or publish to another exchange.")
        elif exchange is not None and exchange.internal:
            why = f"{message.exchange!r} is internal: only other exchanges may publish to it."
            yield Breach(path, why, "Remove `internal: true`, or publish to another exchange.")


@rule(
    "lifetime", "no lifetime", "A message is accepted for its lifetime after signing; it must be longer than nothing."
)
def lifetime(topology: Topology) -> Iterator[Breach]:
    """Types that are expired when they are signed."""
    for message in topology.messages.values():
        if message.lifetime.milliseconds <= 0:
            yield Breach(("messages", message.name, "lifetime"), "Every message would be refused.", "Write 1s or more.")


@rule(
    "binding-key",
    "not an AMQP pattern",
    "On a topic exchange `*` and `#` are wildcards only as whole words: `events.trade_*` matches that very text and "
    "nothing else.",
    severity=Severity.WARNING,
)
def binding_key(topology: Topology) -> Iterator[Breach]:
    """Binding keys with a wildcard inside a word, or a variable."""
    for index, binding in enumerate(topology.bindings):
        source = topology.exchanges.get(binding.source)
        if source is not None and source.type is not ExchangeType.TOPIC:
            continue
        for word in binding.routing_key.split("."):
            if len(word) > 1 and ("*" in word or "#" in word or ("{" in word and "}" in word)):
                why = f"The word {word!r} stands for itself; wildcards are whole words, and bindings have no variables."
                fix = "Write * for one word or # for any number, or bind each key."
                yield Breach(("bindings", index, "routing_key"), why, fix)
                break


@rule(
    "duplicate-binding",
    "duplicate binding",
    "A binding that is there twice is there once on the broker; two lines in the file suggest otherwise.",
    severity=Severity.WARNING,
)
def duplicate_binding(topology: Topology) -> Iterator[Breach]:
    """Bindings that are written twice, or that a queue's message types already imply."""
    seen = {
        (topology.messages[name].exchange, DestinationType.QUEUE, queue.name, topology.messages[name].key.binding_key)
        for queue in topology.queues.values()
        for name in queue.messages
        if name in topology.messages
    }
    for index, binding in enumerate(topology.bindings):
        identity = (binding.source, binding.destination_type, binding.destination, binding.routing_key)
        if not binding.arguments and identity in seen:
            yield Breach(
                ("bindings", index), "The same binding is declared above, or by a queue's `messages`.", "Remove it."
            )
        if not binding.arguments:
            seen.add(identity)


_ORDER_OF_PARTITIONS = "x-stream-partition-order"
"""Of a super stream: clients ask for its partitions in this order (rabbit_stream_manager)."""


@rule(
    "binding-arguments",
    "arguments that mean nothing",
    "Only headers exchanges look at the arguments of a binding. On others two bindings that differ in arguments alone "
    "are one way: a message arrives once, and on RabbitMQ 4.0 with Khepri removing one of them ends the way of both.",
    severity=Severity.WARNING,
)
def binding_arguments(topology: Topology) -> Iterator[Breach]:
    """Arguments of bindings from exchanges that do not look at them."""
    types: dict[str, str] = {**PREDEFINED_TYPES, **{name: one.type for name, one in topology.exchanges.items()}}
    types |= dict.fromkeys(topology.failure_exchanges, ExchangeType.TOPIC)
    for index, binding in enumerate(topology.bindings):
        kind = types.get(binding.source, ExchangeType.HEADERS)
        unread = binding.arguments.keys() - {_ORDER_OF_PARTITIONS}
        if unread and kind in list(ExchangeType) and kind != ExchangeType.HEADERS:
            why = f"{binding.source!r} is a {kind} exchange: it routes by the key, whatever the arguments are."
            fix = "Remove `arguments`, or make the exchange a headers exchange."
            yield Breach(("bindings", index, "arguments"), why, fix, at_key=True)


RULES: tuple[Rule, ...] = (
    ambiguous_key,
    exchange_for_messages,
    lifetime,
    binding_key,
    duplicate_binding,
    binding_arguments,
)
