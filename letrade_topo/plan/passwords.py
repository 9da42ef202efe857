"""Desired passwords against stored hashes.

RabbitMQ's hash begins with its salt, so whether a password is the stored one can be told without asking
the broker, and an unchanged password is never written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from letrade_topo.broker.objects import Address, User
from letrade_topo.broker.passwords import HASHING_ALGORITHM, can_match, hash_password, matches, parse_hash
from letrade_topo.broker.state import LiveState
from letrade_topo.errors import TopoError
from letrade_topo.expand.desired import Desired, DesiredState, Notice
from letrade_topo.model.security import SecretReference
from letrade_topo.plan.change import Change
from letrade_topo.plan.guards import GuardRefusal


class UnusableHash(TopoError):
    """What a `password_hash` leads to is no hash."""


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
        secrets: what the references resolve to; of unmanaged passwords only those that could be read.
        make_salt: four random bytes.

    Raises:
        UnusableHash: a hash that was read cannot be one.
    """
    settled: dict[Address, Desired] = {}
    for address, one in desired.objects.items():
        user = one.object
        if isinstance(user, User):
            stored = live.objects.get(address)
            found = stored if isinstance(stored, User) else None
            one = replace(one, object=_settle(user, found, secrets, make_salt))
        settled[address] = one
    return replace(desired, objects=settled)


def without_password(changes: Iterable[Change]) -> tuple[GuardRefusal, ...]:
    """Refuse to make users of whom nobody says which password they shall have."""
    made = ((one.address, one.after) for one in changes if one.before is None)
    why = (
        "it is not on the broker, its password is somebody else's business (`password: unmanaged`), and nothing says "
        "with which one to make it: make it by hand, or add a `password_hash` that can be read"
    )
    return tuple(
        GuardRefusal(address, why, "")
        for address, user in made
        if isinstance(user, User) and user.is_password_unmanaged and not user.password_hash
    )


def hash_notices(desired: DesiredState) -> Iterator[Notice]:
    """Hashes that were given and that no password has: placeholders, more often than not."""
    for one in desired.objects.values():
        user = one.object
        if not isinstance(user, User) or not user.is_hash or not user.password_hash:
            continue
        if not can_match(user.password_hash, user.hashing_algorithm):
            text = f"{user.address}: no password has the hash at {user.password}: nobody can log in with one"
            yield Notice("password-hash", text, (*one.path, "password_hash"))


def _settle(
    user: User, stored: User | None, secrets: Mapping[SecretReference, str], make_salt: Callable[[], bytes]
) -> User:
    if user.is_password_unmanaged and stored is not None:
        return replace(user, password_hash=stored.password_hash, hashing_algorithm=stored.hashing_algorithm)
    if user.password is None or (user.is_password_unmanaged and user.password not in secrets):
        return user
    secret = secrets[user.password]
    if user.is_hash:
        try:
            found, algorithm = parse_hash(secret, user.hashed_by)
        except ValueError as error:
            raise UnusableHash(
                f"the password hash of user {user.name!r} ({user.password}) cannot be used",
                why=str(error),
                fix="write ALGORITHM:HASH as in the broker's definitions export, for example "
                "rabbit_password_hashing_sha256:BASE64; a password itself stands under `password`",
            ) from None
        return replace(user, password_hash=found, hashing_algorithm=algorithm)
    if stored is not None and matches(secret, stored.password_hash, stored.hashing_algorithm):
        return replace(user, password_hash=stored.password_hash, hashing_algorithm=stored.hashing_algorithm)
    return replace(user, password_hash=hash_password(secret, make_salt()), hashing_algorithm=HASHING_ALGORITHM)
