"""The definitions of vhosts for a login that may not export them: from the listings that it may read.

In the shape of `GET /api/definitions`, and without what RabbitMQ leaves out there: exclusive queues and their bindings,
internal exchanges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from letrade_topo.broker.kinds import Kind
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight

_POLICY_KEYS = ("pattern", "apply-to", "definition", "priority")


def listed_definitions(client: ManagementClient, vhosts: Sequence[str] = ()) -> JsonObject:
    """What a login sees of vhosts.

    Args:
        client: of this login.
        vhosts: which; without any, all that it has permissions in.

    Raises:
        MissingRight: a vhost was named, and may not be read.
        BrokerError: the broker does not answer.
    """
    reach = client.reach()
    found: dict[str, Any] = {"rabbitmq_version": client.overview()["rabbitmq_version"], "vhosts": []}
    parameters = client.parameters() if reach.reads(Kind.PARAMETER) else ()
    for vhost in client.vhosts():
        name = vhost["name"]
        if vhosts and name not in vhosts:
            continue
        try:
            lists = _of_vhost(client, name)
        except MissingRight:
            if vhosts:
                raise
            continue  # who monitors sees the names of vhosts that it may not look into
        lists["parameters"] += [one for one in parameters if one.get("vhost") == name and _is_free(one)]
        found["vhosts"].append(vhost)
        for category, items in lists.items():
            found.setdefault(category, []).extend({**item, "vhost": name} for item in items)
    return found


def _of_vhost(client: ManagementClient, vhost: str) -> dict[str, list[JsonObject]]:
    def listed(read: Callable[[str], Sequence[JsonObject]], *, unless: str = "") -> list[JsonObject]:
        return [item for item in read(vhost) if item.get(unless) is not True]

    return {
        "exchanges": listed(client.exchanges, unless="internal"),
        "queues": listed(client.queues, unless="exclusive"),
        "bindings": _between_these(listed(client.bindings), listed(client.queues)),
        "policies": listed(client.policies),
        "parameters": [
            *_operator_policies(client.operator_policies(vhost)),
            *(
                {"component": "vhost-limits", "name": "limits", "value": one.get("value")}
                for one in client.vhost_limits(vhost)
            ),
        ],
    }


def _between_these(bindings: Iterable[JsonObject], queues: Iterable[JsonObject]) -> list[JsonObject]:
    """Those that do not go with the connection that an exclusive queue belongs to."""
    exclusive = {item["name"] for item in queues if item.get("exclusive") is True}
    return [one for one in bindings if one.get("destination_type") != "queue" or one["destination"] not in exclusive]


def _operator_policies(items: Iterable[JsonObject]) -> Iterator[JsonObject]:
    for item in items:
        value = {key: item[key] for key in _POLICY_KEYS if key in item}
        yield {"component": "operator_policy", "name": item["name"], "value": value}


def _is_free(parameter: JsonObject) -> bool:
    """Whether it has no listing of its own."""
    return parameter.get("component") not in {"vhost-limits", "policy", "operator_policy"}
