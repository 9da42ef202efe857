"""The entries of each section to values of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from letrade_topo.load.diagnostics import Path
from letrade_topo.load.nodes import Sources
from letrade_topo.load.report import Report
from letrade_topo.load.shape_validator import UNMANAGED
from letrade_topo.model.messages import EnvelopeMode, MessageType, Priority
from letrade_topo.model.parameters import URI_KEYS, DeclaredParameter
from letrade_topo.model.routing import KeyTemplate, TemplateError, is_pattern
from letrade_topo.model.security import Enforcement, HashingAlgorithm, PasswordHash, SecretReference, SecretSource
from letrade_topo.model.services import ConnectionLimits, DeclaredUser, Service, TopicRule
from letrade_topo.model.topology import (
    DeadLettering,
    DeadLetterStrategy,
    DeadLetterTarget,
    DeclaredBinding,
    DeclaredExchange,
    DeclaredPolicy,
    DeclaredQueue,
    DestinationType,
    ExchangeType,
    Guarantee,
    Overflow,
    PolicyTarget,
    QueueLimits,
    QueueType,
    RetryPolicy,
)
from letrade_topo.model.units import ByteSize, Duration

Data = Mapping[str, Any]


def given(data: Data, **converters: Callable[[Any], Any]) -> dict[str, Any]:
    """The arguments that `data` gives, converted; for the others the dataclass's default stands."""
    return {name: convert(data[name]) for name, convert in converters.items() if name in data}


def same(value: Any) -> Any:
    """The converter of values that need none."""
    return value


class KeyTemplates:
    """Reads key templates; the same text gives the same value, and a bad one is reported."""

    def __init__(self, sources: Sources, report: Report) -> None:
        self._sources = sources
        self._report = report

    def read(self, text: str, path: Path, *, wildcards: bool = False, at_key: bool = False) -> KeyTemplate | None:
        """The template, or None after reporting what is wrong with it."""
        try:
            return KeyTemplate.parse(text, wildcards=wildcards)
        except TemplateError as error:
            what, _, fix = str(error).partition("; ")
            locate = self._sources.locate_key if at_key else self._sources.locate
            advice = (
                fix[:1].upper() + fix[1:] + "."
                if fix
                else "Write words of literal text and {variables}, joined by dots."
            )
            self._report.add("key-template", locate(path), "unusable key template", what + ".", advice, path=path)
            return None


def build_exchange(name: str, data: Data) -> DeclaredExchange:
    """An exchange."""
    return DeclaredExchange(
        name,
        **given(
            data,
            type=_exchange_type,
            durable=same,
            auto_delete=same,
            internal=same,
            alternate_exchange=same,
            mode=Enforcement,
            envelope=EnvelopeMode,
            arguments=same,
            as_found=same,
            description=same,
        ),
    )


def _exchange_type(text: str) -> ExchangeType | str:
    return ExchangeType(text) if text in list(ExchangeType) else text


def build_message(name: str, data: Data, templates: KeyTemplates) -> MessageType:
    """A message type; its key is its name unless it says otherwise."""
    path: Path = ("messages", name, "key") if "key" in data else ("messages", name)
    text = data.get("key", name)
    return MessageType(
        name,
        exchange=data.get("exchange", ""),
        key=templates.read(text, path, at_key="key" not in data) or KeyTemplate(text, (text,)),
        lifetime=Duration.parse(data["lifetime"]) if "lifetime" in data else Duration(0),
        **given(data, priority=_priority, sensitive=tuple, schema=same, description=same),
    )


def _priority(value: Any) -> Priority | int:
    return value if isinstance(value, int) else Priority(value)


def build_service(
    name: str, data: Data, templates: KeyTemplates, secret: Callable[[Path, Data], SecretReference]
) -> Service:
    """A service; what it consumes is a list of message types, and of patterns where a word is a wildcard."""
    consumes: list[str] = []
    patterns: list[KeyTemplate] = []
    for text in data.get("consumes", ()):
        if not is_pattern(text):
            consumes.append(text)
        elif (template := templates.read(text, ("services", name, "consumes", text), wildcards=True)) is not None:
            patterns.append(template)
    return Service(
        name,
        consumes=tuple(consumes),
        patterns=tuple(patterns),
        user=data.get("user", name),
        **given(
            data,
            publishes=tuple,
            password=lambda reference: secret(("services", name, "password"), reference),
            direct_reply_to=same,
            envelope=EnvelopeMode,
            limits=build_connection_limits,
            description=same,
        ),
    )


