"""What RabbitMQ takes as an argument of a queue, and as a setting of a policy: literal tables, and judging by them.

Each row was tried on 3.10.8, 4.0.5 and 4.3.6 (tests/management/test_settings.py does so for every version it runs on);
versions in between are from the sources named in the row. What a table does not name is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, TypeAlias

from letrade_topo.model.messages import Json

Version: TypeAlias = tuple[int, ...]
"""The numbers of a version, as many as are meant: (4, 3) is 4.3.0."""

LONGEST_EXPIRY_MILLISECONDS: Final = 315_360_000_000
"""Ten years (rabbit.hrl, MAX_EXPIRY_TIMER): of arguments; policies have no such bound."""
LARGEST_INTEGER: Final = 2**63 - 1
LARGEST_SEGMENT_BYTES: Final = 3_000_000_000
"""rabbit_stream_queue, MAX_STREAM_MAX_SEGMENT_SIZE."""

_MAX_AGE = re.compile(r"[1-9][0-9]*[YMDhms]")
"""rabbit_date_time, rabbit_amqqueue:check_max_age; `0s` is refused."""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number between two others."""

    least: int = 0
    most: int = LARGEST_INTEGER

    def accepts(self, value: Json) -> bool:
        """Whether a value is one."""
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        most = "" if self.most == LARGEST_INTEGER else f", at most {self.most}"
        return f"a whole number, at least {self.least}{most}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def accepts(self, value: Json) -> bool:
        """Whether a value is one."""
        return value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Form:
    """A text that a regular expression describes."""

    expression: re.Pattern[str]
    words: str

    def accepts(self, value: Json) -> bool:
        """Whether a value is one."""
        return isinstance(value, str) and self.expression.fullmatch(value) is not None

    def __str__(self) -> str:
        return self.words


class Plain(Enum):
    """Values of which only the type counts."""

    TEXT = auto()
    FLAG = auto()
    ANY = auto()

    def accepts(self, value: Json) -> bool:
        """Whether a value is of it."""
        match self:
            case Plain.TEXT:
                return isinstance(value, str)
            case Plain.FLAG:
                return isinstance(value, bool)
            case Plain.ANY:
                return True

    def __str__(self) -> str:
        return {"TEXT": "a text", "FLAG": "true or false", "ANY": "any value"}[self.name]


Values: TypeAlias = Number | OneOf | Form | Plain

_OVERFLOW = OneOf(("drop-head", "reject-publish", "reject-publish-dlx"))
_STRATEGY = OneOf(("at-most-once", "at-least-once"))
_LEADER = OneOf(("client-local", "balanced", "random", "least-leaders"))
_AGE = Form(_MAX_AGE, "a number and a unit, one of Y, M, D, h, m, s: 7D")
_SEGMENT = Number(0, LARGEST_SEGMENT_BYTES)
_FILTER = Number(16, 255)


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of RabbitMQ that take something.

    Args:
        since: the first; None for all from 3.10 on.
        until: the first that refuses it again; None for none.
    """

    since: Version | None = None
    until: Version | None = None

    def include(self, version: Version) -> bool:
        """Whether a version, of three numbers, is among them."""
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)

    def __str__(self) -> str:
        since = f"from {_dotted(self.since)} on" if self.since else ""
        until = f"before {_dotted(self.until)}" if self.until else ""
        return " and ".join(part for part in (since, until) if part)


ALWAYS: Final = Versions()


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a queue.

    Args:
        values: what it may be.
        types: the queue types that take it, each with the versions that do; every other type refuses the queue,
            unless it is `ignored`.
        ignored: types that store it and do nothing, on every version.
        narrower: values that fewer versions take.
    """

    values: Values
    types: Mapping[str, Versions]
    ignored: frozenset[str] = frozenset()
    narrower: Mapping[str, Versions] = field(default_factory=dict)


def _types(**versions: Versions) -> Mapping[str, Versions]:
    return MappingProxyType(versions)


