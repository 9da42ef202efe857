"""What is published arrives somewhere, and what fails comes to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from letrade_topo.model.messages import EnvelopeMode
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.policies_in_force import judged_policies
from letrade_topo.model.routes import DEFAULT_EXCHANGE, Routes
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.security import Enforcement
from letrade_topo.model.topology import DeadLetterTarget, DeclaredQueue, Topology


def _published(topology: Topology) -> set[str]:
    return {name for service in topology.services.values() for name in service.publishes}


def _consumed(topology: Topology) -> set[str]:
    by_services = {name for service in topology.services.values() for name in service.consumes}
    return by_services | {name for queue in topology.queues.values() for name in queue.messages}


@rule(
    "published-not-consumed",
    "published, and nobody listens",
    "The broker drops a message that no binding takes, without a word to the publisher. A type that is published has a "
    "queue or a service that consumes it.",
    needs_whole=True,
)
def published_not_consumed(topology: Topology) -> Iterator[Breach]:
    """Types that some service publishes and nothing receives."""
    consumed, routes = _consumed(topology), Routes(topology)
    patterns = [KeyFamily.of_template(key) for service in topology.services.values() for key in service.patterns]
    for service in topology.services.values():
        for name in service.publishes:
            message = topology.messages.get(name)
            if message is None or name in consumed:
                continue
            family = KeyFamily.of_template(message.key)
            if any(pattern.overlaps(family) for pattern in patterns) or routes.queues(message.exchange, family):
                continue
            why = f"No queue lists {name!r} and no service consumes it: every such message would be dropped."
            fix = "Add it to the `consumes` of a service, and to the `messages` of a queue if none may be missed."
            yield Breach(("services", service.name, "publishes", name), why, fix)


@rule(
    "consumed-not-published",
    "awaited, and nobody sends it",
    "A type that a service consumes is published by a service; otherwise the consumer waits for ever.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def consumed_not_published(topology: Topology) -> Iterator[Breach]:
    """Types, and patterns of types, that some service consumes and none publishes."""
    published = _published(topology)
    families = {one.name: KeyFamily.of_template(one.key) for one in topology.messages.values()}
    for service in topology.services.values():
        for name in service.consumes:
            if name in topology.messages and name not in published:
                why = f"No service publishes {name!r}, so {service.name!r} waits in vain."
                yield Breach(("services", service.name, "consumes", name), why, "Add it to a service's `publishes`.")
        for pattern in service.patterns:
            own = KeyFamily.of_template(pattern)
            meant = [name for name, family in families.items() if own.overlaps(family)]
            if meant and published.isdisjoint(meant):
                why = f"No service publishes a type that {pattern.text!r} matches ({', '.join(map(repr, meant[:3]))})."
                fix = "Add one of them to a service's `publishes`."
                yield Breach(("services", service.name, "consumes", pattern.text), why, fix)


@rule(
    "message-unused",
    "message type that nobody uses",
    "A type that no service publishes or consumes and no queue lists is left over, or somebody forgot to name it.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def message_unused(topology: Topology) -> Iterator[Breach]:
    """Types that nothing refers to."""
    used = _published(topology) | _consumed(topology)
    for name in topology.messages:
        if name not in used:
            why = f"No service publishes or consumes {name!r}, and no queue lists it."
            yield Breach(("messages", name), why, "Name it where it belongs, or remove it.", at_key=True)


@rule(
    "queue-not-consumed-by-service",
    "queue with messages that its service does not consume",
    "`consumes` says what a service understands: its permissions and the keys with which sensitive fields are "
    "encrypted follow from it. A queue of the service holds nothing else.",
    needs_whole=True,
)
def queue_not_consumed_by_service(topology: Topology) -> Iterator[Breach]:
    """Queues that list a type which their service does not consume."""
    for queue in topology.queues.values():
        service = topology.services.get(queue.service or "")
        if service is None:
            continue
        for name in queue.messages:
            if name in topology.messages and name not in service.consumes:
                why = f"{service.name!r} does not consume {name!r}."
                fix = f"Add it to `consumes` of {service.name!r}, or remove it here."
                yield Breach(("queues", queue.name, "messages", name), why, fix)


@rule(
    "type-in-two-queues",
    "message that one service receives twice",
    "Each queue gets a copy. Two queues of one service that list one type hand every such message to it twice.",
    severity=Severity.WARNING,
)
def type_in_two_queues(topology: Topology) -> Iterator[Breach]:
    """Types that several queues of one service list."""
    count = Counter((queue.service, name) for queue in topology.queues.values() for name in queue.messages)
    seen: dict[tuple[str | None, str], str] = {}
    for queue in topology.queues.values():
        for name in queue.messages:
            pair = (queue.service, name)
            if queue.service is not None and count[pair] > 1 and pair in seen:
                why = f"The queue {seen[pair]!r} of {queue.service!r} receives {name!r} too."
                yield Breach(("queues", queue.name, "messages", name), why, "Remove it from one of the two.")
            seen.setdefault(pair, queue.name)


@rule(
    "queue-without-bindings",
    "queue that receives nothing",
    "A queue receives what its `messages`, a binding, or another queue's dead letters bring.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def queue_without_bindings(topology: Topology) -> Iterator[Breach]:
    """Queues that nothing leads to."""
    routes = Routes(topology)
    targets = [queue.dead_lettering for queue in topology.queues.values()]
    direct = {t.routing_key for t in targets if isinstance(t, DeadLetterTarget) and t.exchange == DEFAULT_EXCHANGE}
    for name in topology.queues:
        if not routes.is_bound(name) and name not in direct:
            why = f"No message type and no binding leads to {name!r}."
            yield Breach(("queues", name), why, "Add `messages`, or a binding under `bindings`.", at_key=True)


@rule(
    "pattern-without-messages",
    "pattern that no message matches",
    "A pattern in `consumes` is for the types that are declared; one that fits no key of theirs waits for ever.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def pattern_without_messages(topology: Topology) -> Iterator[Breach]:
    """Patterns of services that no declared type can match."""
    families = None
    for service in topology.services.values():
        for pattern in service.patterns:
            families = families or [KeyFamily.of_template(message.key) for message in topology.messages.values()]
            own = KeyFamily.of_template(pattern)
            if not any(own.overlaps(family) for family in families):
                why = f"No key of a declared message type matches {pattern.text!r}."
                fix = "Correct the pattern; * is one word, # any number of words."
                yield Breach(("services", service.name, "consumes", pattern.text), why, fix)


def _dead_letter_targets(queue: DeclaredQueue, routes: Routes) -> set[str]:
    """The queues that dead letters of a queue reach by its declared target."""
    target = queue.dead_lettering
    if not isinstance(target, DeadLetterTarget):
        return set()
    families = routes.keys_of(queue.name) if target.routing_key is None else [KeyFamily.of_key(target.routing_key)]
    return {reached for family in families for reached in routes.queues(target.exchange, family)}


@rule(
    "dead-letter-unroutable",
    "dead letters that go nowhere",
    "The broker drops a dead letter that its exchange routes to no queue. A warning at a queue that has neither a "
    "service nor message types.",
    needs_whole=True,
)
def dead_letter_unroutable(topology: Topology) -> Iterator[Breach]:
    """Targets whose exchange routes the key to no queue."""
    routes = Routes(topology)
    for queue in topology.queues.values():
        target = queue.dead_lettering
        if not isinstance(target, DeadLetterTarget) or _dead_letter_targets(queue, routes):
            continue
        if target.exchange == DEFAULT_EXCHANGE and target.routing_key is not None:
            continue  # `undeclared-queue` says it better
        key = "their own keys" if target.routing_key is None else repr(target.routing_key)
        why = f"{target.exchange or 'The default exchange'!r} routes {key} to no queue: dead letters would be lost."
        fix = "Bind a queue to that exchange and key, or remove `dead_letter`: then the retry ladder takes them."
        severity = None if queue.is_on_bus else Severity.WARNING
        yield Breach(("queues", queue.name, "dead_letter"), why, fix, at_key=True, severity=severity)
    yield from _unroutable_by_policy(topology, routes)


def _unroutable_by_policy(topology: Topology, routes: Routes) -> Iterator[Breach]:
    """Policies whose dead-letter exchange is declared and leads the keys of their queues nowhere."""
    for one in judged_policies(topology):
        exchange, key = (one.policy.definition.get(f"dead-letter-{part}") for part in ("exchange", "routing-key"))
        if not isinstance(exchange, str) or exchange not in topology.exchanges:
            continue  # whose exchange it is, and what is bound there, is not known
        for queue in one.applied:
            families = [KeyFamily.of_key(key)] if isinstance(key, str) else routes.keys_of(queue.name)
            if not any(routes.reached(exchange, family) for family in families):
                why = f"{exchange!r} routes the dead letters of {queue.name!r} to no queue: they would be lost."
                fix = "Bind a queue to that exchange, or let the policy lead to another."
                path: Path = ("policies", one.policy.name, "definition", "dead-letter-exchange")
                yield Breach(path, why, fix, severity=None if queue.is_on_bus else Severity.WARNING)
                break


@rule(
    "envelope-without-effect",
    "envelopes that nobody completes",
    "`envelope: complete` is for what services publish to exchanges whose messages are checked. Where no message type "
    "is published, or the mode is `off`, bodies pass as they are.",
    severity=Severity.WARNING,
    needs_whole=True,
)
def envelope_without_effect(topology: Topology) -> Iterator[Breach]:
    """Exchanges and services where nothing is published that is checked."""
    published = {
        service.name: {topology.messages[name].exchange for name in service.publishes if name in topology.messages}
        for service in topology.services.values()
    }
    unchecked = {name for name in topology.exchanges if topology.mode_of(name) is Enforcement.OFF}
    fix = "Remove the line, or declare what is published."
    for exchange in topology.exchanges.values():
        if exchange.envelope is not EnvelopeMode.COMPLETE:
            continue
        path: Path = ("exchanges", exchange.name, "envelope")
        if exchange.name in unchecked:
            yield Breach(path, f"The mode of {exchange.name!r} is `off`.", "Remove the line, or set `mode: warn`.")
        elif not any(exchange.name in exchanges for exchanges in published.values()):
            yield Breach(path, f"No service publishes a message type of {exchange.name!r}.", fix)
    for service in topology.services.values():
        if service.envelope is EnvelopeMode.COMPLETE and published[service.name] <= unchecked:
            why = f"{service.name!r} publishes nothing that is checked."
            yield Breach(("services", service.name, "envelope"), why, fix)


RULES: tuple[Rule, ...] = (
    published_not_consumed,
    consumed_not_published,
    message_unused,
    queue_not_consumed_by_service,
    type_in_two_queues,
    queue_without_bindings,
    pattern_without_messages,
    dead_letter_unroutable,
    envelope_without_effect,
)
