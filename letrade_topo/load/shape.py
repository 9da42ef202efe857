"""The shape of `topology.yaml`: which keys exist, and which values they take, as cerberus schemas.

Only what can be said of one value by itself; what refers to something else is a rule of the model.
Defaults live in the model's dataclasses.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

from letrade_topo.model.messages import Priority
from letrade_topo.model.security import Enforcement, JwtAlgorithm, TlsVersion
from letrade_topo.model.topology import ExchangeType, Guarantee, Ownership, PolicyTarget, QueueType

Schema: TypeAlias = dict[str, Any]

FORMAT_VERSION = 1
MOST_INTEGER = 2**63 - 1
"""AMQP's widest integer."""


def _one_of(values: type[StrEnum]) -> Schema:
    return {"type": "string", "allowed": [value.value for value in values]}


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

TOPOLOGY: Schema = {
    "topology": {"type": "integer", "allowed": [FORMAT_VERSION], "required": True},
    "name": {"type": "string", "check_with": "topology_name", "required": True},
    "environment": _TEXT,
    "vhost": {"type": "string", "empty": False, "required": True},
    "ownership": _one_of(Ownership),
    "variables": {"type": "dict"},
    "broker": _section({"management": _TEXT, "username": _NAME, "password": _SECRET, "ca_file": _NAME}),
    "limits": _section(
        {"message_size": _SIZE, "delivery_limit": _LIMIT, "max_connections": _LIMIT, "max_queues": _LIMIT}
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
                }
            ),
        }
    ),
    "claim_check": _section({"store": _NAME, "max_size": _SIZE, "retention": _DURATION}),
    "exchanges": {"type": "dict"},
    "messages": {"type": "dict"},
    "services": {"type": "dict"},
    "queues": {"type": "dict"},
    "users": {"type": "dict"},
    "bindings": {"type": "list"},
    "policies": {"type": "dict"},
    "ignore": _NAMES,
}
"""The whole document; the entries of the sections below are checked one by one, which is much faster."""

EXCHANGE: Schema = {
    "type": _one_of(ExchangeType),
    "durable": _FLAG,
    "internal": _FLAG,
    "alternate_exchange": _NAME,
    "mode": _one_of(Enforcement),
    "arguments": _ARGUMENTS,
    "description": _TEXT,
}

MESSAGE: Schema = {
    "exchange": {"type": "string", "empty": False, "required": True},
    "key": _NAME,
    "lifetime": {"check_with": "duration", "required": True},
    "priority": _one_of(Priority),
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
    "limits": _CONNECTION_LIMITS,
    "description": _TEXT,
}

QUEUE: Schema = {
    "service": _NAME,
    "messages": _NAMES,
    "type": _one_of(QueueType),
    "guarantee": _one_of(Guarantee),
    "retry": {"type": ["string", "dict"], "check_with": "none", "schema": _RETRY},
    "dead_letter": {
        "type": ["string", "dict"],
        "check_with": "none",
        "schema": {"exchange": {"type": "string", "required": True}, "routing_key": _TEXT},
    },
    "max_length": _COUNT,
    "max_length_bytes": _SIZE,
    "delivery_limit": _LIMIT,
    "expires": _DURATION,
    "message_ttl": _DURATION,
    "single_active_consumer": _FLAG,
    "max_priority": {"type": "integer", "min": 1, "max": 255},
    "arguments": _ARGUMENTS,
    "description": _TEXT,
}

USER: Schema = {
    "tags": _NAMES,
    "password": _SECRET,
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
}
"""Sections that map a name to an entry."""

MAY_BE_EMPTY = frozenset({"exchanges", "queues", "services", "users"})
"""An entry of these without a value has the default values."""
