"""A takeover rehearsed: a broker with traffic, made by hand; one policy is edited, and nothing else happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import pytest

from letrade_topo.exit_codes import ExitCode
from tests.brokers import RunningBroker
from tests.export.corpus import Case, definitions
from tests.export.test_adoption import called
from tests.node.test_start import tls_context
from tests.tool import Tool

pytestmark = pytest.mark.broker

LIMIT_SECONDS = 60.0
BY_HAND: Case = {
    "exchanges": {"orders": "topic", "orders.dlx": "fanout"},
    "queues": {
        "billing": {"x-dead-letter-exchange": "orders.dlx", "x-message-ttl": 3_600_000},
        "audit": {"x-queue-type": "quorum"},
        "dead": {},
    },
    "bindings": [("orders", "billing", "orders.#"), ("orders", "audit", "#"), ("orders.dlx", "dead")],
    "policies": {
        "bounded": ("^billing$", "queues", {"max-length": 100_000}, 1),
        "old": ("^dead$", "queues", {"max-length": 50_000}),
    },
    "limits": {"max-connections": 50},
}


@dataclass
class Traffic:
    """A publisher with confirms and a consumer, each in a thread on a connection of its own.

    Args:
        parameters: how they connect.
    """

    parameters: pika.ConnectionParameters
    published: int = 0
    consumed: list[int] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def publish(self) -> None:
        """One after the other; each counts when it is confirmed."""
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            while not self._ended.is_set():
                channel.basic_publish("orders", "orders.placed", str(self.published).encode(), mandatory=True)
                self.published += 1

    def consume(self) -> None:
        """Until the publisher has ended and everything has come."""
        with pika.BlockingConnection(self.parameters) as connection:
            channel = connection.channel()
            for method, _, body in channel.consume("billing", inactivity_timeout=0.1):
                if method is not None:
                    self.consumed.append(int(body))
                    channel.basic_ack(method.delivery_tag)
                elif self._ended.is_set() and len(self.consumed) >= self.published:
                    return

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """While it flows; afterwards it has come to rest."""
        threads = [threading.Thread(target=self._run, args=(one,)) for one in (self.publish, self.consume)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(LIMIT_SECONDS)
        assert not self.failures
        assert not any(thread.is_alive() for thread in threads)

    def goes_on(self) -> None:
        """Wait for a hundred more messages, there and back."""
        wanted = self.published + 100
        _until(lambda: len(self.consumed) >= wanted or bool(self.failures))
        assert not self.failures

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            self.failures.append(error)


def test_an_edit_changes_nothing_else(
    broker: RunningBroker, vhost_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker's own definitions differ in one policy, its connections stay, no message is lost or comes twice."""
    broker_made(broker, vhost_name)
    monkeypatch.chdir(tmp_path)
    for name, value in Tool.at(broker, tmp_path).environment.items():
        monkeypatch.setenv(name, value)
    traffic = Traffic(
        pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqps_port,
            vhost_name,
            pika.PlainCredentials(broker.username, broker.password),
            ssl_options=pika.SSLOptions(tls_context(broker), "127.0.0.1"),
        )
    )
    try:
        with traffic.flowing():
            traffic.goes_on()
            connections = connected(broker, vhost_name)
            before = own_definitions(broker, vhost_name)

            assert called("export", "-o", "found", f"--vhost={vhost_name}") == ExitCode.OK
            (file,) = map(str, Path("found").glob("*.yaml"))
            assert called("plan", file) == ExitCode.OK
            text = Path(file).read_text(encoding="utf-8")
            assert "max-length: 100000" in text
            Path(file).write_text(text.replace("max-length: 100000", "max-length: 90000"), encoding="utf-8")
            assert called("plan", file) == ExitCode.CHANGES
            assert called("apply", "--yes", file) == ExitCode.REFUSED
            assert own_definitions(broker, vhost_name) == before
            assert called("apply", "--yes", "--allow", "adopt=policy:bounded", file) == ExitCode.OK
            traffic.goes_on()

            after = own_definitions(broker, vhost_name)
            assert connected(broker, vhost_name) == connections
        (bounded,) = (one for one in before["policies"] if one["name"] == "bounded")
        bounded["definition"]["max-length"] = 90_000
        assert after == before
        assert traffic.consumed == list(range(traffic.published))
        assert called("drift", file) == ExitCode.OK
    finally:
        broker.api("DELETE", f"/api/vhosts/{vhost_name}")


def broker_made(broker: RunningBroker, vhost: str) -> None:
    """By somebody who imports a definitions file."""
    assert broker.api("POST", "/api/definitions", json=definitions(BY_HAND, vhost)).ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.api("PUT", f"/api/permissions/{vhost}/{broker.username}", json=rights).ok


def own_definitions(broker: RunningBroker, vhost: str) -> dict[str, list[Any]]:
    """What the broker says of a vhost, in one order."""
    whole = broker.api("GET", f"/api/definitions/{vhost}").json()
    lists = {key: items for key, items in whole.items() if isinstance(items, list)}
    return {key: sorted(items, key=lambda one: (one.get("name", ""), str(one))) for key, items in lists.items()}


def connected(broker: RunningBroker, vhost: str) -> set[str]:
    """The Erlang processes of the two connections, waited for: the broker tells what it counts a little later."""
    found: set[str] = set()

    def are_there() -> bool:
        lines = broker.ctl("list_connections", "vhost", "pid", "--quiet").splitlines()
        found.update(line.split()[1] for line in lines if line.split()[0] == vhost)
        return len(found) >= 2

    _until(are_there)
    return found


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
