"""Exchange types beyond AMQP's four: which plug-in has them, and which arguments they read. A literal table.

Each row but that of x-delayed-message, which does not come with RabbitMQ, was tried on 3.10.8, 4.0.5 and 4.3.6
(tests/apply/test_plugins.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from letrade_topo.model.settings import ALWAYS, Number, OneOf, Plain, Values, Versions

PLUGIN_PREFIX: Final = "x-"
"""What the names of all of them begin with."""


@dataclass(frozen=True, slots=True)
class PluginExchange:
    """An exchange type.

    Args:
        plugin: that has to be enabled; empty for RabbitMQ itself.
        arguments: what it reads, each with the values that it takes; it refuses others.
        required: of those, what it cannot do without.
        versions: of RabbitMQ that can have it.
        is_shipped: the plug-in comes with RabbitMQ.
    """

    plugin: str = ""
    arguments: Mapping[str, Values] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    versions: Versions = ALWAYS
    is_shipped: bool = True


CONSISTENT_HASH: Final = "x-consistent-hash"
"""Its binding keys are weights."""

PLUGIN_EXCHANGES: Final[Mapping[str, PluginExchange]] = MappingProxyType(
    {
        "x-delayed-message": PluginExchange(
            "rabbitmq_delayed_message_exchange",
            MappingProxyType({"x-delayed-type": Plain.TEXT}),
            required=("x-delayed-type",),
            is_shipped=False,
        ),
        CONSISTENT_HASH: PluginExchange(
            "rabbitmq_consistent_hash_exchange",
            MappingProxyType(
                {"hash-header": Plain.TEXT, "hash-property": OneOf(("correlation_id", "message_id", "timestamp"))}
            ),
        ),
        "x-random": PluginExchange("rabbitmq_random_exchange"),
        "x-local-random": PluginExchange(versions=Versions(since=(4, 0))),  # 4.0 release notes
        "x-recent-history": PluginExchange(
            "rabbitmq_recent_history_exchange", MappingProxyType({"x-recent-history-length": Number(1)})
        ),
        "x-modulus-hash": PluginExchange("rabbitmq_sharding"),
        "x-jms-topic": PluginExchange("rabbitmq_jms_topic_exchange"),
    }
)
"""By the name of the type."""
