"""A key set as an agent uses it: its own private keys, everyone's public ones. Immutable: a new one replaces it.

Which of several keys is used is a question of time alone (`Validity`), so a rotation needs no second write:
every agent that has the files switches at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from letrade_topo.keys.folder import InvalidKeySet, private_folder, public_file, read_private, read_public
from letrade_topo.keys.jwk import InvalidKey, PrivateKey, PublicKey, Use, parse_private, parse_public
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.strict_json import NotAnObject, parse_object
from letrade_topo.model.messages import Json
from letrade_topo.model.security import JwtAlgorithm

_MANY_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one owner, and everyone's public keys.

    Args:
        owner: the service (or a mover, `replay`, `dead-letter`) whose private keys are here; None: no private keys.
        public: every public key by kid.
        signing: own private signing keys that are published, the newest first.
        decrypting: own private encryption keys that are published, by kid.
        warnings: what a person should know; for example a private key that is not published yet.
    """

    owner: str | None
    public: Mapping[str, PublicKey]
    signing: tuple[SigningKey, ...] = field(default=(), repr=False)
    decrypting: Mapping[str, PrivateKey] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    def signing_key(self, now: float) -> SigningKey | None:
        """The key to sign with: the newest that is active and not retired; None when there is none."""
        for key in self.signing:
            if self.public[key.kid].validity.is_active(now):
                return key
        return None

    def verifying_key(self, kid: str, now: float) -> PublicKey | None:
        """The public key that a token names, if it still verifies anything."""
        key = self.public.get(kid)
        if key is None or key.use is not Use.SIGNATURE or key.validity.is_forgotten(now):
            return None
        return key

    def encryption_key(self, owner: str, now: float) -> PublicKey | None:
        """The key to encrypt to for a service or for `dead-letter`: the newest that is active; None without one."""
        keys = [
            key
            for key in self.public.values()
            if key.issuer == owner and key.use is Use.ENCRYPTION and key.validity.is_active(now)
        ]
        return max(keys, key=_newest, default=None)


def load_keyset(folder: Path, owner: str | None) -> KeySet:
    """Read a key folder.

    Args:
        folder: laid out as `letrade_topo.keys.folder` says, nested or flat.
        owner: whose private keys are needed; None: nobody's.

    Raises:
        InvalidKeySet: a file is missing, others can read a private one, or a key is not what it should be.
    """
    public = load_public(folder)
    if owner is None:
        return KeySet(None, public)
    private, warnings = _load_private(private_folder(folder, owner), owner, public)
    signing = [
        SigningKey(key.kid, owner, JwtAlgorithm(key.algorithm), key.key) for key in private if key.use is Use.SIGNATURE
    ]
    signing.sort(key=lambda key: _newest(public[key.kid]), reverse=True)
    decrypting = {key.kid: key for key in private if key.use is Use.ENCRYPTION}
    return KeySet(owner, public, tuple(signing), MappingProxyType(decrypting), warnings)


def load_public(folder: Path) -> Mapping[str, PublicKey]:
    """Read the public keys alone, by kid.

    Raises:
        InvalidKeySet: the file is missing or a key in it is not what it should be.
    """
    path = public_file(folder)
    problems: list[str] = []
    keys: dict[str, PublicKey] = {}
    for index, members in enumerate(_jwks(path), start=1):
        try:
            key = parse_public(members)
            if key.kid in keys:
                raise InvalidKey("its `kid` occurs twice")
            keys[key.kid] = key
        except InvalidKey as error:
            problems.append(f"key {index}{_named(members)}: {error}")
    if problems:
        raise _invalid(path, problems)
    return MappingProxyType(keys)


def private_files(folder: Path) -> tuple[Path, ...]:
    """The files of private keys in a folder, in a stable order."""
    return tuple(sorted([*folder.glob("signing*.jwk"), *folder.glob("encryption*.jwk")]))


def read_private_key(path: Path) -> PrivateKey:
    """Read one private key.

    Raises:
        InvalidKeySet: others can read it, or it is not what it should be.
    """
    try:
        key = parse_private(parse_object(read_private(path)))
    except (NotAnObject, InvalidKey) as error:
        raise _invalid(path, [str(error)]) from None
    expected = Use.SIGNATURE if path.name.startswith("signing") else Use.ENCRYPTION
    if key.use is not expected:
        raise _invalid(path, [f"its use is {key.use.value}, and in a file of this name it is {expected.value}"])
    return key


def _load_private(
    folder: Path, owner: str, public: Mapping[str, PublicKey]
) -> tuple[Sequence[PrivateKey], tuple[str, ...]]:
    files = private_files(folder)
    if not files:
        raise InvalidKeySet(
            f"no private key of {owner!r} in {folder}",
            why="there is neither signing.jwk nor encryption.jwk",
            fix="run `letrade-topo keys init`, and give the agent its own service's folder",
        )
    keys, warnings = [], []
    for path in files:
        key = read_private_key(path)
        published = public.get(key.kid)
        if published is None:
            warnings.append(f"{path} is not used: its public key {key.kid} is not among the public keys (yet)")
            continue
        if published.key != key.key.public_key() or published.algorithm != key.algorithm:
            raise _invalid(path, [f"the public key {key.kid} is another one; the files are from different key sets"])
        if published.issuer != owner:
            raise _invalid(path, [f"it is the key of {published.issuer!r}, not of {owner!r}"])
        keys.append(key)
    if not keys:
        raise InvalidKeySet(f"no private key of {owner!r} in {folder} is published", why="\n  ".join(warnings))
    return keys, tuple(warnings)


def _jwks(path: Path) -> Iterator[Mapping[str, Json]]:
    try:
        keys = parse_object(read_public(path)).get("keys")
    except NotAnObject as error:
        raise _invalid(path, [str(error)]) from None
    if not isinstance(keys, list):
        raise _invalid(path, ["it has no list `keys` (RFC 7517, 5)"])
    for index, members in enumerate(keys, start=1):
        if not isinstance(members, dict):
            raise _invalid(path, [f"key {index} is not a JSON object"])
        yield members


def _named(members: Mapping[str, Json]) -> str:
    kid = members.get("kid")
    return f" ({kid!r})" if isinstance(kid, str) else ""


def _newest(key: PublicKey) -> tuple[int, int]:
    return key.validity.active_from or 0, key.validity.created_at


def _invalid(path: Path, problems: Iterable[str]) -> InvalidKeySet:
    lines = list(problems)
    if len(lines) > _MANY_PROBLEMS:
        lines = [*lines[:_MANY_PROBLEMS], f"and {len(lines) - _MANY_PROBLEMS} more"]
    return InvalidKeySet(f"{path} is not a valid key file", why="\n  ".join(lines))
