"""Regular expressions that are short enough: those that follow from names, and those that are declared."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model import names
from letrade_topo.model.access import ServiceAccess, access_of
from letrade_topo.model.name_patterns import LONGEST_PATTERN_BYTES, Found, NoPattern, fits
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import Topology

MANY_QUEUES = 20
"""So many ordinary names, each with what it rejected, fill a permission."""

EXAMPLES = 3
_LIMIT = f"{LONGEST_PATTERN_BYTES:,} bytes"
_VERSIONS = "RabbitMQ 4.2.8 and 4.3.2 and newer"


@rule(
    "no-short-pattern",
    "names that no short expression tells apart",
    f"A permission is a regular expression, and {_VERSIONS} take at most {_LIMIT} of one. Where the names or keys of a "
    "service are too many to be listed, the expression is made of what only they have in common: a beginning such as "
    "`billing.`, or a shape such as `item_00000`. Names that lie among those of others have neither.",
    needs_whole=True,
)
def no_short_pattern(topology: Topology) -> Iterator[Breach]:
    """Services of which a permission or a topic permission would be too long."""
    if any(len(text) > names.LONGEST_NAME_BYTES for text in _texts(topology)):
        return  # another rule says so, and no recursion has to be as deep as such a name is long
    for service, access in access_of(topology).items():
        for what, fix, found in _expressions(service, access):
            if isinstance(found, NoPattern):
                yield Breach(("services", service), _why(what, found), _split(fix, found), at_key=True)


def _texts(topology: Topology) -> Iterator[str]:
    """Every name and key that an expression is made of."""
    yield from topology.queues
    yield from topology.exchanges
    for message in topology.messages.values():
        yield message.key.publish_text
    for service in topology.services.values():
        for pattern in service.patterns:
            yield pattern.bind_text


def _expressions(service: str, access: ServiceAccess) -> Iterator[tuple[str, str, Found]]:
    beginning = repr(names.namespace(service))
    own = f"with {beginning}, which then no other queue and no exchange may begin with"
    yield "queues and exchanges that it reads", f"Begin the names of its queues {own}", access.read
    yield "exchanges that it writes to", f"Begin the names of its exchanges {own}", access.write
    for topic in access.topics:
        exchange = repr(topic.exchange)
        keys = f"Begin those keys with a word that no other key on {exchange} begins with, give them an exchange of "
        yield f"keys that it publishes to {exchange}", f"{keys}their own", topic.write
        yield f"keys that it binds to {exchange}", f"{keys}their own", topic.read


def _why(what: str, found: NoPattern) -> str:
    way = found.in_the_way
    shown = ", ".join(map(repr, way[:EXAMPLES])) + (f" and {len(way) - EXAMPLES} more" if len(way) > EXAMPLES else "")
    among = f"in the way, because they lie between them, are {shown}" if way else "nothing is common to them"
    return (
        f"The shortest expression of the {what} and of nothing else has {found.shortest_bytes:,} bytes; {_VERSIONS} "
        f"take {_LIMIT}; {among}."
    )


def _split(fix: str, found: NoPattern) -> str:
    return f"{fix}, or split the service into {-(-found.shortest_bytes // LONGEST_PATTERN_BYTES)}."


@rule(
    "queue-without-namespace",
    "queues that do not begin with the name of their service",
    f"A service with {MANY_QUEUES} queues or more has too many to be listed in one permission ({_LIMIT}). If all of "
    "them begin with `<service>.` and nothing else does, one short expression is enough for any number of them; "
    "otherwise it depends on the names of others whether there is one.",
    severity=Severity.WARNING,
)
def queue_without_namespace(topology: Topology) -> Iterator[Breach]:
    """Services with many queues, some of which are not named after it."""
    queues: dict[str, list[str]] = {}
    for queue in topology.queues.values():
        if queue.service is not None:
            queues.setdefault(queue.service, []).append(queue.name)
    for service, own in queues.items():
        beginning = names.namespace(service)
        strays = [name for name in own if not name.startswith(beginning)]
        if len(own) >= MANY_QUEUES and strays and service in topology.services:
            why = (
                f"{len(strays)} of the {len(own)} queues of {service!r} do not begin with {beginning!r}, for example "
                f"{strays[0]!r}."
            )
            yield Breach(("services", service), why, f"Name them {beginning}….", at_key=True)


@rule(
    "pattern-too-long",
    "expression that newer brokers refuse",
    f"{_VERSIONS} refuse an expression of more than {_LIMIT} in a permission, a topic permission and a policy.",
    severity=Severity.WARNING,
)
def pattern_too_long(topology: Topology) -> Iterator[Breach]:
    """Declared expressions that are too long."""
    for path, expression in _declared(topology):
        if not fits(expression):
            why = f"It has {len(expression.encode()):,} bytes; {_VERSIONS} take {_LIMIT}."
            yield Breach(path, why, "Write a beginning that the names have in common, or names of one shape.")


def _declared(topology: Topology) -> Iterator[tuple[Path, str]]:
    for name, policy in topology.policies.items():
        yield ("policies", name, "pattern"), policy.pattern
    for name, user in topology.users.items():
        for field in ("configure", "write", "read"):
            yield ("users", name, "permissions", field), getattr(user, field)
        for index, permission in enumerate(user.topic_permissions):
            for field in ("write", "read"):
                yield ("users", name, "topic_permissions", index, field), getattr(permission, field)


RULES: tuple[Rule, ...] = (no_short_pattern, queue_without_namespace, pattern_too_long)
