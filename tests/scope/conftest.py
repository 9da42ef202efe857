"""Logins with exactly the tags that a test says, in a vhost that is there, as a platform team would hand them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.records import ARGUMENT
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, orders, write

PASSWORD = "secret"  # of users that live as long as a test
ALL = (".*", ".*", ".*")


@dataclass(frozen=True, slots=True)
class Place:
    """A vhost of somebody else's broker, and a folder with a topology for it.

    Args:
        broker: the broker, as its administrator sees it.
        vhost: the vhost, and the topology's name.
        folder: where `topology.yaml` is.
    """

    broker: RunningBroker
    vhost: str
    folder: Path

    @property
    def administrator(self) -> Tool:
        """The tool as the broker's administrator."""
        return Tool.at(self.broker, self.folder)

    def login(self, *tags: str, permissions: tuple[str, str, str] = ALL) -> Tool:
        """The tool as a user of these tags and permissions, made anew."""
        user = f"{self.vhost}-{'-'.join(tags) or 'none'}"
        self.ok("PUT", f"users/{user}", {"password": PASSWORD, "tags": ",".join(tags)})
        rights = dict(zip(("configure", "write", "read"), permissions, strict=True))
        self.ok("PUT", f"permissions/{self.vhost}/{user}", rights)
        return self.administrator.having(LETRADE_TOPO_USERNAME=user, LETRADE_TOPO_PASSWORD=PASSWORD)

    def declare(self, **sections: Any) -> Document:
        """Write the topology that every test begins with, with other sections."""
        document = orders(name=self.vhost, vhost=self.vhost, **sections)
        write(self.folder / "topology.yaml", document)
        return document

    def ok(self, method: str, path: str, body: object = None) -> Any:
        """Do or read something as the administrator."""
        answer = self.broker.api(method, f"/api/{path}", json=body)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def names(self, kind: str) -> set[str]:
        """The names of the vhost's exchanges, queues or policies, but the broker's own."""
        items = self.ok("GET", f"{kind}/{self.vhost}")
        return {item["name"] for item in items if item["name"] and not item["name"].startswith("amq.")}

    def records(self) -> dict[str, str | None]:
        """The exchanges of records, by number, each with its text."""
        beginning = f"letrade-topo.record.{self.vhost}."
        items = self.ok("GET", f"exchanges/{self.vhost}")
        return {
            item["name"].removeprefix(beginning): item["arguments"].get(ARGUMENT)
            for item in items
            if item["name"].startswith(beginning)
        }

    def cluster_record(self) -> dict[str, Any] | None:
        """The global parameter."""
        answer = self.broker.api("GET", f"/api/global-parameters/letrade-topo.{self.vhost}.{self.vhost}")
        return None if answer.status_code == 404 else answer.json()["value"]


@pytest.fixture
def place(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Place]:
    """A vhost; what belongs to the cluster goes at the end."""
    found = Place(broker, vhost_name, tmp_path)
    found.ok("PUT", f"vhosts/{vhost_name}", {})
    found.declare()
    yield found
    for user in broker.api("GET", "/api/users").json():
        if user["name"].startswith(f"{vhost_name}-"):
            broker.api("DELETE", f"/api/users/{user['name']}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")
