"""A broker as people make it by hand, of any size: queues with arguments, dead letters, bindings, policies, users."""

from __future__ import annotations

from typing import Any

OBJECTS_PER_TEAM = 100
_QUEUES = 25
_EXCHANGES = 9
_BINDINGS = 60
_POLICIES = 4
_HASH = {"password_hash": "2eZ4AM8CXSMu2BmuSDwQYQJbJmeBVTFSA9UUBBfBPBMZHVhS", "tags": []}
_ANY = {"configure": ".*", "write": ".*", "read": ".*"}


def made_by_hand(objects: int, vhost: str) -> dict[str, list[dict[str, Any]]]:
    """Definitions that RabbitMQ imports.

    Args:
        objects: how many, the vhost aside; a multiple of a hundred.
        vhost: where.
    """
    made: dict[str, list[dict[str, Any]]] = {
        key: [] for key in ("users", "permissions", "policies", "exchanges", "queues", "bindings")
    }
    for team in range(objects // OBJECTS_PER_TEAM):
        _add_team(made, f"team{team:03}", vhost)
    return {"vhosts": [{"name": vhost}], **made}


def _add_team(made: dict[str, list[dict[str, Any]]], team: str, vhost: str) -> None:
    """A hundred objects: 25 queues, nine exchanges, 60 bindings, four policies, a user and its permission."""
    within = {"vhost": vhost}
    made["users"].append({"name": team, "hashing_algorithm": "rabbit_password_hashing_sha256", **_HASH})
    made["permissions"].append({"user": team, **within, **_ANY})
    for number in range(_EXCHANGES):
        kind = ("topic", "direct", "fanout")[number % 3]
        plain = {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        made["exchanges"].append({"name": f"{team}.exchange{number}", "type": kind, **within, **plain})
    for number in range(_QUEUES):
        arguments: dict[str, Any] = {"x-queue-type": "classic"}
        if number % 2:
            arguments |= {"x-dead-letter-exchange": f"{team}.exchange{number % _EXCHANGES}", "x-message-ttl": 60_000}
        settings = {"durable": True, "auto_delete": False, "arguments": arguments}
        made["queues"].append({"name": f"{team}.queue{number:02}", **within, **settings})
    for number in range(_BINDINGS):
        ends = {
            "source": f"{team}.exchange{number % _EXCHANGES}",
            "destination": f"{team}.queue{number % _QUEUES:02}",
            "destination_type": "queue",
        }
        made["bindings"].append({**ends, **within, "routing_key": f"{team}.event{number}.#", "arguments": {}})
    for number in range(_POLICIES):
        pattern = f"^{team}\\.queue{number:02}$"
        policy = {"pattern": pattern, "apply-to": "queues", "definition": {"max-length": 1_000 + number}, "priority": 1}
        made["policies"].append({"name": f"{team}.{number}", **within, **policy})
