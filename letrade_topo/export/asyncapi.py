"""A topology as an AsyncAPI 3.0 document with the AMQP bindings (0.3.0): messages, channels, who sends and receives.

A message type is a channel of the kind `routingKey`, its address the key template; a queue that holds messages is one
of the kind `queue`. The payload of a message is the whole body: the envelope around the payload of its schema. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from letrade_topo.model.messages import MessageType
from letrade_topo.model.topology import DeclaredQueue, Topology

ASYNCAPI: Final = "3.0.0"
_BINDING: Final = "0.3.0"
_PERSISTENT: Final = 2
_VARIABLE: Final = re.compile(r"\{([^}]*)\}")
_NOT_IN_A_KEY: Final = re.compile(r"[^A-Za-z0-9_-]+")


def asyncapi_text(topology: Topology) -> str:
    """The document as JSON."""
    return json.dumps(asyncapi_document(topology), indent=2, ensure_ascii=False) + "\n"


def asyncapi_document(topology: Topology, *, version: str = "1.0.0") -> dict[str, Any]:
    """The document, as JSON knows it.

    Args:
        topology: any.
        version: of the interface, which AsyncAPI wants.
    """
    keys = _keys(topology.messages)
    queues = {name: queue for name, queue in topology.queues.items() if queue.messages}
    queue_keys = _keys(queues, taken=keys.values())
    channels = {keys[name]: _key_channel(topology, message, keys) for name, message in topology.messages.items()}
    channels |= {queue_keys[name]: _queue_channel(topology, queue, keys) for name, queue in queues.items()}
    environment = f" in {topology.environment}" if topology.environment else ""
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": topology.name,
            "version": version,
            "description": f"The messages of the vhost {topology.vhost!r}{environment}.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": dict(_operations(topology, keys, queue_keys)),
        "components": {"messages": {keys[name]: _message(one) for name, one in topology.messages.items()}},
    }


def _keys(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """What stands for names where AsyncAPI takes letters, digits, `_` and `-` only; all different."""
    used = set(taken)
    keys: dict[str, str] = {}
    for name in names:
        stem = _NOT_IN_A_KEY.sub("_", name).strip("_") or "channel"
        key, number = stem, 1
        while key in used:
            number += 1
            key = f"{stem}_{number}"
        used.add(key)
        keys[name] = key
    return keys


def _key_channel(topology: Topology, message: MessageType, keys: Mapping[str, str]) -> dict[str, Any]:
    exchange = topology.exchanges[message.exchange]
    described = {
        "name": exchange.name,
        "type": str(exchange.type),
        "durable": exchange.durable,
        "autoDelete": exchange.auto_delete,
        "vhost": topology.vhost,
    }
    channel: dict[str, Any] = {
        "address": message.key.text,
        "messages": {keys[message.name]: {"$ref": f"#/components/messages/{keys[message.name]}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": described, "bindingVersion": _BINDING}},
    }
    variables = _VARIABLE.findall(message.key.text)
    if variables:
        channel["parameters"] = {name: {"description": "one word of the routing key"} for name in variables}
    return channel


def _queue_channel(topology: Topology, queue: DeclaredQueue, keys: Mapping[str, str]) -> dict[str, Any]:
    described = {
        "name": queue.name,
        "durable": queue.durable,
        "exclusive": False,
        "autoDelete": queue.auto_delete,
        "vhost": topology.vhost,
    }
    return {
        "address": queue.name,
        **({"description": queue.description} if queue.description else {}),
        "messages": {keys[name]: {"$ref": f"#/components/messages/{keys[name]}"} for name in queue.messages},
        "bindings": {"amqp": {"is": "queue", "queue": described, "bindingVersion": _BINDING}},
    }


def _operations(
    topology: Topology, keys: Mapping[str, str], queue_keys: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for service in topology.services.values():
        own = _NOT_IN_A_KEY.sub("_", service.name)
        for name in service.publishes:
            message = topology.messages[name]
            binding = {"deliveryMode": _PERSISTENT, "bindingVersion": _BINDING}
            binding |= {} if message.amqp_priority is None else {"priority": message.amqp_priority}
            yield f"{own}_sends_{keys[name]}", _operation("send", keys[name], [keys[name]], service.name, binding)
        held: set[str] = set()
        for queue in topology.queues.values():
            if queue.service == service.name and queue.messages:
                held.update(queue.messages)
                channel, messages = queue_keys[queue.name], [keys[name] for name in queue.messages]
                binding = {"ack": True, "bindingVersion": _BINDING}
                yield f"{own}_receives_{channel}", _operation("receive", channel, messages, service.name, binding)
        for name in service.consumes:
            if name not in held:  # in a queue that each instance makes for itself
                binding = {"ack": True, "bindingVersion": _BINDING}
                key = keys[name]
                yield f"{own}_receives_{key}", _operation("receive", key, [key], service.name, binding)


def _operation(
    action: str, channel: str, messages: Iterable[str], service: str, binding: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "tags": [{"name": service}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{key}"} for key in messages],
        "bindings": {"amqp": dict(binding)},
    }


def _message(message: MessageType) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        **({"summary": message.description} if message.description else {}),
        "contentType": "application/json",
        "payload": _envelope(message),
        "bindings": {"amqp": {"messageType": message.name, "bindingVersion": _BINDING}},
    }


def _envelope(message: MessageType) -> dict[str, Any]:
    payload = dict(message.schema) if message.schema is not None else {"type": "object"}
    if message.sensitive:
        payload["description"] = f"Travels encrypted: {', '.join(message.sensitive)}."
    return {
        "type": "object",
        "required": ["message_id", "timestamp", "source", "payload"],
        "properties": {
            "message_id": {"type": "string", "format": "uuid"},
            "timestamp": {"type": "string", "format": "date-time"},
            "source": {"type": "string", "description": "the service that says it"},
            "payload": payload,
        },
    }
