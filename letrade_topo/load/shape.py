"""The shape of `topology.yaml`: which keys exist, and which values they take, as cerberus schemas.

Only what can be said of one value by itself; what refers to something else is a rule of the model.
Defaults live in the model's dataclasses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

from letrade_topo.model.messages import EnvelopeMode
from letrade_topo.model.security import Enforcement, JwtAlgorithm, TlsVersion
from letrade_topo.model.topology import (
    DeadLetterStrategy,
    ExchangeType,
    Guarantee,
    Overflow,
    Ownership,
    PolicyTarget,
    QueueType,
)

Schema: TypeAlias = dict[str, Any]

FORMAT_VERSION = 1
MOST_INTEGER = 2**63 - 1
"""AMQP's widest integer."""


def _one_of(values: type[StrEnum]) -> Schema:
    return {"type": "string", "allowed": [value.value for value in values]}


def words_of(schema: Schema) -> tuple[str, ...]:
    """The words that a value may be, or that it most often is."""
    if schema.get("check_with") == "exchange_type":
        return tuple(ExchangeType)
    return tuple(map(str, schema.get("allowed", ())))


def _section(schema: Schema) -> Schema:
    return {"type": "dict", "schema": schema}


_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "empty": False}
_NAMES: Schema = {"type": "list", "check_with": "names"}
_FLAG: Schema = {"type": "boolean"}
_DURATION: Schema = {"check_with": "duration"}
_SIZE: Schema = {"check_with": "size"}
_COUNT: Schema = {"type": "integer", "min": 0, "max": MOST_INTEGER}
_LIMIT: Schema = {"type": "integer", "min": -1, "max": MOST_INTEGER}
_SECRET: Schema = {"check_with": "secret"}
_ARGUMENTS: Schema = {"type": "dict", "check_with": "arguments"}
_RETRY: Schema = {
    "max_retries": {"type": "integer", "min": 0, "max": 20},
    "delay": _DURATION,
    "multiplier": {"type": "number", "min": 1, "max": 1000},
}
_CONNECTION_LIMITS = _section({"max_connections": _LIMIT, "max_channels": _LIMIT})

VHOST: Schema = {
    "name": {"type": "string", "empty": False, "required": True},
    "description": _TEXT,
    "tags": _NAMES,
    "default_queue_type": _one_of(QueueType),
    "tracing": _FLAG,
}

EXCHANGE: Schema = {
    "type": {"type": "string", "check_with": "exchange_type"},
    "durable": _FLAG,
    "auto_delete": _FLAG,
    "internal": _FLAG,
    "alternate_exchange": _NAME,
    "mode": _one_of(Enforcement),
    "envelope": _one_of(EnvelopeMode),
    "arguments": _ARGUMENTS,
    "as_found": _FLAG,
    "description": _TEXT,
}

QUEUE: Schema = {
    "service": _NAME,
    "messages": _NAMES,
    "type": _one_of(QueueType),
    "durable": _FLAG,
    "auto_delete": _FLAG,
    "guarantee": _one_of(Guarantee),
    "overflow": _one_of(Overflow),
    "retry": {"type": ["string", "dict"], "check_with": "none", "schema": _RETRY},
    "dead_letter": {
        "type": ["string", "dict"],
        "check_with": "none",
        "schema": {
            "exchange": {"type": "string", "required": True},
            "routing_key": _TEXT,
            "strategy": _one_of(DeadLetterStrategy),
        },
    },
    "max_length": _COUNT,
    "max_length_bytes": _SIZE,
    "delivery_limit": _LIMIT,
    "redelivery_delay": _DURATION,
    "expires": _DURATION,
    "message_ttl": _DURATION,
    "single_active_consumer": _FLAG,
    "max_priority": {"type": "integer", "min": 0, "max": 255},
    "arguments": _ARGUMENTS,
    "as_found": _FLAG,
    "description": _TEXT,
}

DEFAULTS: dict[str, Schema] = {
    "exchanges": {key: EXCHANGE[key] for key in ("type", "durable", "alternate_exchange", "mode", "envelope")},
    "queues": {
        key: QUEUE[key]
        for key in (
            *("type", "durable", "guarantee", "overflow", "retry", "dead_letter", "max_length", "max_length_bytes"),
            *("delivery_limit", "redelivery_delay", "expires", "message_ttl", "single_active_consumer"),
        )
    },
}
"""What many entries have in common: what is of one alone (its service, its messages, its arguments) is not among it."""

