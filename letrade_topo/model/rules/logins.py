"""Services, users and what they may do."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, rule
from letrade_topo.model.topology import ExchangeType, Topology


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
)
def user_without_login(topology: Topology) -> Iterator[Breach]:
    """Users without a password where certificates are not the policy."""
    if topology.security.tls.client_certificates:
        return
    for name, user in topology.users.items():
        if user.password is None:
            why = "It has no password, and `security.tls.client_certificates` is false."
            fix = "Add `password: {env: NAME}` or `password: {file: PATH}`."
            yield Breach(("users", name), why, fix, at_key=True)


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


@rule(
    "permission-pattern",
    "permission that is no regular expression",
    "Permissions are regular expressions on names; the broker refuses one that does not compile.",
)
def permission_pattern(topology: Topology) -> Iterator[Breach]:
    """Permissions and topic permissions that do not compile."""
    for name, user in topology.users.items():
        for field in ("configure", "write", "read"):
            if (reason := why_no_expression(getattr(user, field))) is not None:
                yield Breach(("users", name, "permissions", field), reason, "Correct it, or escape what is literal.")
        for index, permission in enumerate(user.topic_permissions):
            for field in ("write", "read"):
                if (reason := why_no_expression(getattr(permission, field))) is not None:
                    path = ("users", name, "topic_permissions", index, field)
                    yield Breach(path, reason, "Correct it, or escape what is literal.")


@rule(
    "permission-not-anchored",
    "permission that covers more than it seems to",
    "RabbitMQ searches for a permission's expression anywhere in a name: `orders` also covers `all-orders-archive`.",
    severity=Severity.WARNING,
)
def permission_not_anchored(topology: Topology) -> Iterator[Breach]:
    """Permissions without ^ and $ that are not plainly everything."""
    for name, user in topology.users.items():
        for field in ("configure", "write", "read"):
            expression = getattr(user, field)
            if expression not in ("", ".*") and not is_anchored(expression):
                why = f"{expression!r} matches anywhere in a name."
                fix = f"Write ^(?:{expression})$, or .* for everything."
                yield Breach(("users", name, "permissions", field), why, fix)


@rule(
    "topic-permission-exchange",
    "topic permission without effect",
    "Topic permissions hold on topic exchanges; on others the broker does not look at them.",
    severity=Severity.WARNING,
)
def topic_permission_exchange(topology: Topology) -> Iterator[Breach]:
    """Topic permissions on exchanges of another type."""
    for name, user in topology.users.items():
        for index, permission in enumerate(user.topic_permissions):
            exchange = topology.exchanges.get(permission.exchange)
            if exchange is not None and exchange.type is not ExchangeType.TOPIC:
                path = ("users", name, "topic_permissions", index, "exchange")
                why = f"{permission.exchange!r} is a {exchange.type} exchange, and any key may be published to it."
                yield Breach(path, why, "Remove it, or make the exchange a topic exchange.")


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


def why_no_expression(expression: str) -> str | None:
    """Why RabbitMQ would not compile a regular expression, or None. PCRE and Python agree on what matters here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(
                expression.replace("(?<", "(?P<")
                if "(?<" in expression and not _looks_behind(expression)
                else expression
            )
        except (re.error, OverflowError, RecursionError) as error:
            return f"{expression!r} is not a regular expression: {error}."
    return None


def _looks_behind(expression: str) -> bool:
    return "(?<=" in expression or "(?<!" in expression


def is_anchored(expression: str) -> bool:
    """Whether an expression can match only a whole name, as far as its ends show."""
    return expression.startswith(("^", r"\A")) and expression.endswith(("$", r"\z", r"\Z"))


RULES: tuple[Rule, ...] = (
    user_collision,
    service_without_login,
    user_without_login,
    direct_reply_to,
    permission_pattern,
    permission_not_anchored,
    topic_permission_exchange,
    service_without_messages,
    secret_in_url,
)
