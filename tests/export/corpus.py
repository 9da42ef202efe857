"""Definitions as people have them, small: one for each thing that real files hold, and some of everything.

Names of vhosts and users are completed by `definitions`, so that many can lie on one broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Case: TypeAlias = Mapping[str, Any]
"""Short lists: `queues` as name → arguments and settings, `bindings` as tuples, and so on."""

_MD5: Final = "GEqVbxBfBYf0uA61FlNqfA0vKaU="
_SHA256: Final = "2eZ4AM8CXSMu2BmuSDwQYQJbJmeBVTFSA9UUBBfBPBMZHVhS"
_SHA512: Final = "J1Tm2tZGkzOaZk/CfGgFiFQ6bQUVvmuFt3iWpWnBhGvGtk5cf4Fqg3fTgWZDN8xIDVxW/uVVgNmzoEfLFIo3kXFvEuo="


def _queue(**arguments: Any) -> dict[str, Any]:
    return {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}


CASES: Final[Mapping[str, Case]] = {
    "nothing": {},
    "users-only": {"users": {"app": {}}, "permissions": {"app": (".*", ".*", ".*")}},
    "narrow-rights": {"users": {"app": {}}, "permissions": {"app": ("^$", r"^amq\.default|orders$", "tx-retry-*")}},
    "user-without-rights": {"users": {"app": {}}},
    "user-without-password": {"users": {"app": {"password_hash": ""}}},
    "old-hash": {"users": {"app": {"password_hash": _MD5, "hashing_algorithm": "rabbit_password_hashing_md5"}}},
    "long-hash": {"users": {"app": {"password_hash": _SHA512, "hashing_algorithm": "rabbit_password_hashing_sha512"}}},
    "placeholder-hash": {"users": {"app": {"password_hash": "Q0hBTkdFTUU="}}},
    "own-tags": {"users": {"app": {"tags": ["monitoring", "team-a"]}}},
    "user-limits": {"users": {"app": {"limits": {"max-connections": 5, "max-channels": 50}}}},
    "topic-permission": {
        "users": {"app": {}},
        "permissions": {"app": ("", ".*", ".*")},
        "topic_permissions": [("app", "orders", "^orders", "^orders")],
        "exchanges": {"orders": "topic"},
    },
    "topic-permission-on-default": {
        "users": {"app": {}},
        "permissions": {"app": ("", ".*", ".*")},
        "topic_permissions": [("app", "", ".*", ".*")],
    },
    "topic": {
        "exchanges": {"orders": "topic"},
        "queues": {"billing": {}},
        "bindings": [("orders", "billing", "orders.#")],
    },
    "direct": {"exchanges": {"jobs": "direct"}, "queues": {"mail": {}}, "bindings": [("jobs", "mail", "mail")]},
    "fanout": {
        "exchanges": {"news": "fanout"},
        "queues": {"a": {}, "b": {}},
        "bindings": [("news", "a"), ("news", "b")],
    },
    "headers": {
        "exchanges": {"by-header": "headers"},
        "queues": {"pdf": {}},
        "bindings": [("by-header", "pdf", "", {"x-match": "all", "format": "pdf", "pages": 3, "draft": False})],
    },
    "two-of-one-key": {
        "exchanges": {"by-header": "headers"},
        "queues": {"q": {}},
        "bindings": [
            ("by-header", "q", "", {"x-match": "any", "a": 1}),
            ("by-header", "q", "", {"x-match": "any", "a": "1"}),
        ],
    },
    "built-in-exchanges": {
        "queues": {"mqtt": {}, "log": {}},
        "bindings": [("amq.topic", "mqtt", "sensors.#"), ("amq.direct", "log", "log"), ("amq.fanout", "log")],
    },
    "exchange-to-exchange": {
        "exchanges": {"in": "topic", "out": "fanout"},
        "bindings": [("in", ("exchange", "out"), "#"), ("out", ("exchange", "amq.fanout"))],
    },
    "internal-exchange": {"exchanges": {"in": "topic", "deep": ("topic", {"internal": True})}},
    "transient-exchange": {"exchanges": {"gone": ("topic", {"durable": False})}},
    "auto-delete-exchange": {
        "exchanges": {"brief": ("fanout", {"auto_delete": True})},
        "queues": {"q": {}},
        "bindings": [("brief", "q")],
    },
    "alternate-exchange": {
        "exchanges": {"in": ("direct", {"arguments": {"alternate-exchange": "rest"}}), "rest": "fanout"}
    },
    "alternate-by-policy": {
        "exchanges": {"in": "direct", "rest": "fanout"},
        "policies": {"ae": ("^in$", "exchanges", {"alternate-exchange": "rest"})},
    },
    "quorum": {"queues": {"q": _queue(queue_type="quorum", delivery_limit=5)}},
    "stream": {"queues": {"s": _queue(queue_type="stream", max_age="7D", max_length_bytes=10**9)}},
    "ttl": {"queues": {"q": _queue(message_ttl=60_000), "odd": _queue(message_ttl=1)}},
    "expires": {"queues": {"q": _queue(expires=3_600_000)}},
    "lengths": {"queues": {"q": _queue(max_length=10, overflow="reject-publish"), "b": _queue(max_length_bytes=1024)}},
    "overflow-dlx": {
        "queues": {"q": _queue(max_length=10, overflow="reject-publish-dlx"), "d": _queue(overflow="drop-head")}
    },
    "priorities": {"queues": {"q": _queue(max_priority=10)}},
    "single-active": {
        "queues": {"q": _queue(single_active_consumer=True), "off": _queue(single_active_consumer=False)}
    },
    "lazy": {"queues": {"q": _queue(queue_mode="lazy")}},
    "dead-letters": {
        "exchanges": {"dlx": "direct"},
        "queues": {"work": _queue(dead_letter_exchange="dlx", dead_letter_routing_key="dead"), "dead": {}},
        "bindings": [("dlx", "dead", "dead")],
    },
    "dead-letters-nowhere": {"exchanges": {"dlx": "fanout"}, "queues": {"work": _queue(dead_letter_exchange="dlx")}},
    "dead-letters-to-nobody": {"queues": {"work": _queue(dead_letter_exchange="not-there")}},
    "dead-letters-to-default": {
        "queues": {"work": _queue(dead_letter_exchange="", dead_letter_routing_key="dead"), "dead": {}}
    },
    "quorum-dead-letters": {
        "exchanges": {"dlx": "fanout"},
        "queues": {
            "a": _queue(queue_type="quorum", dead_letter_exchange="dlx"),
            "b": _queue(
                queue_type="quorum",
                dead_letter_exchange="dlx",
                dead_letter_strategy="at-least-once",
                overflow="reject-publish",
            ),
            "dead": {},
        },
        "bindings": [("dlx", "dead")],
    },
    "retry-by-hand": {
        "exchanges": {"work": "direct", "again": "direct"},
        "queues": {
            "work": _queue(dead_letter_exchange="again", dead_letter_routing_key="work"),
            "wait": _queue(message_ttl=5_000, dead_letter_exchange="work", dead_letter_routing_key="work"),
        },
        "bindings": [("work", "work", "work"), ("again", "wait", "work")],
    },
    "catch-all-policies": {
        "queues": {"q": {}},
        "policies": {"one": (".*", "all", {"max-length": 5}), "two": ("", "queues", {"max-length": 9})},
    },
    "policy-that-matches-nothing": {"policies": {"p": ("^nobody$", "queues", {"expires": 60_000}, 7)}},
    "unanchored-policy": {"queues": {"orders": {}}, "policies": {"p": ("orders", "queues", {"message-ttl": 1000})}},
    "operator-policy": {
        "queues": {"q": {}},
        "parameters": [
            (
                "operator_policy",
                "op",
                {"pattern": "^q$", "apply-to": "queues", "definition": {"max-length": 5}, "priority": 1},
            )
        ],
    },
    "vhost-settings": {"vhost": {"description": "what is traded", "tags": ["a", "b"], "default_queue_type": "quorum"}},
    "vhost-limits": {"limits": {"max-queues": 100, "max-connections": 50}},
    "names": {
        "exchanges": {"MassTransit:Fault": "fanout", "a b": "topic", "a/b": "direct", "on": "topic", "null": "topic"},
        "queues": {"MassTransit:Fault": {}, "1": {}, "${x}": {}, "yes": {}, "ä": {}, "#": {}},
        "bindings": [("MassTransit:Fault", "MassTransit:Fault"), ("a b", "1", "*.*.#")],
    },
    "one-name-twice": {"exchanges": {"same": "topic"}, "queues": {"same": {}}, "bindings": [("same", "same", "#")]},
    "auto-delete-queue": {"queues": {"q": {"auto_delete": True}}},
    "argument-without-x": {"queues": {"q": {"expires": 5, "own": "thing"}}},
    "several-vhosts": {
        "users": {"app": {}, "other": {}},
        "permissions": {"app": (".*", ".*", ".*")},
        "exchanges": {"orders": "topic"},
        "second": {
            "permissions": {"app": ("", "", ".*"), "other": (".*", "", "")},
            "queues": {"q": _queue(queue_type="quorum")},
        },
    },
    "many": {
        "exchanges": {f"exchange.{number}": "topic" for number in range(20)},
        "queues": {f"queue.{number:03}": _queue(max_length=number) if number % 3 else {} for number in range(60)},
        "bindings": [(f"exchange.{number % 20}", f"queue.{number:03}", f"key.{number}.#") for number in range(60)],
    },
}


OF_SOME_VERSIONS: Final[Mapping[str, tuple[tuple[int, int], tuple[int, int], Case]]] = {
    "mirrored": (
        (3, 8),
        (4, 0),
        {"queues": {"q": {}}, "policies": {"ha": ("^q$", "queues", {"ha-mode": "all", "ha-sync-mode": "automatic"})}},
    ),
    "transient-queue": ((3, 8), (5, 0), {"queues": {"q": {"durable": False}}}),
    "policies-by-queue-type": (
        (3, 12),
        (5, 0),
        {
            "queues": {"c": {}, "q": _queue(queue_type="quorum"), "s": _queue(queue_type="stream")},
            "policies": {
                "of-classic": (".*", "classic_queues", {"max-length": 5}),
                "of-quorum": (".*", "quorum_queues", {"delivery-limit": 5}),
                "of-streams": (".*", "streams", {"max-age": "7D"}),
            },
        },
    ),
    "old-queue-version": ((3, 10), (4, 3), {"queues": {"q": _queue(queue_version=1)}}),
}
"""What only brokers from one version on and before another one take."""


PLUGINS: Final = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_federation",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_shovel",
)
OF_PLUGINS: Final[Case] = {
    "exchanges": {
        "shards": ("x-consistent-hash", {"arguments": {"hash-header": "id"}}),
        "any": "x-random",
        "last": ("x-recent-history", {"arguments": {"x-recent-history-length": 5}}),
    },
    "queues": {"q": {}, "moved": {}},
    "bindings": [("shards", "q", "10"), ("any", "q"), ("last", "q")],
    "policies": {"federate": ("^fed$", "exchanges", {"federation-upstream-set": "all"})},
    "parameters": [
        (
            "shovel",
            "move",
            {
                "src-protocol": "amqp091",
                "src-uri": "amqp://somebody:hidden@127.0.0.1:1",
                "src-queue": "q",
                "dest-protocol": "amqp091",
                "dest-uri": ["amqp://127.0.0.1:1", "amqp://somebody:hidden2@127.0.0.1:2"],
                "dest-queue": "moved",
            },
        ),
        ("federation-upstream", "east", {"uri": "amqps://somebody:hidden3@127.0.0.1:3", "expires": 3_600_000}),
        ("federation-upstream-set", "both", [{"upstream": "east"}]),
    ],
}
"""What only plug-ins have."""


def definitions(case: Case, vhost: str) -> dict[str, list[dict[str, Any]]]:
    """A definitions file of a case, in a vhost; what it calls second lies in another one."""
    lists: dict[str, list[dict[str, Any]]] = {
        category: []
        for category in (
            *("users", "vhosts", "permissions", "topic_permissions", "parameters", "policies"),
            *("exchanges", "queues", "bindings"),
        )
    }
    for name, user in case.get("users", {}).items():
        hashed = {
            "password_hash": _SHA256,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
            "limits": {},
        }
        lists["users"].append(hashed | {"name": f"{vhost}-{name}"} | user)
    _add(lists, case, vhost, vhost)
    if "second" in case:
        _add(lists, case["second"], f"{vhost}-second", vhost)
    return lists


def _add(lists: dict[str, list[dict[str, Any]]], case: Case, vhost: str, prefix: str) -> None:
    within = {"vhost": vhost}
    settings = case.get("vhost", {})
    lists["vhosts"].append({"name": vhost, "metadata": {"description": "", "tags": []} | settings} | settings)
    for user, (configure, write, read) in case.get("permissions", {}).items():
        rights = {"configure": configure, "write": write, "read": read}
        lists["permissions"].append({"user": f"{prefix}-{user}", **within, **rights})
    for user, exchange, write, read in case.get("topic_permissions", ()):
        topic = {"user": f"{prefix}-{user}", "exchange": exchange, "write": write, "read": read}
        lists["topic_permissions"].append(topic | within)
    if "limits" in case:
        lists["parameters"].append(within | {"component": "vhost-limits", "name": "limits", "value": case["limits"]})
    for component, name, value in case.get("parameters", ()):
        lists["parameters"].append(within | {"component": component, "name": name, "value": value})
    for name, (pattern, target, definition, *priority) in case.get("policies", {}).items():
        policy = {"name": name, "pattern": pattern, "apply-to": target, "definition": definition}
        lists["policies"].append(policy | within | {"priority": priority[0] if priority else 0})
    for name, given in case.get("exchanges", {}).items():
        kind, settings = (given, {}) if isinstance(given, str) else given
        plain = {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        lists["exchanges"].append({"name": name, "type": kind} | within | plain | settings)
    for name, given in case.get("queues", {}).items():
        arguments = {key: value for key, value in given.items() if key not in {"auto_delete", "durable"}}
        settings = {"durable": given.get("durable", True), "auto_delete": given.get("auto_delete", False)}
        arguments = {"x-queue-type": "classic"} | arguments
        lists["queues"].append({"name": name} | within | settings | {"arguments": arguments})
    for source, to, *rest in case.get("bindings", ()):
        kind, destination = ("queue", to) if isinstance(to, str) else to
        key = rest[0] if rest else ""
        arguments = rest[1] if len(rest) > 1 else {}
        ends = {"source": source, "destination": destination, "destination_type": kind}
        lists["bindings"].append(ends | within | {"routing_key": key, "arguments": arguments})