TOPOLOGY: Schema = {
    "topology": {"type": "integer", "allowed": [FORMAT_VERSION], "required": True},
    "name": {"type": "string", "check_with": "topology_name", "required": True},
    "environment": _TEXT,
    "vhost": {"type": ["string", "dict"], "empty": False, "required": True, "schema": VHOST},
    "vhost_protected": _FLAG,
    "ownership": _one_of(Ownership),
    "variables": {"type": "dict"},
    "broker": _section({"management": _TEXT, "username": _NAME, "password": _SECRET, "ca_file": _NAME}),
    "limits": _section(
        {
            "message_size": _SIZE,
            "delivery_limit": _LIMIT,
            "redelivery_delay": _DURATION,
            "max_connections": _LIMIT,
            "max_queues": _LIMIT,
        }
    ),
    "retry": _section(_RETRY),
    "dead_letter": _section({"exchange": _NAME, "queue": _NAME, "retry_exchange": _NAME}),
    "security": _section(
        {
            "tls": _section({"required": _FLAG, "minimum_version": _one_of(TlsVersion), "client_certificates": _FLAG}),
            "jwt": _section(
                {
                    "algorithm": _one_of(JwtAlgorithm),
                    "mode": _one_of(Enforcement),
                    "leeway": _DURATION,
                    "outage_tolerance": _DURATION,
                    "movers": _NAMES,
                }
            ),
        }
    ),
    "claim_check": _section({"store": _NAME, "max_size": _SIZE, "retention": _DURATION}),
    "defaults": _section({section: _section(schema) for section, schema in DEFAULTS.items()}),
    "exchanges": {"type": "dict"},
    "messages": {"type": "dict"},
    "services": {"type": "dict"},
    "queues": {"type": "dict"},
    "users": {"type": "dict"},
    "bindings": {"type": "list"},
    "policies": {"type": "dict"},
    "operator_policies": {"type": "dict"},
    "parameters": {"type": "dict"},
    "global_parameters": {"type": "dict", "check_with": "arguments"},
    "ignore": _NAMES,
}
"""The whole document; the entries of the sections below are checked one by one, which is much faster."""

MESSAGE: Schema = {
    "exchange": {"type": "string", "empty": False, "required": True},
    "key": _NAME,
    "lifetime": {"check_with": "duration", "required": True},
    "priority": {"check_with": "priority"},
    "sensitive": _NAMES,
    "schema": {"type": "dict"},
    "description": _TEXT,
}

SERVICE: Schema = {
    "publishes": _NAMES,
    "consumes": _NAMES,
    "user": _NAME,
    "password": _SECRET,
    "direct_reply_to": _FLAG,
    "envelope": _one_of(EnvelopeMode),
    "limits": _CONNECTION_LIMITS,
    "description": _TEXT,
}

USER: Schema = {
    "tags": _NAMES,
    "password": {"check_with": "password"},
    "password_hash": {"check_with": "password_hash"},
    "permissions": _section({"configure": _TEXT, "write": _TEXT, "read": _TEXT}),
    "topic_permissions": {
        "type": "list",
        "schema": _section({"exchange": {"type": "string", "required": True}, "write": _TEXT, "read": _TEXT}),
    },
    "limits": _CONNECTION_LIMITS,
}

BINDING: Schema = {
    "source": {"type": "string", "empty": False, "required": True},
    "queue": _NAME,
    "exchange": _NAME,
    "routing_key": _TEXT,
    "arguments": _ARGUMENTS,
}

POLICY: Schema = {
    "pattern": {"type": "string", "required": True},
    "apply_to": _one_of(PolicyTarget),
    "definition": {"type": "dict", "required": True, "check_with": "arguments"},
    "priority": {"type": "integer", "min": -(2**31), "max": 2**31 - 1},
}

SECTIONS: dict[str, Schema] = {
    "exchanges": EXCHANGE,
    "messages": MESSAGE,
    "services": SERVICE,
    "queues": QUEUE,
    "users": USER,
    "policies": POLICY,
    "operator_policies": POLICY,
}
"""Sections that map a name to an entry."""

KNOWN_KEYS = frozenset(key for schema in (TOPOLOGY, VHOST, BINDING, *SECTIONS.values()) for key in schema)
"""Every key that means something somewhere."""

MAY_BE_EMPTY = frozenset({"exchanges", "queues", "services", "users"})
"""An entry of these without a value has the default values."""
