"""Each column of the table of capabilities, shown by a real broker of each version that is tested."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from letrade_topo.broker.capabilities import Capabilities, for_version
from tests.brokers import RunningBroker

pytestmark = pytest.mark.broker

QUORUM = {"durable": True, "arguments": {"x-queue-type": "quorum"}}


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks one broker, in a vhost of its own."""

    broker: RunningBroker
    vhost: str

    def status(self, method: str, path: str, body: object = None) -> int:
        """Of the answer to a call, below `/api`; `V` is the vhost."""
        return self.broker.api(method, f"/api/{path.replace('V', self.vhost)}", json=body).status_code

    def takes(self, method: str, path: str, body: object = None) -> bool:
        """Whether the broker does what is asked; what breaks for another reason is no answer."""
        status = self.status(method, path, body)
        assert status < 300 or status in {400, 404, 405, 413}, status
        return status < 300

    def takes_policy(self, definition: dict[str, object], apply_to: str = "queues") -> bool:
        """Whether it takes a policy."""
        body = {"pattern": "^x$", "definition": definition, "apply-to": apply_to}
        return self.takes("PUT", "policies/V/p", body)

    def connected(self, username: str, password: str) -> pika.BlockingConnection:
        """A connection."""
        context = ssl.create_default_context(cafile=str(self.broker.ca_file))
        parameters = pika.ConnectionParameters(
            "127.0.0.1",
            self.broker.amqps_port,
            self.vhost,
            pika.PlainCredentials(username, password),
            ssl_options=pika.SSLOptions(context, "127.0.0.1"),
        )
        return pika.BlockingConnection(parameters)

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """With confirms, and a quorum queue `q`."""
        with self.connected(self.broker.username, self.broker.password) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
            yield channel

    def has(self, path: str) -> bool:
        """Whether there is such a path."""
        return self.status("GET", path) < 400


@pytest.fixture
def probe(broker: RunningBroker, vhost_name: str) -> Iterator[Probe]:
    """In a vhost of its own."""
    probe = Probe(broker, vhost_name)
    assert probe.takes("PUT", "vhosts/V")
    yield probe
    probe.status("DELETE", "vhosts/V/deletion/protection")


def delivery_limit(probe: Probe) -> int | None:
    """How often a message is given back before it is dropped; far beyond any default: never."""
    with probe.channel() as channel:
        channel.basic_publish("", "q", b"x")
        for returned in range(30):
            method = next((found for found, _, _ in (channel.basic_get("q") for _ in range(100)) if found), None)
            if method is None:
                return returned - 1
            channel.basic_reject(method.delivery_tag, requeue=True)
    return None


def priority_levels(probe: Probe) -> int:
    """By the order in which messages come out that went in the other way round."""
    order = b""
    with probe.channel() as channel:
        for priority in (0, 4, 5, 31):
            channel.basic_publish("", "q", bytes((priority,)), pika.BasicProperties(priority=priority))
        while len(order) < 4:
            _, _, body = channel.basic_get("q", auto_ack=True)
            order += body or b""
    orders = {(0, 4, 5, 31): 0, (5, 0, 31, 4): 2, (5, 31, 0, 4): 2, (31, 5, 4, 0): 32}
    return {bytes(one): levels for one, levels in orders.items()}[order]


def longest_pattern(probe: Probe) -> int | None:
    """Of a permission, a topic permission and a policy: all the same."""
    user = f"permissions/V/{probe.broker.username}"
    topic = f"topic-permissions/V/{probe.broker.username}"

    def takes(pattern: str) -> set[bool]:
        return {
            probe.takes("PUT", user, {"configure": ".*", "write": ".*", "read": f".*|{pattern[3:]}"}),
            probe.takes("PUT", topic, {"exchange": "amq.topic", "write": pattern, "read": ".*"}),
            probe.takes("PUT", "policies/V/p", {"pattern": pattern, "definition": {"max-length": 1}}),
        }

    assert takes("é" * 512) == {True}
    (longer,) = takes("x" * 1_025)
    return None if longer else 1_024


