"""A client of the shared broker, and a vhost that exists only for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from letrade_topo.broker.objects import User, Vhost
from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create, delete
from tests.brokers import RunningBroker
from tests.management.endpoints import endpoint_of

MakeUser = Callable[..., str]


@pytest.fixture
def client(broker: RunningBroker) -> Iterator[ManagementClient]:
    """The administrator's client of the shared broker."""
    with ManagementClient(endpoint_of(broker)) as client:
        yield client


@pytest.fixture
def vhost(client: ManagementClient, vhost_name: str) -> str:
    """An empty vhost that the administrator may do everything in."""
    create(client, vhost_name, Vhost(vhost_name))
    return vhost_name


@pytest.fixture
def make_user(client: ManagementClient, vhost_name: str) -> Iterator[MakeUser]:
    """Make a user of this test's own with tags, whose password is `secret`; its name is returned."""
    made: list[User] = []

    def make(*tags: str) -> str:
        name = f"{vhost_name}-user-{len(made)}"
        made.append(User(name, tags, hash_password("secret", b"salt"), HASHING_ALGORITHM))
        create(client, "/", made[-1])
        return name

    yield make
    for user in made:
        delete(client, "/", user)
