"""Topologies of a wanted size, shaped like Letrade's: services that publish message types to each other,
each type with a JSON Schema, each consumed through a durable queue with its retry ladder.

A queue brings ten objects on the broker: itself, `<queue>.rejected`, three delays, and a binding for each.
What is missing to the wanted number is filled up with bindings. Pure: the same arguments give the same text.
"""

from __future__ import annotations

import sys
from pathlib import Path

from letrade_topo.broker.capabilities import for_version
from letrade_topo.expand.expansion import expand
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources

QUEUES_PER_SERVICE = 10
OBJECTS_PER_QUEUE = 10
OBJECTS_PER_SERVICE = 5
"""The user, its permission, and its topic permissions on the exchanges of events, retries and dead letters."""

_HEAD = """\
# {objects} objects on a RabbitMQ {version}; made by bench/topology.py
topology: 1
name: {name}
vhost: {vhost}
ownership: exclusive

retry: {{max_retries: {retries}, delay: 5s, multiplier: 2}}
dead_letter: {{exchange: letrade.dlq, queue: letrade.dlq, retry_exchange: letrade.retry}}

security:
  tls: {{required: true, client_certificates: true}}

exchanges:
  {name}.events: {{type: topic}}
"""

_MESSAGE = """\
  {key}:
    description: item {number} was filled, wholly or in part
    exchange: {name}.events
    priority: {priority}
    lifetime: 24h
    sensitive: [/amount]
    schema:
      type: object
      required: [order_id, symbol, amount, status, timestamp]
      properties:
        order_id:  {{type: string, minLength: 1}}
        symbol:    {{type: string, minLength: 1}}
        amount:    {{type: number, exclusiveMinimum: 0}}
        price:     {{type: number, minimum: 0}}
        status:    {{enum: [open, partially_filled, filled, canceled]}}
        timestamp: {{type: string, format: date-time}}
"""


def letrade_like(
    objects: int, version: str, *, name: str = "bench", vhost: str | None = None, retries: int = 3, prefix: str = ""
) -> str:
    """The text of a topology file.

    Args:
        objects: how many objects it shall expand to, the vhost counted; 60 at least.
        version: of the broker; versions differ in the policies that they need.
        name: of the topology, first part of the names of its exchanges and users.
        vhost: None for the topology's name.
        retries: delays of each queue. With fewer than three there are more queues of fewer objects.
        prefix: put before the second half of the queues' names, so that two topologies of different
            prefixes share half of their queues.

    Raises:
        ValueError: so few objects are not possible.
    """
    per_queue = OBJECTS_PER_QUEUE - 2 * (3 - retries)
    per_service = per_queue * QUEUES_PER_SERVICE + OBJECTS_PER_SERVICE
    queues = max(1, objects * QUEUES_PER_SERVICE // per_service)
    while queues:
        text = _text(objects, version, name, vhost or name, retries, prefix, queues, 0)
        missing = objects - _count(text, version)
        if missing >= 0:
            return _text(objects, version, name, vhost or name, retries, prefix, queues, missing)
        queues -= 1
    raise ValueError(f"{objects} objects are too few")


def _count(text: str, version: str) -> int:
    loaded = load_sources([SourceText("topology.yaml", Path(), text)])
    return len(expand(loaded.topology, for_version(version)).objects)


def _text(
    objects: int, version: str, name: str, vhost: str, retries: int, prefix: str, queues: int, bindings: int
) -> str:
    lines = [_HEAD.format(objects=objects, version=version, name=name, vhost=vhost, retries=retries)]
    services = -(-queues // QUEUES_PER_SERVICE)
    keys = [_key(number) for number in range(queues)]
    lines.append("\nservices:\n")
    for service in range(services):
        published = ", ".join(_of_service((service + 1) % services, keys))
        consumed = ", ".join(_of_service(service, keys))
        lines.append(
            f"  {name}_{service:03}:\n    description: handles what service {(service - 1) % services:03} does\n"
            f"    publishes: [{published}]\n    consumes: [{consumed}]\n"
        )
    lines.append("\nqueues:\n")
    for number, key in enumerate(keys):
        service = number // QUEUES_PER_SERVICE
        renamed = prefix if number >= queues // 2 else ""
        lines.append(f"  {name}_{service:03}.{renamed}{key}: {{service: {name}_{service:03}, messages: [{key}]}}\n")
    lines.append("\nmessages:\n")
    for number, key in enumerate(keys):
        priority = "high" if number % 4 == 0 else "normal"
        lines.append(_MESSAGE.format(name=name, key=key, number=number, priority=priority))
    if bindings:
        lines.append("\nbindings:\n")
        lines += [
            f"  - {{source: {name}.events, queue: letrade.dlq, routing_key: audit.item_{number:05}}}\n"
            for number in range(bindings)
        ]
    return "".join(lines)


def _key(number: int) -> str:
    return f"events.item_{number:05}"


def _of_service(service: int, keys: list[str]) -> list[str]:
    return keys[service * QUEUES_PER_SERVICE : (service + 1) * QUEUES_PER_SERVICE]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m bench.topology OBJECTS RABBITMQ_VERSION   (for example 1000 3.10.8)")
    sys.stdout.write(letrade_like(int(sys.argv[1]), sys.argv[2]))
