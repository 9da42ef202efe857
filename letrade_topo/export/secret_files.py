"""Where what must not stand in a topology is kept: files of their own, or variables that somebody fills. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from letrade_topo.broker.parameters import Place, without_logins
from letrade_topo.model.parameters import URI_KEYS, DeclaredParameter
from letrade_topo.model.security import SecretReference, SecretSource

FOLDER: Final = "secrets"
"""Beside the topologies."""


@dataclass(slots=True)
class SecretFiles:
    """The secrets of all topologies of one export.

    Args:
        are_written: to files; otherwise an environment variable stands in place of each.
        files: what is to be written, by its path below the folder of the topologies.
    """

    are_written: bool = True
    files: dict[str, str] = field(default_factory=dict, repr=False)

    def keep(self, content: str, name: str, ending: str) -> SecretReference:
        """Where a topology finds a secret from now on.

        Args:
            content: the secret.
            name: what it is of; two with the same name share a file only if they are the same.
            ending: of the file: `hash`, `password`, `uri`.
        """
        if not self.are_written:
            return self.to_fill(name, ending)
        stem = re.sub(r"[^A-Za-z0-9._@-]+", "-", name).strip(".-") or "secret"
        path, number, text = f"{FOLDER}/{stem}.{ending}", 1, f"{content}\n"
        while self.files.get(path, text) != text:
            number += 1
            path = f"{FOLDER}/{stem}-{number}.{ending}"
        self.files[path] = text
        return SecretReference(SecretSource.FILE, path)

    def to_fill(self, name: str, ending: str = "password") -> SecretReference:
        """The variable that somebody fills with a secret."""
        named = name if ending == "uri" else f"{name} {ending}"
        return SecretReference(SecretSource.ENVIRONMENT, variable(named))


def variable(name: str) -> str:
    """The name of an environment variable for something."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET"


def with_addresses(one: DeclaredParameter, secrets: SecretFiles) -> DeclaredParameter:
    """A shovel or an upstream whose addresses that log in somewhere are found elsewhere."""
    if not isinstance(one.value, dict):
        return one
    value, references = dict(one.value), list[tuple[Place, SecretReference]]()
    for key in sorted(URI_KEYS & value.keys()):
        stem = f"{one.component}-{one.name}-{key}"
        match value[key]:
            case str() as address if without_logins(address) != address:
                references.append(((key,), secrets.keep(address, stem, "uri")))
                value[key] = None
            case list() as addresses:
                found = [index for index, each in enumerate(addresses) if without_logins(each) != each]
                references += [
                    ((key, index), secrets.keep(str(addresses[index]), f"{stem}-{index + 1}", "uri")) for index in found
                ]
                value[key] = [None if index in found else each for index, each in enumerate(addresses)]
    return replace(one, value=value, references=tuple(references))
