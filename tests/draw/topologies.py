"""Topologies to draw: a crowded one, and one whose names are attacks."""

from __future__ import annotations

from tests.topologies import Document

EVIL = "</script><img src=x onerror=alert(1)>\"'`]]>&#x3c;-"
"""A name that would be markup where it is not escaped."""


def crowded(queues: int) -> Document:
    """Queues of twenty services, each with a type of its own; one in four services publishes for another."""
    services = [f"service{number}" for number in range(20)]
    types = {number: f"events.kind{number}.happened" for number in range(queues)}
    return {
        "topology": 1,
        "name": "crowded",
        "vhost": "crowded",
        "security": {"tls": {"client_certificates": True}},
        "exchanges": {f"x{number}": {} for number in range(4)},
        "messages": {key: {"exchange": f"x{number % 4}", "lifetime": "60s"} for number, key in types.items()},
        "services": {
            name: {
                "publishes": [types[number] for number in types if number % 20 == place],
                "consumes": [types[number] for number in types if (number + 1) % 20 == place],
            }
            for place, name in enumerate(services)
        },
        "queues": {
            f"{services[(number + 1) % 20]}.q{number}": {
                "service": services[(number + 1) % 20],
                "messages": [types[number]],
            }
            for number in range(queues)
        },
    }


def evil() -> Document:
    """Exchanges, queues and keys with such names, descriptions that are, and policies."""
    return {
        "topology": 1,
        "name": "evil",
        "vhost": EVIL,
        "exchanges": {EVIL: {"description": EVIL}, "other": {"type": "headers"}},
        "queues": {f"{EVIL}{mark}": {"type": "classic", "description": EVIL} for mark in ("", "\u2028", "\u202e", ">")},
        "bindings": [
            {"source": EVIL, "queue": EVIL, "routing_key": EVIL.replace("#", "")},
            {"source": "other", "queue": f"{EVIL}>", "arguments": {EVIL: EVIL}},
            {"source": EVIL, "exchange": "other", "routing_key": "a"},
        ],
    }
