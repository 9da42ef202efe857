"""How the users of an export log in: where each password or its hash is kept, and what is wrong with it. Pure.

Only what a broker can store as a hash is written as one. What stands in its place in a file, and a password in plain
text, is nobody's business but the reader's: no remark quotes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from letrade_topo.broker.objects import User, UserLimit
from letrade_topo.broker.passwords import HASHING_ALGORITHM, can_match, is_base64
from letrade_topo.export.secret_files import SecretFiles
from letrade_topo.model.security import PasswordHash
from letrade_topo.model.services import DeclaredUser

_OLD_ALGORITHM: Final = "rabbit_password_hashing_md5"


@dataclass(frozen=True, slots=True)
class Logins:
    """The users of one vhost.

    Args:
        users: as the broker or the file has them.
        passwords: those that a file has in plain text, by user.
    """

    users: tuple[User | UserLimit, ...]
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def with_password(self, declared: DeclaredUser, secrets: SecretFiles) -> DeclaredUser:
        """A user with where its password is found; one without a password stays without."""
        user = next(one for one in self._live if one.name == declared.name)
        if user.name in self.passwords:
            return replace(declared, password=secrets.keep(self.passwords[user.name], user.name, "password"))
        if not user.password_hash:
            return declared
        if secrets.are_written and is_base64(user.password_hash):
            hashed = f"{user.hashing_algorithm or HASHING_ALGORITHM}:{user.password_hash}"
            return replace(declared, password_hash=PasswordHash(secrets.keep(hashed, user.name, "hash")))
        return replace(declared, password=secrets.to_fill(user.name))

    def remarks(self, secrets: SecretFiles) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What deserves a look, each with the path of the user."""
        for user in self._live:
            text = self._remark(user, are_written=secrets.are_written)
            if text:
                yield ("users", user.name), text

    @property
    def _live(self) -> Iterator[User]:
        return (one for one in self.users if isinstance(one, User))

    def _remark(self, user: User, *, are_written: bool) -> str:
        if user.name in self.passwords:
            return (
                "Password in plain text: the file had it for everybody to read. Change it, and keep it out of version "
                "control."
            )
        if not user.password_hash:
            return ""  # which a rule says
        if not is_base64(user.password_hash):
            return (
                "No hash: what stands there in its place is not base64, a placeholder or the password itself, and "
                "RabbitMQ refuses it. Give the user a password, and change it if it stood there."
            )
        if not are_written:
            return ""  # it gets another one
        if not can_match(user.password_hash, user.hashing_algorithm):
            return (
                "Hash that no password has: nobody can log in with one. Write `password: {env: NAME}` to give it one."
            )
        if user.hashing_algorithm == _OLD_ALGORITHM:
            return (
                "Old hash: MD5, as before RabbitMQ 3.6, is quick to guess. Give the user a password anew: "
                "`password: {env: NAME}`."
            )
        return ""
