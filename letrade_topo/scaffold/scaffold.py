"""The files of a new topology: itself, its schema for editors, what git shall not keep, a pipeline's recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Final

TOPOLOGY: Final = "topology.yaml"
SCHEMA: Final = "topology.schema.json"
IGNORED: Final = ".gitignore"
PRIVATE_FOLDER: Final = ".letrade"
"""Below it lie keys, and the private broker with its password: nothing that belongs into a repository."""
KEYS: Final = f"{PRIVATE_FOLDER}/keys"

_MODELINE = f"# yaml-language-server: $schema={SCHEMA}\n"
_IGNORED_LINE = f"/{PRIVATE_FOLDER}/"
_OTHERWISE = "bus"
"""The name where that of the folder has no letter."""
_LONGEST_NAME = 63


class Template(StrEnum):
    """What a topology begins with."""

    MINIMAL = "minimal"
    REQUESTS = "requests"
    LETRADE = "letrade"


class Forge(StrEnum):
    """Whose pipelines there is a recipe for."""

    GITHUB = "github"
    GITLAB = "gitlab"


RECIPES: Final = {Forge.GITHUB: ".github/workflows/topology.yml", Forge.GITLAB: ".gitlab-ci.yml"}
"""Where each forge looks for it."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to write.

    Args:
        path: below the folder, with slashes.
        content: all of it.
    """

    path: str
    content: bytes


def new_files(template: Template, name: str, schema: str, forge: Forge | None) -> tuple[NewFile, ...]:
    """Every file but the list of what is ignored, of which there may be one already.

    Args:
        template: what the topology begins with.
        name: of the topology and its vhost; the template `letrade` has its own.
        schema: of topology files, for editors.
        forge: whose pipelines shall check and apply it.
    """
    written = _resource(f"{template}.yaml").replace("@NAME@", name)
    found = [NewFile(TOPOLOGY, (_MODELINE + written).encode()), NewFile(SCHEMA, schema.encode())]
    if forge is not None:
        found.append(NewFile(RECIPES[forge], _resource(f"{forge}.yaml").encode()))
    return tuple(found)


def ignored(existing: str) -> str:
    """The list of what git shall not keep, with what must not be kept; as it was where that is in it."""
    if {_IGNORED_LINE, f"{PRIVATE_FOLDER}/", PRIVATE_FOLDER, f"/{PRIVATE_FOLDER}"} & set(existing.splitlines()):
        return existing
    before = existing if not existing or existing.endswith("\n") else existing + "\n"
    return f"{before}{_IGNORED_LINE}\n"


def name_of(folder: str) -> str:
    """A name for the topology of a folder: lower-case letters, digits, `_` and `-`, a letter first."""
    name = re.sub(r"[^a-z0-9_]+", "-", folder.lower()).lstrip("-_0123456789")[:_LONGEST_NAME].rstrip("-_")
    return name or _OTHERWISE


def _resource(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