_QUEUES = _types(classic=ALWAYS, quorum=ALWAYS)
_CLASSIC = _types(classic=ALWAYS)
_QUORUM = _types(quorum=ALWAYS)
_STREAM = _types(stream=ALWAYS)
_BEFORE_4_3 = Versions(until=(4, 3))

QUEUE_ARGUMENTS: Final[Mapping[str, Argument]] = MappingProxyType(
    {
        "x-message-ttl": Argument(Number(0, LONGEST_EXPIRY_MILLISECONDS), _QUEUES),
        "x-expires": Argument(Number(1, LONGEST_EXPIRY_MILLISECONDS), _QUEUES),
        "x-max-length": Argument(Number(), _QUEUES),
        "x-max-length-bytes": Argument(Number(), _types(classic=ALWAYS, quorum=ALWAYS, stream=ALWAYS)),
        # A broker takes anything here, whatever it makes of it.
        "x-delivery-limit": Argument(Number(-1), _QUORUM, narrower=MappingProxyType({"-1": Versions(since=(4, 0))})),
        "x-dead-letter-exchange": Argument(Plain.TEXT, _QUEUES),
        "x-dead-letter-routing-key": Argument(Plain.TEXT, _QUEUES),
        "x-dead-letter-strategy": Argument(_STRATEGY, _QUORUM),
        "x-overflow": Argument(_OVERFLOW, _QUEUES),
        "x-single-active-consumer": Argument(Plain.FLAG, _QUEUES),
        "x-max-priority": Argument(Number(0, 255), _CLASSIC),
        # 3.12 release notes; from 4.3 on it lives in the quorum queue (4.3.0 release notes).
        "x-consumer-timeout": Argument(Number(), _types(classic=_BEFORE_4_3, quorum=ALWAYS, stream=_BEFORE_4_3)),
        "x-consumer-disconnected-timeout": Argument(
            Number(), _types(classic=_BEFORE_4_3, quorum=ALWAYS, stream=_BEFORE_4_3)
        ),
        "x-delayed-retry-type": Argument(OneOf(("disabled", "all", "failed", "returned")), _QUORUM),
        "x-delayed-retry-min": Argument(Number(1), _QUORUM),
        "x-delayed-retry-max": Argument(Number(1), _QUORUM),
        "x-initial-cluster-size": Argument(Number(1), _STREAM),
        "x-max-age": Argument(_AGE, _STREAM),
        "x-max-in-memory-bytes": Argument(Number(), _QUORUM),
        "x-max-in-memory-length": Argument(Number(), _QUORUM),
        # Classic queues: 3.11 release notes.
        "x-queue-leader-locator": Argument(
            _LEADER, _types(classic=Versions(since=(3, 11)), quorum=ALWAYS, stream=ALWAYS)
        ),
        # A deprecated feature, by default not permitted from 4.3 on.
        "x-queue-master-locator": Argument(
            OneOf(("min-masters", "client-local", "random")), _types(classic=_BEFORE_4_3)
        ),
        "x-queue-mode": Argument(OneOf(("default", "lazy")), _CLASSIC),
        "x-queue-version": Argument(Number(1, 2), _CLASSIC, narrower=MappingProxyType({"1": _BEFORE_4_3})),
        "x-quorum-initial-group-size": Argument(Number(1), _QUORUM),
        "x-quorum-target-group-size": Argument(Number(1), _QUORUM, ignored=frozenset({"classic", "stream"})),
        "x-stream-filter-size-bytes": Argument(_FILTER, _STREAM),
        "x-stream-max-segment-size-bytes": Argument(_SEGMENT, _STREAM),
    }
)
"""By name (rabbit_amqqueue:declare_args and the queue types' `queue_arguments`); `x-queue-type` is `type`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a policy.

    Args:
        values: what it may be.
        versions: of RabbitMQ that take it.
        plugin: that has to be enabled.
        narrower: values that fewer versions take.
    """

    values: Values
    versions: Versions = ALWAYS
    plugin: str = ""
    narrower: Mapping[str, Versions] = field(default_factory=dict)


