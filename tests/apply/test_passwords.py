"""Passwords as they are: by their hash, or as somebody else's business; and what else users may have."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import write

pytestmark = pytest.mark.broker

PASSWORD = "wie es war"


def hash_of(password: str, algorithm: str = "sha256") -> str:
    """As RabbitMQ stores it."""
    salt = b"\x05\x06\x07\x08"
    return b64encode(salt + hashlib.new(algorithm, salt + password.encode()).digest()).decode()


class UsersOnBroker:
    """A topology of users on a broker."""

    def __init__(self, broker: RunningBroker, folder: Path, name: str) -> None:
        self.broker, self.folder, self.name = broker, folder, name
        self.tool = Tool.at(broker, folder)

    @property
    def clerk(self) -> str:
        """A user of this test's own."""
        return f"{self.name}-clerk"

    def declare(self, **clerk: Any) -> None:
        """Write a topology with one user."""
        document = {
            "topology": 1,
            "name": self.name,
            "vhost": self.name,
            "security": {"tls": {"required": False}},
            "users": {self.clerk: clerk},
        }
        write(self.folder / "topology.yaml", document)

    def make(self, password: str) -> None:
        """Make the user, or give it another password, by hand."""
        body = {"password": password, "tags": "management"}
        self.broker.api("PUT", f"/api/users/{self.clerk}", json=body).raise_for_status()

    def found(self) -> dict[str, Any]:
        """The user as the broker has it."""
        found: dict[str, Any] = self.broker.api("GET", f"/api/users/{self.clerk}").json()
        return found

    def lets_in(self, password: str) -> bool:
        """Whether the user can log in."""
        url, trust = f"{self.broker.management_url}/api/whoami", str(self.broker.ca_file)
        return requests.get(url, auth=(self.clerk, password), verify=trust, timeout=30).ok


@pytest.fixture
def world(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[UsersOnBroker]:
    """An empty broker, as far as this test is concerned; its user is gone at the end."""
    made = UsersOnBroker(broker, tmp_path, vhost_name)
    yield made
    broker.api("DELETE", f"/api/users/{made.clerk}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def test_a_hash_is_the_password(world: UsersOnBroker) -> None:
    """As exported no change, and again where it was changed by hand; it is shown nowhere, and its file guarded."""
    broker, file = world.broker, world.folder / "clerk.hash"
    broker.api("PUT", f"/api/vhosts/{world.name}", json={})
    world.make(PASSWORD)
    stored = world.found()
    file.write_text(f"{stored['hashing_algorithm']}:{stored['password_hash']}\n")
    file.chmod(0o600)
    world.declare(password_hash={"file": "clerk.hash"}, tags=["management"])
    world.tool.run("plan").check(0)
    world.tool.run("apply", "--yes").check(0)

    world.make("anders")
    drift = world.tool.run("drift").check(2)
    assert "hash file:" in drift.out
    assert stored["password_hash"] not in drift.out + drift.err
    world.tool.run("apply", "--yes").check(0)
    assert world.lets_in(PASSWORD)
    assert world.found()["password_hash"] == stored["password_hash"]

    file.chmod(0o644)
    assert "clerk.hash" in world.tool.run("plan").check(65).err


@pytest.mark.parametrize("algorithm", ["sha512", "md5"])
def test_a_hash_may_stand_alone(world: UsersOnBroker, algorithm: str) -> None:
    """With its algorithm beside the reference; from a saved plan, too."""
    world.declare(password_hash={"env": "CLERK_HASH", "algorithm": algorithm}, tags=["management", "ours"])
    tool = world.tool.having(CLERK_HASH=hash_of(PASSWORD, algorithm))
    tool.run("plan", "-o", "saved.plan").check(2)
    assert hash_of(PASSWORD, algorithm) not in (world.folder / "saved.plan").read_text()

    tool.run("apply", "--yes", "saved.plan").check(0)

    assert world.lets_in(PASSWORD)
    assert set(world.found()["tags"]) == {"management", "ours"}
    tool.run("drift").check(0)


@pytest.mark.one_version
def test_what_is_no_hash_is_not_taken_for_one(world: UsersOnBroker) -> None:
    """A password in its place is an error that does not quote it; a placeholder is said to match nothing."""
    world.declare(password_hash={"env": "CLERK_HASH"})
    refused = world.tool.having(CLERK_HASH="geheim!").run("plan").check(65)
    assert "geheim!" not in refused.err
    assert "rabbit_password_hashing_sha256:BASE64" in refused.err

    told = world.tool.having(CLERK_HASH="UExBQ0VIT0xERVI=").run("plan").check(2)
    assert "no password has the hash" in told.out


def test_an_unmanaged_password_stays(world: UsersOnBroker) -> None:
    """Whatever it is and becomes, while tags change; who is not there is not made without one."""
    world.declare(password="unmanaged", tags=["management"])
    refused = world.tool.run("apply", "--yes").check(77)
    assert "password_hash" in refused.out + refused.err

    world.make(PASSWORD)
    world.tool.run("apply", "--yes").check(0)
    world.make("anders")
    world.tool.run("drift").check(0)
    world.declare(password="unmanaged", password_hash={"file": "not-there"}, tags=["monitoring"])
    world.tool.run("apply", "--yes").check(0)
    assert world.lets_in("anders")
    assert world.found()["tags"] == ["monitoring"]


def test_an_unmanaged_user_is_made_with_its_hash(world: UsersOnBroker) -> None:
    """Once; what it is afterwards is left alone."""
    world.declare(password="unmanaged", password_hash={"env": "CLERK_HASH"}, tags=["management"])
    tool = world.tool.having(CLERK_HASH=f"rabbit_password_hashing_sha256:{hash_of(PASSWORD)}")
    tool.run("apply", "--yes").check(0)
    assert world.lets_in(PASSWORD)

    world.make("anders")
    tool.run("drift").check(0)
    tool.run("destroy", "--yes").check(0)
    assert world.broker.api("GET", f"/api/users/{world.clerk}").status_code == 404


def test_topic_permissions_on_any_exchange(world: UsersOnBroker) -> None:
    """On the default exchange, and on one that is somebody else's; from 4.3.2 on the plan says that it is missing."""
    rules = [{"exchange": name, "write": "^a$", "read": "^$"} for name in ("", "amq.topic", "theirs")]
    world.declare(password="unmanaged", tags=["management"], topic_permissions=rules, permissions={"read": ".*"})
    world.make(PASSWORD)
    if world.broker.version_numbers >= (4, 3, 2):
        assert "'theirs'" in world.tool.run("apply", "--yes").check(77).out
        world.broker.api("PUT", f"/api/vhosts/{world.name}", json={})
        world.broker.api("PUT", f"/api/exchanges/{world.name}/theirs", json={"type": "topic"}).raise_for_status()

    world.tool.run("apply", "--yes").check(0)

    found = world.broker.api("GET", f"/api/vhosts/{world.name}/topic-permissions").json()
    assert {one["exchange"] for one in found} == {"", "amq.topic", "theirs"}
    world.tool.run("drift").check(0)