def build_queue(name: str, data: Data, topology_retry: RetryPolicy) -> DeclaredQueue:
    """A queue; how it dead-letters follows from its service and guarantee unless it says so itself."""
    dead_lettering, retry = _dead_lettering(data, topology_retry)
    limits = given(
        data,
        max_length=same,
        max_length_bytes=ByteSize.parse,
        delivery_limit=same,
        redelivery_delay=Duration.parse,
        expires=Duration.parse,
    )
    return DeclaredQueue(
        name,
        dead_lettering=dead_lettering,
        retry=retry,
        limits=QueueLimits(**limits),
        **given(
            data,
            service=same,
            messages=tuple,
            type=QueueType,
            durable=same,
            auto_delete=same,
            guarantee=Guarantee,
            overflow=Overflow,
            message_ttl=Duration.parse,
            single_active_consumer=same,
            max_priority=same,
            arguments=same,
            as_found=same,
            description=same,
        ),
    )


def _dead_lettering(
    data: Data, topology_retry: RetryPolicy
) -> tuple[DeadLettering | DeadLetterTarget, RetryPolicy | None]:
    target, retry = data.get("dead_letter"), data.get("retry")
    own_retry = build_retry(retry, topology_retry) if isinstance(retry, Mapping) else None
    if isinstance(target, Mapping):
        strategy = given(target, strategy=DeadLetterStrategy)
        return DeadLetterTarget(target.get("exchange", ""), target.get("routing_key"), **strategy), own_retry
    if target == "none":
        return DeadLettering.NONE, own_retry
    if retry == "none":
        return DeadLettering.RETRY, None
    if own_retry is not None:
        return DeadLettering.RETRY, own_retry
    keeps_everything = data.get("guarantee") != Guarantee.AT_MOST_ONCE and data.get("type") != QueueType.STREAM
    if "service" in data and keeps_everything:
        return DeadLettering.RETRY, topology_retry
    return DeadLettering.NONE, None


def build_retry(data: Data, otherwise: RetryPolicy) -> RetryPolicy:
    """A retry policy; what it does not say is as in `otherwise`."""
    return replace(otherwise, **given(data, max_retries=same, delay=Duration.parse, multiplier=same))


def build_connection_limits(data: Data) -> ConnectionLimits:
    """A user's limits."""
    return ConnectionLimits(**given(data, max_connections=same, max_channels=same))


def build_user(name: str, data: Data, secret: Callable[[Path, Data], SecretReference]) -> DeclaredUser:
    """A user that is no service."""
    rules = tuple(
        TopicRule(rule.get("exchange", ""), rule.get("write", ""), rule.get("read", ""))
        for rule in data.get("topic_permissions", ())
    )
    password = data.get("password")
    return DeclaredUser(
        name,
        topic_permissions=rules,
        **given(data.get("permissions", {}), configure=same, write=same, read=same),
        **given(
            data,
            tags=tuple,
            password_hash=lambda reference: PasswordHash(
                secret(("users", name, "password_hash"), reference), **given(reference, algorithm=HashingAlgorithm)
            ),
            limits=build_connection_limits,
        ),
        password=secret(("users", name, "password"), password) if isinstance(password, Mapping) else None,
        is_password_unmanaged=password == UNMANAGED,
    )


def build_binding(data: Data) -> DeclaredBinding:
    """A binding beyond those of message types."""
    to_queue = "queue" in data
    return DeclaredBinding(
        source=data.get("source", ""),
        destination=data["queue"] if to_queue else data.get("exchange", ""),
        destination_type=DestinationType.QUEUE if to_queue else DestinationType.EXCHANGE,
        **given(data, routing_key=same, arguments=same),
    )


def build_policy(name: str, data: Data) -> DeclaredPolicy:
    """A policy of the topology's own; without `apply_to` it applies to all, as on the broker."""
    return DeclaredPolicy(
        name,
        pattern=data.get("pattern", ""),
        apply_to=PolicyTarget(data.get("apply_to", PolicyTarget.ALL)),
        definition=data.get("definition", {}),
        **given(data, priority=same),
    )


def build_parameter(
    component: str, name: str, value: Any, secret: Callable[[Path, Data], SecretReference]
) -> DeclaredParameter:
    """A runtime parameter; references in the places of addresses are kept apart from the rest."""
    references: list[tuple[tuple[str | int, ...], SecretReference]] = []
    if not isinstance(value, Mapping):
        return DeclaredParameter(component, name, value)

    def read(part: Any, place: tuple[str | int, ...]) -> Any:
        if isinstance(part, Mapping):
            references.append((place, secret(("parameters", component, name, *place), part)))
            return None
        return [read(item, (*place, index)) for index, item in enumerate(part)] if isinstance(part, list) else part

    made = {key: read(part, (key,)) if key in URI_KEYS else part for key, part in value.items()}
    return DeclaredParameter(component, name, made, tuple(references))


def build_secret(directory: str, data: Data) -> SecretReference:
    """Where a secret is read; a relative path starts in the folder of the file that names it."""
    for source in SecretSource:
        if source in data:
            name = data[source]
            return SecretReference(source, relative_to(directory, name) if source is SecretSource.FILE else name)
    return SecretReference(SecretSource.ENVIRONMENT, "")


def relative_to(directory: str, path: str) -> str:
    """A path of a topology file as a path of this process."""
    return path if path.startswith("/") or directory in ("", ".") else f"{directory}/{path}"