def longest_binding(probe: Probe) -> int | None:
    """The body of a call about one binding."""
    probe.takes("PUT", "queues/V/q", QUORUM)

    def takes(length: int) -> bool:
        frame = len('{"routing_key":"","arguments":{"a":""}}')
        text = '{"routing_key":"","arguments":{"a":"%s"}}' % ("x" * (length - frame))
        answer = probe.broker.api(
            "POST",
            f"/api/bindings/{probe.vhost}/e/amq.headers/q/q",
            data=text,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code in {201, 400, 413}, answer.text
        return answer.status_code == 201

    assert takes(4_999)
    return None if takes(5_001) else 5_000


def wildcards(probe: Probe) -> int | None:
    """Of one topic binding."""
    probe.takes("PUT", "queues/V/q", QUORUM)
    assert probe.takes("POST", "bindings/V/e/amq.topic/q/q", {"routing_key": "#.a.#"})
    return None if probe.takes("POST", "bindings/V/e/amq.topic/q/q", {"routing_key": "#.a.#.b.#"}) else 2


def topic_permissions_go(probe: Probe) -> bool:
    """With their exchange; before 4.3 that may also be a matter of which store the broker has."""
    probe.takes("PUT", "exchanges/V/x", {"type": "topic"})
    body = {"exchange": "x", "write": "^a$", "read": ""}
    assert probe.takes("PUT", f"topic-permissions/V/{probe.broker.username}", body)
    probe.takes("DELETE", "exchanges/V/x")
    gone = not probe.broker.api("GET", f"/api/vhosts/{probe.vhost}/topic-permissions").json()
    flags = {one["name"]: one["state"] for one in probe.broker.api("GET", "/api/feature-flags").json()}
    assert gone == (flags.get("khepri_db") == "enabled")
    return "khepri_db" in flags and probe.broker.version_numbers >= (4,)


def has_etag(probe: Probe) -> bool:
    """The definitions, and a conditional call is answered without them."""
    tag = probe.broker.api("GET", "/api/definitions").headers.get("ETag")
    if tag is None:
        return False
    return probe.broker.api("HEAD", "/api/definitions", headers={"If-None-Match": tag}).status_code == 304


def tells_numbers_apart(probe: Probe) -> bool:
    """1 and 1.0, in a header."""
    probe.takes("PUT", "queues/V/q", QUORUM)
    assert probe.takes("POST", "bindings/V/e/amq.headers/q/q", {"arguments": {"k": 1}})
    body = {"properties": {"headers": {"k": 1.0}}, "routing_key": "", "payload": "", "payload_encoding": "string"}
    published = probe.broker.api("POST", f"/api/exchanges/{probe.vhost}/amq.headers/publish", json=body)
    return published.json()["routed"] is False


def hides_queues(probe: Probe) -> bool:
    """From a user who may do nothing: a queue that is not there."""
    user = f"{probe.vhost}-nobody"
    assert probe.broker.api("PUT", f"/api/users/{user}", json={"password": "nothing", "tags": ""}).ok
    assert probe.takes("PUT", f"permissions/V/{user}", {"configure": "", "write": "", "read": ""})
    try:
        with probe.connected(user, "nothing") as connection, pytest.raises(ChannelClosedByBroker) as closed:
            connection.channel().queue_declare("absent", passive=True)
    finally:
        probe.broker.api("DELETE", f"/api/users/{user}")
    return bool(closed.value.reply_code == 403)


SHOWN: dict[str, Callable[[Probe], object]] = {
    "unlimited_delivery_limit": lambda probe: probe.takes_policy({"delivery-limit": -1}),
    "default_delivery_limit": delivery_limit,
    "quorum_priority_levels": priority_levels,
    "policy_queue_types": lambda probe: probe.takes_policy({"max-length": 1}, "quorum_queues"),
    "delayed_retry": lambda probe: probe.takes_policy({"delayed-retry-type": "all", "delayed-retry-min": 1}),
    "vhost_deletion_protection": lambda probe: probe.takes("POST", "vhosts/V/deletion/protection"),
    "max_binding_body_bytes": longest_binding,
    "max_pattern_bytes": longest_pattern,
    "leaders_checked": lambda probe: probe.has("health/checks/quorum-queues-without-elected-leaders/vhost/V"),
    "topic_permissions_may_go": topic_permissions_go,
    "max_multi_wildcards": wildcards,
    "definitions_etag": has_etag,
    "header_numbers_typed": tells_numbers_apart,
    "hides_queues": hides_queues,
}


def test_every_column_is_shown() -> None:
    """A column that is added here gets its proof."""
    assert {field.name for field in fields(Capabilities)} == {"series", *SHOWN}


@pytest.mark.parametrize("column", SHOWN)
def test_the_broker_is_as_the_table_says(probe: Probe, column: str) -> None:
    """Of its own version."""
    assert SHOWN[column](probe) == getattr(for_version(probe.broker.version), column)
