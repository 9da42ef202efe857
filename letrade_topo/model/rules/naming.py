"""Names that a broker accepts, and that do not collide with those that the topology implies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from letrade_topo.model import names
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import DeadLetterTarget, Topology

_SECTIONS = ("exchanges", "messages", "services", "queues", "users", "policies")
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_UNSUITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]|^\s|\s$")

RUN_TIME_ID_BYTES = 36
"""A UUID behind `<service>.reply.`."""


def _named(topology: Topology) -> Iterator[tuple[Path, str, bool]]:
    """Every declared name with its place, and whether it is a key there."""
    for section in _SECTIONS:
        for name in getattr(topology, section):
            yield (section, name), name, True
    yield ("vhost",), topology.vhost, False
    for service in topology.services.values():
        if service.user != service.name:
            yield ("services", service.name, "user"), service.user, False
    for part in ("exchange", "queue", "retry_exchange") if topology.has_dead_letters else ():
        yield ("dead_letter", part), getattr(topology.dead_letter, part), False


@rule("empty-name", "empty name", "Every declared thing has a name of at least one character.")
def empty_name(topology: Topology) -> Iterator[Breach]:
    """Names without a character."""
    for path, name, at_key in _named(topology):
        if not name:
            yield Breach(path, f"An entry of `{path[0]}` has no name.", "Give it one.", at_key)


@rule(
    "name-characters",
    "unsuitable characters in a name",
    "A control character, a line break or a space at either end of a name is legal on the broker and cannot be seen or "
    "typed by the person who looks for it. A warning where the object may have been there before the topology.",
)
def name_characters(topology: Topology) -> Iterator[Breach]:
    """Names with invisible characters."""
    for path, name, at_key in _named(topology):
        if _UNSUITABLE.search(name):
            why = f"{name!r} has a control character, or a space at its beginning or end."
            severity = None if _is_ours(path, topology) else Severity.WARNING
            yield Breach(path, why, "Remove it.", at_key, severity=severity)


def _is_ours(path: Path, topology: Topology) -> bool:
    """Whether a name belongs to what only a topology has; other objects may have been there before it."""
    match path:
        case ("queues", str(name)):
            return topology.queues[name].is_on_bus
        case (("messages" | "services" | "dead_letter"), *_):
            return True
        case _:
            return False


@rule(
    "name-too-long",
    "name too long",
    "Names and routing keys are at most 255 bytes of UTF-8 (AMQP 0-9-1, 4.2.5.3), and so are the names that are made "
    "of them: `<queue>.rejected`, `<queue>.retry.<n>`, the run-time queues of a service. Keys of message types are at "
    "most 250 bytes, so that `.dead` fits behind them.",
)
def name_too_long(topology: Topology) -> Iterator[Breach]:
    """Names over 255 bytes, with what is derived from them."""
    for path, name, longest in _longest_names(topology):
        size = len(name.encode())
        if size > longest:
            why = f"{_short(name)} has {size} bytes, and at most {longest} are possible."
            yield Breach(
                path, why, f"Shorten it by {size - longest} bytes.", at_key=len(path) == 2 and path[0] in _SECTIONS
            )


def _longest_names(topology: Topology) -> Iterator[tuple[Path, str, int]]:
    longest = names.LONGEST_NAME_BYTES
    for path, name, _ in _named(topology):
        if path[0] in ("exchanges", "users", "vhost", "dead_letter", "policies") or path[-1] == "user":
            yield path, name, longest
    for queue in topology.queues.values():
        derived = [queue.name]
        if queue.has_rejected_queue:
            derived.append(names.rejected_queue(queue.name))
        if queue.retry is not None:
            derived.append(names.retry_queue(queue.name, queue.retry.max_retries))
        yield ("queues", queue.name), max(derived, key=len), longest
        target = queue.dead_lettering
        if isinstance(target, DeadLetterTarget) and target.routing_key is not None:
            yield ("queues", queue.name, "dead_letter", "routing_key"), target.routing_key, longest
    for service in topology.services.values():
        yield ("services", service.name), f"{service.name}.reply.{'0' * RUN_TIME_ID_BYTES}", longest
    for message in topology.messages.values():
        shortest_key = _VARIABLE.sub("x", message.key.text)
        is_name = message.key.text == message.name
        place: Path = ("messages", message.name) if is_name else ("messages", message.name, "key")
        yield place, shortest_key, names.LONGEST_KEY_BYTES
    for index, binding in enumerate(topology.bindings):
        yield ("bindings", index, "routing_key"), binding.routing_key, longest


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:40]}…{name[-16:]}")


@rule(
    "reserved-name",
    "reserved name",
    "Names that begin with `amq.` belong to the broker, which refuses them; names that begin with `letrade-topo.` "
    "belong to this tool (the lock that keeps two runs apart).",
)
def reserved_name(topology: Topology) -> Iterator[Breach]:
    """Names that belong to somebody else."""
    for path, name, at_key in _named(topology):
        if path[0] not in ("exchanges", "queues", "dead_letter"):
            continue
        for prefix, owner in ((names.RESERVED_PREFIX, "the broker"), (names.OWNERSHIP_RECORD_PREFIX, "this tool")):
            if name.startswith(prefix):
                yield Breach(
                    path, f"{name!r} begins with {prefix!r}, which {owner} keeps to itself.", "Rename it.", at_key
                )


@rule(
    "derived-name",
    "name collides with one that is derived",
    "A queue with retries brings `<queue>.rejected` and `<queue>.retry.<n>` with it, `dead_letter` its two exchanges "
    "and its queue; an instance of a service makes queues named `<service>.reply.<id>` and `<service>.sub.<id>` and "
    "may do with that prefix what it likes. Nothing else may have such a name.",
)
def derived_name(topology: Topology) -> Iterator[Breach]:
    """Declared names that the topology also implies."""
    derived = dict(_derived_queues(topology))
    for name in topology.queues:
        if name in derived:
            yield Breach(("queues", name), f"{name!r} is already {derived[name]}.", "Rename this queue.", at_key=True)
    dead_letter = topology.dead_letter
    failure_exchanges = topology.failure_exchanges
    for name in topology.exchanges:
        if name in failure_exchanges:
            why = f"{name!r} is already an exchange of `dead_letter`, which makes it as a topic exchange."
            fix = "Remove it here, or give `dead_letter` another one."
            yield Breach(("exchanges", name), why, fix, at_key=True)
    if dead_letter.exchange == dead_letter.retry_exchange:
        why = f"Both are {dead_letter.exchange!r}; what is dead would come back, and what comes back would be dead."
        yield Breach(("dead_letter", "retry_exchange"), why, "Give them different names.")
    yield from _run_time_names(topology)
    yield from _policy_names(topology)


def _derived_queues(topology: Topology) -> Iterator[tuple[str, str]]:
    if topology.has_dead_letters:
        yield topology.dead_letter.queue, "the queue of dead letters"
    for queue in topology.queues.values():
        if queue.has_rejected_queue:
            yield names.rejected_queue(queue.name), f"the queue of what {queue.name!r} rejected"
        for attempt in range(1, (queue.retry.max_retries if queue.retry else 0) + 1):
            yield names.retry_queue(queue.name, attempt), f"a retry queue of {queue.name!r}"


def _run_time_names(topology: Topology) -> Iterator[Breach]:
    prefixes = tuple(f"{service}.{kind}." for service in topology.services for kind in ("reply", "sub"))
    for path in chain(
        *(((section, name) for name in getattr(topology, section)) for section in ("exchanges", "queues"))
    ):
        if str(path[1]).startswith(prefixes):
            why = (
                f"{path[1]!r} has the prefix of a service's run-time queues, which that service may declare and delete."
            )
            yield Breach(path, why, "Rename it.", at_key=True)
    for name in topology.services:
        if name.startswith(prefixes):
            why = f"Another service's permissions would cover the run-time queues of {name!r}."
            yield Breach(("services", name), why, "Rename one of the two services.", at_key=True)


def _policy_names(topology: Topology) -> Iterator[Breach]:
    for name in topology.policies:
        if name.startswith(tuple(f"{topology.name}.{role}" for role in ("consumer", "waiting", "queue."))):
            why = f"{name!r} is the name of a policy that follows from `limits` and `queues`."
            yield Breach(("policies", name), why, "Rename it.", at_key=True)


@rule(
    "exchange-and-queue-name",
    "exchange and queue of one name",
    "RabbitMQ's permissions name exchanges and queues alike: who may publish to an exchange may also bind a queue of "
    "the same name, who may bind to it may also consume from that queue.",
    severity=Severity.WARNING,
)
def exchange_and_queue_name(topology: Topology) -> Iterator[Breach]:
    """Declared queues that are called like a declared exchange."""
    for name in topology.queues:
        if name in topology.exchanges:
            why = f"{name!r} is also an exchange, and a permission for one is a permission for the other."
            yield Breach(("queues", name), why, "Rename the queue.", at_key=True)


@rule(
    "unreachable-name",
    "name that could never be deleted",
    "The management API cannot address `.` and `..`, and there are keys that it cannot tell from others: RabbitMQ "
    "would make such an object or binding, and it could not be listed, changed or deleted any more.",
)
def unreachable_name(topology: Topology) -> Iterator[Breach]:
    """Names and binding keys that lead nowhere in the management API."""
    for path, name, at_key in _named(topology):
        is_on_broker = path[0] not in ("messages", "services") or path[-1] == "user"
        if name in names.UNREACHABLE_NAMES and is_on_broker:
            yield Breach(path, f"The management API drops {name!r} from its paths.", "Rename it.", at_key)
    for service in topology.services.values():
        if service.name in names.UNREACHABLE_NAMES and service.user == service.name:
            why = f"Its user would be called {service.name!r}, which the management API drops from its paths."
            yield Breach(("services", service.name), why, "Rename it, or give it another `user`.", at_key=True)
    for index, binding in enumerate(topology.bindings):
        reason = names.why_never_unbound(binding.routing_key, has_arguments=bool(binding.arguments))
        if reason is not None:
            yield Breach(("bindings", index, "routing_key"), reason, "Use another key.")
    for message in topology.messages.values():
        reason = names.why_never_unbound(message.key.binding_key, has_arguments=False)
        if reason is not None:
            is_name = message.key.text == message.name
            place: Path = ("messages", message.name) if is_name else ("messages", message.name, "key")
            yield Breach(place, reason, "Use another key.", at_key=is_name)


RULES: tuple[Rule, ...] = (
    empty_name,
    unreachable_name,
    name_characters,
    name_too_long,
    reserved_name,
    derived_name,
    exchange_and_queue_name,
)
