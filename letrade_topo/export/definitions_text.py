"""What `apply` would make of topologies, as a definitions file that RabbitMQ imports. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from letrade_topo.broker.objects import (
    BrokerObject,
    GlobalParameter,
    OperatorPolicy,
    Parameter,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.management.definition import category_of, definition_of
from letrade_topo.model.messages import Json

_LISTS = (
    *("vhosts", "users", "permissions", "topic_permissions"),
    *("global_parameters", "parameters", "policies", "exchanges", "queues", "bindings"),
)


def definitions_text(vhosts: Mapping[str, Iterable[BrokerObject]], version: str = "") -> str:
    """The file.

    Args:
        vhosts: the objects of each vhost, users with their hashes among them; users may occur in several.
        version: of RabbitMQ, which says how new a broker has to be; left out if empty.
    """
    document: dict[str, Any] = {"rabbitmq_version": version} if version else {}
    document |= {category: [] for category in _LISTS}
    users: dict[str, dict[str, Json]] = {}
    globals_: dict[str, dict[str, Json]] = {}
    for name, things in vhosts.items():
        limits: dict[str, Json] = {}
        vhost: dict[str, Json] = {"name": name}
        document["vhosts"].append(vhost)
        for thing in things:
            match thing:
                case Vhost():
                    vhost |= {key: value for key, value in thing.attributes.items() if key != "protected"}
                case VhostLimit():
                    limits[thing.name] = thing.value
                case User():
                    users.setdefault(thing.name, {"limits": {}}).update(definition_of(thing, name))
                case UserLimit():
                    of_user = users.setdefault(thing.user, {"limits": {}})["limits"]
                    assert isinstance(of_user, dict)  # noqa: S101  # made above
                    of_user[thing.name] = thing.value
                case OperatorPolicy():
                    document["parameters"].append(_parameter(name, "operator_policy", thing.name, thing.attributes))
                case Parameter():
                    document["parameters"].append(_parameter(name, thing.component, thing.name, thing.value))
                case GlobalParameter():
                    globals_[thing.name] = {"name": thing.name, "value": thing.value}
                case _:
                    document[category_of(thing)].append(definition_of(thing, name))
        if limits:
            document["parameters"].append(_parameter(name, "vhost-limits", "limits", limits))
    document["users"] = list(users.values())
    document["global_parameters"] = list(globals_.values())
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _parameter(vhost: str, component: str, name: str, value: Json) -> dict[str, Json]:
    return {"vhost": vhost, "component": component, "name": name, "value": value}
