"""The lock on the broker: who holds it, and that it frees itself."""

from __future__ import annotations

import time

import pytest

from letrade_topo.broker.objects import Queue, Vhost
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, NotFound
from letrade_topo.management.lease import LARGEST_NONCE, Lease
from letrade_topo.management.perform import create, delete
from letrade_topo.management.reading import read_state
from tests.brokers import RunningBroker

LONG_MS = 60_000
SHORT_MS = 3_000
LOCK = "letrade-topo.lock.test"


def lease(client: ManagementClient, vhost: str, nonce: int, lease_ms: int = LONG_MS) -> Lease:
    """One holder's side of the lock."""
    return Lease(client, vhost, LOCK, lease_ms, nonce)


def exists(broker: RunningBroker, vhost: str) -> bool:
    """Whether the lock's queue is there."""
    return broker.api("GET", f"/api/queues/{vhost}/{LOCK}").status_code == 200


def kept(one: Lease, other: Lease, seconds: float) -> bool:
    """One takes it and renews it for so long, while the other tries in vain.

    False: for half a lease nothing went on here; then it may have ended by right.
    """
    begin = asked = time.monotonic()
    holds, is_lost = one.try_acquire(), False
    while holds and not is_lost and asked - begin < seconds:
        time.sleep(SHORT_MS / 1000 / 10)
        before, asked = asked, time.monotonic()
        holds, is_lost = one.renew(), other.try_acquire()
        if time.monotonic() - before > SHORT_MS / 1000 / 2:
            return False
    assert holds
    assert not is_lost
    return True


def test_one_holds_it_until_it_lets_go(client: ManagementClient, vhost: str) -> None:
    """The first gets it, others do not; the holder may ask again; when it lets go, the next one gets it."""
    one, other = lease(client, vhost, 1), lease(client, vhost, LARGEST_NONCE)

    assert one.try_acquire()
    assert not other.try_acquire()
    assert one.renew()
    assert not other.renew()
    one.release()
    assert other.try_acquire()
    assert not one.renew()


def test_it_frees_itself(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """When its holder dies, the lock is free a lease later; a holder that renews keeps it for longer."""
    one, other = lease(client, vhost, 1, SHORT_MS), lease(client, vhost, 2)
    began = time.monotonic()
    while not kept(one, other, 2 * SHORT_MS / 1000):
        assert time.monotonic() - began < 60, "this machine is too slow for so short a lease"
        one.release()
        other.release()
    died = time.monotonic()
    assert one.renew()
    while not other.try_acquire():  # asking does not prolong another's lease
        assert time.monotonic() - died < 60
        time.sleep(0.05)

    assert time.monotonic() - died > SHORT_MS / 1000 * 0.7
    assert not one.renew()
    one.release()
    assert exists(broker, vhost)  # not ours any more, so not deleted
    assert other.renew()


def test_letting_go_twice_is_no_error(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """Nothing is left behind."""
    one = lease(client, vhost, 1)
    one.try_acquire()
    one.release()
    one.release()

    assert not exists(broker, vhost)


def test_another_refusal_is_an_error(client: ManagementClient, vhost: str) -> None:
    """A limit of the vhost, say, must not look as if somebody else held the lock."""
    client.put_vhost_limit(vhost, "max-queues", 0)
    with pytest.raises(BrokerRefused, match="limit"):
        lease(client, vhost, 1).try_acquire()


def test_the_vhost_must_exist(client: ManagementClient, vhost_name: str) -> None:
    """Without one there is no lock, and no false impression of one."""
    with pytest.raises(NotFound):
        lease(client, vhost_name, 1).try_acquire()


def test_a_default_type_of_quorum_does_not_matter(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """The lock is classic and durable whatever the vhost's default queue type is."""
    delete(client, vhost, Vhost(vhost))
    body = {"default_queue_type": "quorum", "defaultqueuetype": "quorum"}
    assert broker.api("PUT", f"/api/vhosts/{vhost}", json=body).status_code == 201
    assert lease(client, vhost, 1).try_acquire()
    found = broker.api("GET", f"/api/queues/{vhost}/{LOCK}").json()

    assert (found["type"], found["durable"]) == ("classic", True)
    assert not lease(client, vhost, 2).try_acquire()


def test_the_lock_is_no_object(client: ManagementClient, vhost: str) -> None:
    """Reading live state while a run holds the lock does not show it."""
    create(client, vhost, Queue("q", arguments={"x-queue-type": "classic"}))
    lease(client, vhost, 1).try_acquire()

    assert set(read_state(client, vhost).queues) == {"q"}


@pytest.mark.parametrize("nonce", [0, -1, LARGEST_NONCE + 1])
def test_a_nonce_is_a_length(client: ManagementClient, vhost: str, nonce: int) -> None:
    """What the broker would refuse is the caller's mistake."""
    with pytest.raises(ValueError, match="nonce"):
        lease(client, vhost, nonce)
