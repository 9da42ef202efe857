"""What the wiring of a topology says of a message is what RabbitMQ does with it."""

from __future__ import annotations

import json
import random
import ssl
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import quote

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Policy, Queue
from letrade_topo.graph.wiring import Wiring, declared_wiring, live_wiring
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.reading import read_state
from letrade_topo.model.topology import DestinationType
from tests.brokers import RunningBroker
from tests.graph.random_topologies import Sent, random_messages, random_topology
from tests.management.endpoints import endpoint_of
from tests.soak.conftest import Summarise
from tests.topologies import expanded, loaded

MESSAGES = 12
"""Published in each topology."""


def test_messages_reach_the_queues_that_are_named(
    broker: RunningBroker, vhost_name: str, moments: random.Random, pytestconfig: pytest.Config, summarise: Summarise
) -> None:
    """Over every kind of exchange: wildcards, headers, exchanges bound to exchanges, alternates of both kinds."""
    count = pytestconfig.getoption("topologies")
    documents = [random_topology(number, vhost_name, moments, broker.version_numbers) for number in range(count)]
    sent = [message for document in documents for message in random_messages(document, moments, MESSAGES)]
    states = [expanded(loaded(document), broker.version) for document in documents]
    wirings = [declared_wiring(state, for_version(broker.version)) for state in states]
    _make_vhost(broker, vhost_name)
    for state in states:
        _import(broker, vhost_name, (one.object for one in state.objects.values()))
    with ManagementClient(endpoint_of(broker)) as client:
        live = live_wiring(read_state(client, vhost_name))

    reached = _publish(broker, vhost_name, sent, [name for wiring in wirings for name in wiring.queues])

    arrived = 0
    for number, message in enumerate(sent):
        declared = wirings[number // MESSAGES]
        assert _named(declared, message) == reached[number], (documents[number // MESSAGES], message)
        assert _named(live, message) == reached[number], (documents[number // MESSAGES], message)
        arrived += len(reached[number])
    assert arrived > len(sent) / 4  # else nothing was tried
    summarise("routes", broker.version, f"{count} topologies, {len(sent)} messages, {arrived} arrivals: all as named")


def _named(wiring: Wiring, message: Sent) -> set[str]:
    stops = wiring.routes.stops(message.exchange, message.key, message.headers)
    bounds = (bound for stop in stops for bound in stop.matched)
    return {bound.destination for bound in bounds if bound.destination_type == DestinationType.QUEUE}


def _make_vhost(broker: RunningBroker, vhost: str) -> None:
    assert broker.api("PUT", f"/api/vhosts/{quote(vhost, safe='')}").ok
    path = f"/api/permissions/{quote(vhost, safe='')}/{broker.username}"
    assert broker.api("PUT", path, json={"configure": ".*", "write": ".*", "read": ".*"}).ok


def _import(broker: RunningBroker, vhost: str, things: Iterable[BrokerObject]) -> None:
    """Make exchanges, queues, bindings and policies, all at once."""
    lists: dict[str, list[dict[str, object]]] = defaultdict(list)
    for thing in things:
        match thing:
            case Exchange() | Queue() | Policy():
                lists["policies" if isinstance(thing, Policy) else f"{thing.kind}s"].append(
                    {"name": thing.name, "vhost": vhost, **thing.attributes}
                )
            case Binding():
                lists["bindings"].append({"vhost": vhost, **thing.attributes})
    answer = broker.api("POST", f"/api/definitions/{quote(vhost, safe='')}", json=lists)
    assert answer.ok, answer.text


def _publish(broker: RunningBroker, vhost: str, sent: list[Sent], queues: list[str]) -> dict[int, set[str]]:
    """Publish, and take out what arrived: by the number of the message, the queues that it reached."""
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    parameters = pika.ConnectionParameters(
        "localhost",
        broker.amqps_port,
        vhost,
        pika.PlainCredentials(broker.username, broker.password),
        ssl_options=pika.SSLOptions(context, "localhost"),
    )
    reached: dict[int, set[str]] = defaultdict(set)
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for number, message in enumerate(sent):
            properties = pika.BasicProperties(headers=message.headers or None)
            channel.basic_publish(message.exchange, message.key, json.dumps(number).encode(), properties)
        for queue in queues:
            for number in _taken(channel, queue):
                reached[number].add(queue)
    return reached


def _taken(channel: BlockingChannel, queue: str) -> list[int]:
    """What is in a queue: a channel's publishes are there before its gets (AMQP 0-9-1, 4.7)."""
    taken: list[int] = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return taken
        taken.append(json.loads(body))
