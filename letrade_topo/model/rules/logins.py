"""Services, users and what they may do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from urllib.parse import urlsplit

from letrade_topo.model.anchors import anchored, is_anchored
from letrade_topo.model.expressions import doubt_about, why_unreadable
from letrade_topo.model.routes import PREDEFINED_TYPES
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, did_you_mean, rule
from letrade_topo.model.topology import ExchangeType, Topology

_PREDEFINED: Mapping[str, str] = {"": "direct", **PREDEFINED_TYPES}


@rule(
    "user-collision",
    "two logins of one name",
    "A user on the broker has one password and one set of permissions. Two services, or a service and a user, that "
    "share it would each get what the other may do, or overwrite it.",
)
def user_collision(topology: Topology) -> Iterator[Breach]:
    """Services and users that share a user name."""
    owners: dict[str, str] = {}
    for service in topology.services.values():
        if service.user in owners:
            own = service.user != service.name
            path: Path = ("services", service.name, "user") if own else ("services", service.name)
            why = f"{service.user!r} is already the user of {owners[service.user]}."
            yield Breach(path, why, "Write `user: NAME` with a name of its own.", at_key=not own)
        owners.setdefault(service.user, f"the service {service.name!r}")
    for name in topology.users:
        if name in owners:
            yield Breach(("users", name), f"{name!r} is already the user of {owners[name]}.", "Rename it.", at_key=True)


@rule(
    "service-without-login",
    "service that cannot log in",
    "A service proves who it is by a client certificate (`security.tls.client_certificates`) or by a password.",
    looks_up="security",
)
def service_without_login(topology: Topology) -> Iterator[Breach]:
    """Services without a password where certificates are not the policy."""
    if topology.security.tls.client_certificates:
        return
    for name, service in topology.services.items():
        if service.password is None:
            why = "It has no password, and `security.tls.client_certificates` is false."
            fix = "Add `password: {env: NAME}` or `password: {file: PATH}`, or set `client_certificates: true`."
            yield Breach(("services", name), why, fix, at_key=True)


@rule(
    "user-without-login",
    "user that cannot log in",
    "A user without a password logs in only where the broker accepts a client certificate or an identity from "
    "elsewhere.",
    severity=Severity.WARNING,
    looks_up="security",
)
def user_without_login(topology: Topology) -> Iterator[Breach]:
    """Users without a password where certificates are not the policy."""
    if topology.security.tls.client_certificates:
        return
    for name, user in topology.users.items():
        if user.password is None and user.password_hash is None and not user.is_password_unmanaged:
            why = "It has no password, and `security.tls.client_certificates` is false."
            fix = "Add `password: {env: NAME}` or `password: {file: PATH}`, or `password: unmanaged`."
            yield Breach(("users", name), why, fix, at_key=True)


@rule(
    "password-and-hash",
    "two passwords of one user",
    "A user has one password: `password` says where it is, or `password_hash` where its hash is. Beside "
    "`password: unmanaged` the hash is the one that a user is made with.",
)
def password_and_hash(topology: Topology) -> Iterator[Breach]:
    """Users with both references."""
    for name, user in topology.users.items():
        if user.password is not None and user.password_hash is not None:
            why = "Which of the two it shall have is not said."
            yield Breach(("users", name, "password_hash"), why, "Remove one of them.", at_key=True)


@rule(
    "direct-reply-to",
    "service that may write to every queue",
    "RabbitMQ's direct reply-to needs write permission on the default exchange, which leads to every queue of the "
    "vhost by its name, past all topic permissions.",
    severity=Severity.WARNING,
)
def direct_reply_to(topology: Topology) -> Iterator[Breach]:
    """Services that opted in to direct reply-to."""
    for name, service in topology.services.items():
        if service.direct_reply_to:
            why = f"{name!r} may then publish into any queue of the vhost, whatever `publishes` says."
            fix = "Use response types and run-time queues (<service>.reply.<id>), unless a client cannot."
            yield Breach(("services", name, "direct_reply_to"), why, fix)


def _expressions(topology: Topology) -> Iterator[tuple[Path, str]]:
    """The regular expressions of users, each with its place."""
    for name, user in topology.users.items():
        for field in ("configure", "write", "read"):
            yield ("users", name, "permissions", field), getattr(user, field)
        for index, permission in enumerate(user.topic_permissions):
            for field in ("write", "read"):
                yield ("users", name, "topic_permissions", index, field), getattr(permission, field)


@rule(
    "permission-pattern",
    "permission that is no regular expression",
    "Permissions are regular expressions on names, topic permissions on routing keys; the broker refuses one that does "
    "not compile.",
)
def permission_pattern(topology: Topology) -> Iterator[Breach]:
    """Permissions and topic permissions that do not compile."""
    for path, expression in _expressions(topology):
        if (reason := why_unreadable(expression)) is not None:
            yield Breach(path, reason, "Correct it, or escape what is literal.")


@rule(
    "expression-in-doubt",
    "regular expression that versions read differently",
    "RabbitMQ 4.3 reads regular expressions with a newer library than versions before it (PCRE2), which refuses some "
    "of what the older one took for literal text, and knows more.",
    severity=Severity.WARNING,
)
def expression_in_doubt(topology: Topology) -> Iterator[Breach]:
    """Expressions and patterns that some versions refuse."""
    patterns = ((("policies", name, "pattern"), policy.pattern) for name, policy in topology.policies.items())
    for path, expression in chain(_expressions(topology), patterns):
        if (doubt := doubt_about(expression)) is not None:
            yield Breach(path, f"In {expression!r} {doubt}.", "Write it in another way.")


@rule(
    "permission-not-anchored",
    "permission that covers more than it seems to",
    "RabbitMQ searches for a permission's expression anywhere in a name or key: `orders` also covers "
    "`all-orders-archive`, and `^orders|bills$` whatever begins with the one or ends with the other.",
    severity=Severity.WARNING,
)
def permission_not_anchored(topology: Topology) -> Iterator[Breach]:
    """Permissions of which an alternative lacks ^ or $, unless it is plainly open there."""
    for path, expression in _expressions(topology):
        if expression and why_unreadable(expression) is None and not is_anchored(expression):
            what = "key" if "topic_permissions" in path else "name"
            why = f"{expression!r} also matches within a longer {what}."
            yield Breach(path, why, f"Write {anchored(expression)}, or .* for everything.{_glob_hint(expression)}")


def _glob_hint(expression: str) -> str:
    """For who took * for a wildcard."""
    is_likely = re.search(r"[\w-]\*", expression) is not None
    return " A * alone repeats the character before it; any text is .*." if is_likely else ""


@rule(
    "topic-permission-exchange",
    "topic permission without effect",
    "Topic permissions hold on topic exchanges; on others the broker does not look at them. From RabbitMQ 4.3.2 on it "
    "refuses one on an exchange that does not exist.",
    severity=Severity.WARNING,
)
def topic_permission_exchange(topology: Topology) -> Iterator[Breach]:
    """Topic permissions on exchanges of another type, or on none that is declared."""
    known = {**_PREDEFINED, **dict.fromkeys(topology.failure_exchanges, ExchangeType.TOPIC)}
    for name, user in topology.users.items():
        for index, permission in enumerate(user.topic_permissions):
            exchange = topology.exchanges.get(permission.exchange)
            kind = exchange.type if exchange else known.get(permission.exchange)
            if kind is None:
                why = f"{permission.exchange!r} is not under `exchanges`: it holds only if somebody else makes that."
                fix = did_you_mean(permission.exchange, topology.exchanges, "Declare the exchange, or remove it.")
                yield Breach(("users", name, "topic_permissions", index, "exchange"), why, fix)
            if kind is not None and kind != ExchangeType.TOPIC:
                path = ("users", name, "topic_permissions", index, "exchange")
                called = repr(permission.exchange) if permission.exchange else "The default exchange"
                why = f"{called} is a {kind} exchange, and any key may be published to it."
                fix = "Remove it, or make the exchange a topic exchange." if exchange else "Remove it."
                yield Breach(path, why, fix)


@rule(
    "service-without-messages",
    "service that does nothing on the bus",
    "A service is on the bus for what it publishes and consumes.",
    severity=Severity.WARNING,
)
def service_without_messages(topology: Topology) -> Iterator[Breach]:
    """Services that neither publish nor consume."""
    for name, service in topology.services.items():
        if not (service.publishes or service.consumes or service.patterns):
            why = f"{name!r} gets a user that may do nothing."
            yield Breach(("services", name), why, "Add `publishes` or `consumes`, or remove it.", at_key=True)


@rule(
    "secret-in-url",
    "secret in an address",
    "An address is shown in messages and logs; what logs in stands in `username` and `password`.",
)
def secret_in_url(topology: Topology) -> Iterator[Breach]:
    """A management address with a login in it."""
    try:
        has_login = "@" in urlsplit(topology.broker.management or "").netloc
    except ValueError:
        has_login = "@" in (topology.broker.management or "")
    if has_login:
        fix = "Write the address without it, and `username` and `password: {env: NAME}` beside it."
        yield Breach(("broker", "management"), "The address holds a user name or a password.", fix)


RULES: tuple[Rule, ...] = (
    user_collision,
    service_without_login,
    user_without_login,
    password_and_hash,
    direct_reply_to,
    permission_pattern,
    permission_not_anchored,
    expression_in_doubt,
    topic_permission_exchange,
    service_without_messages,
    secret_in_url,
)
