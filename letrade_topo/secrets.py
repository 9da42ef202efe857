"""Secrets from where references point: the environment or files. The only place that reads them; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from letrade_topo.errors import TopoError
from letrade_topo.reading import CannotRead, Trust, read_file

if TYPE_CHECKING:
    from letrade_topo.model.security import SecretReference


LARGEST_SECRET_BYTES: Final = 64 * 1024


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
            fix="set the variable or write the file that the topology names",
        )
    return found


def resolve_readable(
    references: Iterable[SecretReference], environment: Mapping[str, str]
) -> dict[SecretReference, str]:
    """Those secrets that can be read; nothing of the others."""
    found: dict[SecretReference, str] = {}
    for reference in references:
        with suppress(MissingSecret):
            found[reference] = _read(reference, environment)
    return found


class NeededSecrets(Mapping["SecretReference", str]):
    """Secrets of which some are needed, and nobody knows yet which: a login may reach only a part of a topology.

    Asking for one that cannot be read raises, with all that cannot.

    Args:
        references: of what may be needed.
        optional: of what is used if it can be read.
        environment: variables.
    """

    def __init__(
        self,
        references: Iterable[SecretReference],
        optional: Iterable[SecretReference],
        environment: Mapping[str, str],
    ) -> None:
        self._references = tuple(references)
        self._environment = environment
        self._found = resolve_readable((*self._references, *optional), environment)

    def __getitem__(self, reference: SecretReference) -> str:
        """Raises MissingSecret."""
        if reference in self._references and reference not in self._found:
            resolve(self._references, self._environment)
        return self._found[reference]

    def __contains__(self, reference: object) -> bool:
        return reference in self._found

    def __iter__(self) -> Iterator[SecretReference]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def read_secret_file(path: Path, named_by: str) -> str:
    """The content of a file without the line end behind it; a stream of this process (`<(command)`) will do.

    Raises:
        MissingSecret: it cannot be read, others can read it, or it is empty.
    """
    what = f"cannot read the secret file {path}, named by {named_by}"
    try:
        content = read_file(path, trust=Trust.SECRET, most=LARGEST_SECRET_BYTES, streams=True)
        secret = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except CannotRead as error:
        raise MissingSecret(what, why=f"{error.what}{f': {error.why}' if error.why else ''}", fix=error.fix) from None
    except UnicodeDecodeError:
        raise MissingSecret(what, why="it is not UTF-8 text") from None
    if not secret:
        raise MissingSecret(f"the secret file {path}, named by {named_by}, is empty")
    return secret


def _read(reference: SecretReference, environment: Mapping[str, str]) -> str:
    if reference.source == "file":
        return read_secret_file(Path(reference.name), "the topology")
    secret = environment.get(reference.name)
    if not secret:
        raise MissingSecret(f"the environment variable {reference.name}, named by the topology, is not set")
    return secret