_MIRRORED = Versions(until=(4, 0))
_FEDERATION = "rabbitmq_federation"
_SHARDING = "rabbitmq_sharding"

POLICY_SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "alternate-exchange": Setting(Plain.TEXT),
        "dead-letter-exchange": Setting(Plain.TEXT),
        "dead-letter-routing-key": Setting(Plain.TEXT),
        "dead-letter-strategy": Setting(_STRATEGY),
        "message-ttl": Setting(Number()),
        "expires": Setting(Number(1)),
        "max-length": Setting(Number()),
        "max-length-bytes": Setting(Number()),
        "max-in-memory-bytes": Setting(Number()),
        "max-in-memory-length": Setting(Number()),
        "delivery-limit": Setting(Number(-1), narrower=MappingProxyType({"-1": Versions(since=(4, 0))})),
        "overflow": Setting(_OVERFLOW),
        "queue-mode": Setting(OneOf(("default", "lazy"))),
        "queue-version": Setting(Number(1, 2)),
        "queue-leader-locator": Setting(_LEADER),
        "queue-master-locator": Setting(OneOf(("min-masters", "client-local", "random")), _BEFORE_4_3),
        "initial-cluster-size": Setting(Number()),
        "max-age": Setting(_AGE),
        "stream-max-segment-size-bytes": Setting(_SEGMENT),
        "stream-filter-size-bytes": Setting(_FILTER, Versions(since=(3, 13))),  # 3.13 release notes
        "consumer-timeout": Setting(Number(), Versions(since=(3, 12))),  # 3.12 release notes
        "target-group-size": Setting(Number(1), Versions(since=(3, 13))),  # 3.13 release notes
        "consumer-disconnected-timeout": Setting(Number(), Versions(since=(4, 3))),  # 4.3 release notes
        # 4.3.1 release notes: 4.3.0 refused the keys.
        "delayed-retry-type": Setting(OneOf(("disabled", "all", "failed", "returned")), Versions(since=(4, 3, 1))),
        "delayed-retry-min": Setting(Number(1), Versions(since=(4, 3, 1))),
        "delayed-retry-max": Setting(Number(1), Versions(since=(4, 3, 1))),
        # Mirrored queues (4.0 release notes: removed).
        "ha-mode": Setting(OneOf(("all", "exactly", "nodes")), _MIRRORED),
        "ha-params": Setting(Plain.ANY, _MIRRORED),
        "ha-promote-on-failure": Setting(OneOf(("always", "when-synced")), _MIRRORED),
        "ha-promote-on-shutdown": Setting(OneOf(("always", "when-synced")), _MIRRORED),
        "ha-sync-batch-size": Setting(Number(1), _MIRRORED),
        "ha-sync-mode": Setting(OneOf(("automatic", "manual")), _MIRRORED),
        "federation-upstream": Setting(Plain.TEXT, plugin=_FEDERATION),
        "federation-upstream-pattern": Setting(Plain.TEXT, plugin=_FEDERATION),
        "federation-upstream-set": Setting(Plain.TEXT, plugin=_FEDERATION),
        "shards-per-node": Setting(Number(), plugin=_SHARDING),
        "routing-key": Setting(Plain.TEXT, plugin=_SHARDING),
    }
)
"""By name (rabbit_policies and rabbit_mirror_queue_misc, policy_validator; the plug-ins' own validators)."""

NO_POLICY_SETTINGS: Final = frozenset(
    {"queue-type", "max-priority", "single-active-consumer", "durable", "auto-delete", "auto_delete", "exclusive"}
)
"""What only a queue itself can have (RabbitMQ: policies.md); every version refuses it in a policy."""

