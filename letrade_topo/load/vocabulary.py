"""Words of RabbitMQ and of other tools that people write in a topology, and what is written here instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from letrade_topo.load.diagnostics import Path

_BINDING: Final = "What a queue receives is its `messages`; for other bindings write an entry of `bindings`."
_OWN: Final = "Remove the line: {} queues are made at run time, by the service that uses them."
_CONSUMER: Final = "Remove the line: this is up to the program that consumes."
_DEAD_LETTER: Final = "Write `dead_letter: {exchange: NAME}`; without it, what is rejected is retried."
_OVERFLOW: Final = "Write `guarantee: at_most_once` with `max_length`: the oldest goes when it is full. Else remove it."
_REFERENCE: Final = "Write `password: {file: PATH}` or `password: {env: NAME}`."

_QUEUE: Final[Mapping[str, str]] = {
    "ttl": "Write `message_ttl`, for example `message_ttl: 5s`.",
    "messagettl": "Write `message_ttl`, for example `message_ttl: 5s`.",
    "xmessagettl": "Write `message_ttl`, for example `message_ttl: 5s`.",
    "transient": "Write `durable: false`.",
    "autodelete": "Write `auto_delete`; `expires: 1h` deletes a queue that nobody has used for so long.",
    "exclusive": _OWN.format("exclusive"),
    "temporary": _OWN.format("temporary"),
    "exchange": _BINDING,
    "exchanges": _BINDING,
    "bindings": _BINDING,
    "binding": _BINDING,
    "bind": _BINDING,
    "routingkey": _BINDING,
    "routingkeys": _BINDING,
    "bindingkey": _BINDING,
    "key": _BINDING,
    "topics": "Write `messages`, a list of message types.",
    "consumer": "Write `service`, the name of the service that consumes.",
    "consumers": "Write `service`, the name of the one service that consumes.",
    "owner": "Write `service`, the name of the service that consumes.",
    "deadletterexchange": _DEAD_LETTER,
    "deadletterroutingkey": _DEAD_LETTER,
    "xdeadletterexchange": _DEAD_LETTER,
    "xdeadletterroutingkey": _DEAD_LETTER,
    "dlx": _DEAD_LETTER,
    "dlq": _DEAD_LETTER,
    "maxlen": "Write `max_length`.",
    "xmaxlength": "Write `max_length`.",
    "maxlengthbytes": "Write `max_length_bytes`, for example `max_length_bytes: 64MiB`.",
    "xmaxlengthbytes": "Write `max_length_bytes`, for example `max_length_bytes: 64MiB`.",
    "xexpires": "Write `expires`, for example `expires: 1h`.",
    "xqueuetype": "Write `type: quorum`, `type: classic` or `type: stream`.",
    "queuetype": "Write `type: quorum`, `type: classic` or `type: stream`.",
    "xoverflow": _OVERFLOW,
    "maxretries": "Write `retry: {max_retries: 3}`.",
    "retries": "Write `retry: {max_retries: 3}`.",
    "attempts": "Write `retry: {max_retries: 3}`.",
    "maxattempts": "Write `retry: {max_retries: 3}`.",
    "retrydelay": "Write `retry: {delay: 5s}`.",
    "delay": "Write `retry: {delay: 5s}`.",
    "deliverylimit": "Write `delivery_limit`.",
    "prefetch": _CONSUMER,
    "prefetchcount": _CONSUMER,
    "qos": _CONSUMER,
    "lazy": "Remove the line: queues keep their messages on disk.",
    "mirrored": "Remove the line: quorum queues are replicated.",
    "name": "Remove the line: the key of the entry is the name.",
    "vhost": "Remove the line: one topology is one vhost, `vhost` at the top.",
    "priority": "Write `max_priority` for a classic queue; a message type has a `priority`.",
    "enabled": "Remove the line, or the whole entry.",
}
_EXCHANGE: Final[Mapping[str, str]] = {
    "kind": "Write `type`.",
    "autodelete": "Write `auto_delete`.",
    "alternate": "Write `alternate_exchange`.",
    "ae": "Write `alternate_exchange`.",
    "delayed": "Remove the line: delays are made with `retry` and `message_ttl`.",
    "bindings": "Bindings between exchanges are entries of `bindings` at the top, with `source` and `exchange`.",
    "queues": "A queue is an entry of `queues` at the top; its `messages` are what it receives.",
    "name": "Remove the line: the key of the entry is the name.",
    "vhost": "Remove the line: one topology is one vhost, `vhost` at the top.",
}
_MESSAGE: Final[Mapping[str, str]] = {
    "ttl": "Write `lifetime`, for example `lifetime: 60s`.",
    "expiration": "Write `lifetime`, for example `lifetime: 60s`.",
    "expires": "Write `lifetime`, for example `lifetime: 60s`.",
    "routingkey": "Write `key`; without it the name of the type is the routing key.",
    "topic": "Write `key`; without it the name of the type is the routing key.",
    "payload": "Write `schema`, a JSON Schema of the payload.",
    "body": "Write `schema`, a JSON Schema of the payload.",
    "encrypted": "Write `sensitive`, a list of JSON Pointers such as `/card/number`.",
    "encrypt": "Write `sensitive`, a list of JSON Pointers such as `/card/number`.",
    "persistent": "Remove the line: every message is persistent.",
    "deliverymode": "Remove the line: every message is persistent.",
    "publisher": "Remove the line, and name the type in `publishes` of the service.",
    "publishers": "Remove the line, and name the type in `publishes` of the services.",
    "consumers": "Remove the line, and name the type in `consumes` of the services.",
    "queues": "Remove the line, and name the type in `messages` of the queues.",
}
_SERVICE: Final[Mapping[str, str]] = {
    "subscribes": "Write `consumes`.",
    "subscribe": "Write `consumes`.",
    "subscriptions": "Write `consumes`.",
    "listens": "Write `consumes`.",
    "reads": "Write `consumes`.",
    "receives": "Write `consumes`.",
    "sends": "Write `publishes`.",
    "produces": "Write `publishes`.",
    "emits": "Write `publishes`.",
    "writes": "Write `publishes`.",
    "queues": "Remove the line, and name the service in `service` of the queues.",
    "username": "Write `user`.",
    "passwordfile": _REFERENCE,
    "passwordenv": _REFERENCE,
    "secret": _REFERENCE,
    "permissions": "Remove the line: the rights of a service follow from `publishes` and `consumes`.",
    "prefetch": _CONSUMER,
    "prefetchcount": _CONSUMER,
    "maxconnections": "Write `limits: {max_connections: …}`.",
    "maxchannels": "Write `limits: {max_channels: …}`.",
    "replicas": "Remove the line: the instances of a service share its queues, however many they are.",
    "name": "Remove the line: the key of the entry is the name.",
}
_USER: Final[Mapping[str, str]] = {
    "passwordfile": _REFERENCE,
    "hash": "Write `password_hash: {file: PATH}` or `password_hash: {env: NAME}`.",
    "configure": "Write `permissions: {configure: …, write: …, read: …}`.",
    "write": "Write `permissions: {configure: …, write: …, read: …}`.",
    "read": "Write `permissions: {configure: …, write: …, read: …}`.",
    "administrator": "Write `tags: [administrator]`.",
    "tag": "Write `tags`, a list.",
    "role": "Write `tags`, a list, for example `tags: [monitoring]`.",
    "roles": "Write `tags`, a list, for example `tags: [monitoring]`.",
    "vhost": "Remove the line: one topology is one vhost, `vhost` at the top.",
    "name": "Remove the line: the key of the entry is the name.",
}
_TO: Final = "Write `queue: NAME` or `exchange: NAME`, whichever it leads to."
_IN_BINDING: Final[Mapping[str, str]] = {
    "destination": _TO,
    "destinationtype": "Remove the line: `queue` or `exchange` says it.",
    "to": _TO,
    "target": _TO,
    "from": "Write `source`.",
    "key": "Write `routing_key`.",
    "vhost": "Remove the line: one topology is one vhost, `vhost` at the top.",
}
_POLICY: Final[Mapping[str, str]] = {
    "applyto": "Write `apply_to`.",
    "name": "Remove the line: the key of the entry is the name.",
    "vhost": "Remove the line: one topology is one vhost, `vhost` at the top.",
    "maxlength": "Write it under `definition`: `definition: {max-length: …}`.",
    "operator": "Remove the line, and write the policy under `operator_policies`.",
}
_TOP: Final[Mapping[str, str]] = {
    "version": "Write `topology: 1`, the version of this format.",
    "apiversion": "Write `topology: 1`, the version of this format.",
    "include": "Give further files with --overlay FILE.",
    "includes": "Give further files with --overlay FILE.",
    "imports": "Give further files with --overlay FILE.",
    "vhosts": "Write `vhost: NAME`: one topology is one vhost.",
    "virtualhost": "Write `vhost: NAME`.",
    "virtualhosts": "Write `vhost: NAME`: one topology is one vhost.",
    "permissions": "Rights of services follow from `publishes` and `consumes`; those of others are in `users`.",
    "consumers": "Write `services`.",
    "producers": "Write `services`.",
    "applications": "Write `services`.",
    "apps": "Write `services`.",
    "topics": "Write `messages`.",
    "events": "Write `messages`.",
    "schemas": "Write the `schema` of each type under `messages`.",
    "vars": "Write `variables`.",
    "env": "Write `variables`.",
    "dlq": "Write `dead_letter`.",
    "deadletters": "Write `dead_letter`.",
    "rabbitmq": "Write `broker`.",
    "shovels": "Write `parameters: {shovel: {NAME: …}}`.",
    "federation": "Write `parameters: {federation-upstream: {NAME: …}}`.",
    "runtimeparameters": "Write `parameters`.",
    "rabbitversion": "Remove it: this file is a definitions export, and a topology has other keys.",
    "rabbitmqversion": "Remove it: this file is a definitions export, and a topology has other keys.",
    "topicpermissions": "Write them in `topic_permissions` of an entry of `users`.",
}

_BY_SECTION: Final[Mapping[str, Mapping[str, str]]] = {
    "queues": _QUEUE,
    "exchanges": _EXCHANGE,
    "messages": _MESSAGE,
    "services": _SERVICE,
    "users": _USER,
    "policies": _POLICY,
    "bindings": _IN_BINDING,
}


def letters(text: str) -> str:
    """What of a key is the same however it is spelt: `maxLength`, `max-length` and `max_length`."""
    return "".join(char for char in text.lower() if char.isascii() and char.isalnum())


def advice(path: Path) -> str | None:
    """What to do about a key that is not known where it stands, if it is a word of another tool.

    Args:
        path: of the key.
    """
    words = _TOP if len(path) == 1 else _BY_SECTION.get(str(path[0]), {}) if len(path) == 3 else {}
    return words.get(letters(str(path[-1])))
