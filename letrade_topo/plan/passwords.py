"""Desired passwords against stored hashes.

RabbitMQ's hash begins with its salt, so whether a password is the stored one can be told without asking
the broker, and an unchanged password is never written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from letrade_topo.broker.objects import Address, User
from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password, matches
from letrade_topo.broker.state import LiveState
from letrade_topo.expand.desired import Desired, DesiredState
from letrade_topo.model.security import SecretReference


def settle_passwords(
    desired: DesiredState,
    live: LiveState,
    secrets: Mapping[SecretReference, str],
    make_salt: Callable[[], bytes],
) -> DesiredState:
    """Give every desired user the hash that it should have.

    Args:
        desired: users with references.
        live: users with stored hashes.
        secrets: what the references resolve to.
        make_salt: four random bytes.
    """
    settled: dict[Address, Desired] = {}
    for address, one in desired.objects.items():
        user = one.object
        if isinstance(user, User) and user.password is not None:
            stored = live.objects.get(address)
            one = replace(one, object=_settle(user, stored, secrets[user.password], make_salt))
        settled[address] = one
    return replace(desired, objects=settled)


def _settle(user: User, stored: object, plain: str, make_salt: Callable[[], bytes]) -> User:
    if isinstance(stored, User) and matches(plain, stored.password_hash, stored.hashing_algorithm):
        return replace(user, password_hash=stored.password_hash, hashing_algorithm=stored.hashing_algorithm)
    return replace(user, password_hash=hash_password(plain, make_salt()), hashing_algorithm=HASHING_ALGORITHM)
