"""Secrets from where references point: the environment or files. The only place that reads them; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from letrade_topo.errors import TopoError

if TYPE_CHECKING:
    from letrade_topo.model.security import SecretReference


class MissingSecret(TopoError):
    """A secret that is referred to cannot be read."""


def resolve(references: Iterable[SecretReference], environment: Mapping[str, str]) -> dict[SecretReference, str]:
    """Read every secret.

    Raises:
        MissingSecret: with all that are missing, not the first alone.
    """
    found: dict[SecretReference, str] = {}
    missing: list[str] = []
    for reference in references:
        try:
            found[reference] = _read(reference, environment)
        except MissingSecret as error:
            missing.append(f"{error.what}{f' ({error.why})' if error.why else ''}")
    if missing:
        raise MissingSecret(
            missing[0] if len(missing) == 1 else f"{len(missing)} secrets cannot be read",
            why="" if len(missing) == 1 else "\n  ".join(missing),
            fix="set the variable or write the file that the topology names under `password`",
        )
    return found


def read_secret_file(path: Path, named_by: str) -> str:
    """The content of a file without the line end behind it.

    Raises:
        MissingSecret: it cannot be read or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text"
        raise MissingSecret(f"cannot read the secret file {path}, named by {named_by}", why=why) from None
    if not secret:
        raise MissingSecret(f"the secret file {path}, named by {named_by}, is empty")
    return secret


def no_passphrase() -> str:
    """The password of `load_cert_chain`: a key that needs one is refused instead of asked for on a terminal.

    Raises:
        ValueError: always.
    """
    raise ValueError("the private key has a passphrase")


def _read(reference: SecretReference, environment: Mapping[str, str]) -> str:
    if reference.source == "file":
        return read_secret_file(Path(reference.name), "the topology")
    secret = environment.get(reference.name)
    if not secret:
        raise MissingSecret(f"the environment variable {reference.name}, named by the topology, is not set")
    return secret