OWN_PLUGINS: Final = frozenset(
    [
        "oauth2_client",
        "rabbitmq_amqp1_0",
        "rabbitmq_amqp_client",
        "rabbitmq_auth_backend_cache",
        "rabbitmq_auth_backend_http",
        "rabbitmq_auth_backend_internal_loopback",
        "rabbitmq_auth_backend_ldap",
        "rabbitmq_auth_backend_oauth2",
        "rabbitmq_auth_mechanism_ssl",
        "rabbitmq_aws",
        "rabbitmq_consistent_hash_exchange",
        "rabbitmq_event_exchange",
        "rabbitmq_exchange_federation",
        "rabbitmq_federation",
        "rabbitmq_federation_common",
        "rabbitmq_federation_management",
        "rabbitmq_federation_prometheus",
        "rabbitmq_jms_topic_exchange",
        "rabbitmq_management",
        "rabbitmq_management_agent",
        "rabbitmq_mqtt",
        "rabbitmq_peer_discovery_aws",
        "rabbitmq_peer_discovery_common",
        "rabbitmq_peer_discovery_consul",
        "rabbitmq_peer_discovery_etcd",
        "rabbitmq_peer_discovery_k8s",
        "rabbitmq_prelaunch",
        "rabbitmq_prometheus",
        "rabbitmq_queue_federation",
        "rabbitmq_random_exchange",
        "rabbitmq_recent_history_exchange",
        "rabbitmq_sharding",
        "rabbitmq_shovel",
        "rabbitmq_shovel_management",
        "rabbitmq_shovel_prometheus",
        "rabbitmq_stomp",
        "rabbitmq_stream",
        "rabbitmq_stream_common",
        "rabbitmq_stream_management",
        "rabbitmq_top",
        "rabbitmq_tracing",
        "rabbitmq_trust_store",
        "rabbitmq_web_dispatch",
        "rabbitmq_web_mqtt",
        "rabbitmq_web_mqtt_examples",
        "rabbitmq_web_stomp",
        "rabbitmq_web_stomp_examples",
    ]
)
"""The plug-ins that RabbitMQ 3.10 to 4.3 bring along: where no other is enabled, nobody takes a setting that is not in
the table."""

HEADER_MATCHES: Final = OneOf(("all", "any", "all-with-x", "any-with-x"))
"""Of `x-match` on a headers exchange (rabbit_exchange_type_headers:validate_binding)."""

_FEDERATIONS = ("federation-upstream", "federation-upstream-set", "federation-upstream-pattern")


def contradictions(definition: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Settings of a policy that every version refuses beside, or without, others; each with the reason."""
    federations = [key for key in _FEDERATIONS if key in definition]
    for key in federations[1:]:
        yield key, f"a policy has either {federations[0]!r} or {key!r}."
    if "routing-key" in definition and "shards-per-node" not in definition:
        yield "routing-key", "'routing-key' needs 'shards-per-node' beside it."
    yield from _mirroring(definition)
    least, most = definition.get("delayed-retry-min"), definition.get("delayed-retry-max")
    if definition.get("delayed-retry-type", "disabled") != "disabled" and least is None:
        yield "delayed-retry-type", "'delayed-retry-type' needs 'delayed-retry-min' beside it."
    if isinstance(least, int) and isinstance(most, int) and most < least:
        yield "delayed-retry-max", "'delayed-retry-max' is less than 'delayed-retry-min'."


def _mirroring(definition: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    mode, parameters = definition.get("ha-mode"), definition.get("ha-params")
    for key in definition:
        if key.startswith("ha-") and mode is None:
            yield key, f"{key!r} needs 'ha-mode' beside it."
    if mode == "all" and parameters is not None:
        yield "ha-params", "'ha-mode: all' takes no 'ha-params'."
    elif mode == "exactly" and not Number(1).accepts(parameters):
        yield "ha-mode", "'ha-mode: exactly' takes a number of nodes as 'ha-params'."
    elif mode == "nodes" and not isinstance(parameters, list):
        yield "ha-mode", "'ha-mode: nodes' takes a list of nodes as 'ha-params'."
