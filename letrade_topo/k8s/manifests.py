"""Where the pods are in a stream of manifests: YAML nodes with their positions.

Reads only. A place that cannot be changed by inserting lines (braces, an alias, a merge key) is refused with its
position when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from letrade_topo.k8s.errors import InvalidManifest
from letrade_topo.k8s.yaml_text import TOO_DEEP, NotYaml, compose, value_of_node

_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
"""Where the pod's template is, in each kind that has pods."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A key of a mapping and its value."""

    key: yaml.Node
    value: yaml.Node


@dataclass(frozen=True, slots=True)
class Workload:
    """A manifest that has pods.

    Args:
        source: how messages call the file.
        kind, name: as written there.
        node: the manifest.
        template: what has the pod's `metadata` and `spec`.
        spec: the pod's.
        shared: `id` of each node of the manifest that stands in it more than once, by aliases.
    """

    source: str
    kind: str
    name: str
    node: yaml.MappingNode
    template: yaml.MappingNode
    spec: yaml.MappingNode
    shared: frozenset[int]

    @property
    def title(self) -> str:
        """As people and `--workload` write it."""
        return f"{self.kind}/{self.name}"


def read_workloads(text: str, source: str) -> list[Workload]:
    """All manifests of a stream that have pods, in order.

    Args:
        text: YAML documents.
        source: how messages call the file.

    Raises:
        InvalidManifest: it is no YAML, or a pod is not where its kind has it.
    """
    try:
        documents = compose(text)
    except NotYaml as error:
        if error.is_too_deep:
            raise InvalidManifest(f"{source}{error.place} is nested too deeply", why=TOO_DEEP) from None
        raise InvalidManifest(f"{source}{error.place}: {error.why}", fix="the input has to be YAML") from None
    return [found for node in documents for found in _workload(node, source)]


def place(source: str, node: yaml.Node) -> str:
    """A node's position, `FILE:LINE:COLUMN`."""
    return f"{source}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def entry(node: yaml.MappingNode, name: str, source: str) -> ManifestEntry | None:
    """A key of a mapping with its value; None when it has no such key.

    Raises:
        InvalidManifest: there is a merge key, so that nobody can tell; or the key is there twice.
    """
    found: ManifestEntry | None = None
    for key, value in node.value:
        if key.value == "<<" and key.style is None:
            raise InvalidManifest(f"{place(source, key)}: a merge key", fix="write out what it stands for")
        if key.value == name:
            if found is not None:
                raise InvalidManifest(f"{place(source, key)}: {name} is there twice", fix="remove one of the two")
            found = ManifestEntry(key, value)
    return found


def changeable(entry: ManifestEntry, source: str) -> yaml.Node:
    """The value, if lines can be put into it.

    Raises:
        InvalidManifest: it is an alias.
    """
    key, value = entry.key.end_mark, entry.value.start_mark
    if (value.line, value.column) < (key.line, key.column):
        raise InvalidManifest(f"{place(source, entry.key)}: {entry.key.value} is an alias", fix="write its value out")
    return entry.value


def require_alone(found: Workload, node: yaml.Node) -> None:
    """Refuse to change what stands elsewhere by an alias, where it would change, too.

    Raises:
        InvalidManifest: it does.
    """
    if id(node) in found.shared:
        raise InvalidManifest(
            f"{place(found.source, node)}: this stands elsewhere by an alias, and would change there, too",
            fix="write it out in both places",
        )


def is_nothing(node: yaml.Node) -> bool:
    """Whether it is null, or an empty mapping or list."""
    return node.tag.endswith(":null") if isinstance(node, yaml.ScalarNode) else not node.value


def plain(node: yaml.Node, source: str) -> Any:
    """A node's value as Python has it.

    Raises:
        InvalidManifest: it has tags or values that Kubernetes does not know either.
    """
    try:
        return value_of_node(node)
    except NotYaml as error:
        raise InvalidManifest(f"{place(source, node)}: {error.why}") from None


def _workload(node: yaml.Node, source: str) -> Iterator[Workload]:
    if not isinstance(node, yaml.MappingNode):
        if not is_nothing(node):
            raise InvalidManifest(f"{place(source, node)}: this is not a Kubernetes manifest")
        return
    kind = _text(node, "kind", source)
    if kind == "List" or (kind.endswith("List") and entry(node, "items", source)):
        raise InvalidManifest(
            f"{place(source, node)}: a list of manifests", fix="give them as documents with `---` between"
        )
    if kind not in _TEMPLATES:
        return
    template = _mapping(node, _TEMPLATES[kind], source)
    metadata = _mapping(node, ("metadata",), source)
    name = _text(metadata, "name", source) or _text(metadata, "generateName", source)
    spec = _mapping(template, ("spec",), source)
    yield Workload(source, kind, name, node, template, spec, frozenset(_shared(node)))


def _shared(root: yaml.Node) -> Iterator[int]:
    """`id` of each node that is met more than once; each is gone through once, so that a bomb of aliases is none."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            yield id(node)
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _text(node: yaml.MappingNode, name: str, source: str) -> str:
    found = entry(node, name, source)
    return str(found.value.value) if found and isinstance(found.value, yaml.ScalarNode) else ""


def _mapping(node: yaml.MappingNode, path: tuple[str, ...], source: str) -> yaml.MappingNode:
    for name in path:
        found = entry(node, name, source)
        if found is None:
            raise InvalidManifest(f"{place(source, node)}: no {name} here")
        value = changeable(found, source)
        if not isinstance(value, yaml.MappingNode):
            raise InvalidManifest(f"{place(source, value)}: {name} is not a mapping")
        node = value
    return node
