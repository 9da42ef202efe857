"""The sidecar put into a workload's manifest, or put there anew: the same input gives the same output, also twice.

Only what has to change does: comments, order and layout of everything else stay, and so do other documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import yaml

from letrade_topo.k8s.errors import InvalidManifest, UnprotectedPod
from letrade_topo.k8s.manifests import (
    Workload,
    changeable,
    entry,
    is_nothing,
    place,
    plain,
    read_workloads,
    require_alone,
)
from letrade_topo.k8s.pod_rules import Path, problems
from letrade_topo.k8s.sidecar import NAME, VOLUME_PREFIX, container, labels, quote, volumes
from letrade_topo.k8s.splice import Splice
from letrade_topo.k8s.values import Values

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_STEP = 2
"""By how much a mapping is indented that is new."""


def patch(text: str, source: str, values: Values, workload: str | None = None) -> str:
    """The manifests with the sidecar in one of them.

    Args:
        text: YAML documents.
        source: how messages call them.
        values: complete ones.
        workload: which one, `KIND/NAME`; None where only one has pods.

    Raises:
        InvalidManifest: they cannot be read, or the sidecar cannot be put in; with the position.
        UnprotectedPod: the pod is such that the agent would not protect it.
    """
    found = _choose(read_workloads(text, source), source, workload)
    _check(found, values)
    splice = Splice(text, source)
    for node in (found.node, found.template, found.spec):
        splice.require_lines(node)
        require_alone(found, node)
    _security_context(splice, found, values["securityContext"]["runAsUser"])
    _items(splice, found, "initContainers", container(values), lambda name: name == NAME)
    _items(splice, found, "volumes", volumes(values), lambda name: name.startswith(VOLUME_PREFIX))
    _metadata(splice, found, values)
    return splice.result()


def _choose(workloads: list[Workload], source: str, wanted: str | None) -> Workload:
    titles = ", ".join(one.title for one in workloads) or "none"
    chosen = [one for one in workloads if wanted is None or one.title == wanted]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        what = f"{source} has no {wanted}" if wanted else f"{source} has no manifest with pods"
        raise InvalidManifest(what, why=f"those with pods: {titles}")
    if wanted:
        raise InvalidManifest(f"{place(source, chosen[1].node)}: {wanted} is there twice")
    raise InvalidManifest(
        f"{source} has several manifests with pods", why=titles, fix="say which one with --workload KIND/NAME"
    )


def _check(found: Workload, values: Values) -> None:
    entry(found.spec, "containers", found.source)  # a merge key is refused as such, before what it brings
    spec = plain(found.spec, found.source)
    if not isinstance(spec.get("containers"), list) or not spec["containers"]:
        raise InvalidManifest(f"{place(found.source, found.spec)}: {found.title} has no containers")
    lines = [f"{place(found.source, _at(found.spec, path))}: {text}" for path, text in problems(spec, values)]
    if lines:
        raise UnprotectedPod(f"{found.title} would not be protected", why="\n  ".join(lines))


def _at(node: yaml.Node, path: Path) -> yaml.Node:
    """The node at a path, or the last one on the way that is there."""
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                return node
            node = found[0] if step == path[-1] else found[1]
    return node


def _items(splice: Splice, found: Workload, name: str, lines: list[str], is_ours: Callable[[str], bool]) -> None:
    """Put items at the head of a list of the pod's spec, in the place of those that were put there before."""
    spec, source = found.spec, found.source
    present = entry(spec, name, source)
    if present is None:
        key_column, dash_column = _columns(splice, found)
        new = [f"{' ' * key_column}{name}:", *_indented(lines, dash_column)]
        if name == "volumes":
            splice.insert_after(splice.last_line(spec), new)
        else:
            splice.insert_before(spec, _containers_key(found), new)
        return
    value = changeable(present, source)
    require_alone(found, present.value)
    splice.require_lines(value)
    dash_column = _columns(splice, found)[1]
    if is_nothing(value):
        splice.fill(present.key, value, _indented(lines, dash_column))
        return
    if isinstance(value, yaml.SequenceNode):
        dash_column = splice.dash_of(value.value[0])[1]
        for item in value.value:
            if is_ours(_name_of(item, source)):
                splice.remove_lines(splice.dash_of(item)[0], splice.last_line(item))
    else:
        raise InvalidManifest(f"{place(source, value)}: {name} is not a list")
    splice.insert_after(present.key.end_mark.line, _indented(lines, dash_column))


def _security_context(splice: Splice, found: Workload, group: int) -> None:
    """The group that may read the agent's files, unless the pod has one."""
    present = entry(found.spec, "securityContext", found.source)
    column = _columns(splice, found)[0]
    if present is None:
        new = [f"{' ' * column}securityContext:", f"{' ' * (column + _STEP)}fsGroup: {group}"]
        splice.insert_before(found.spec, _containers_key(found), new)
        return
    value = changeable(present, found.source)
    if is_nothing(value):
        splice.fill(present.key, value, [f"{' ' * (column + _STEP)}fsGroup: {group}"])
    elif not isinstance(value, yaml.MappingNode):
        raise InvalidManifest(f"{place(found.source, value)}: securityContext is not a mapping")
    elif entry(value, "fsGroup", found.source) is None:
        require_alone(found, present.value)
        if value.flow_style:
            splice.open_braces(value, f"fsGroup: {group}, ")
        else:
            line = f"{' ' * _column(value)}fsGroup: {group}"
            splice.insert_after(present.key.end_mark.line, [line])


def _metadata(splice: Splice, found: Workload, values: Values) -> None:
    default = str(plain(found.spec, found.source)["containers"][0].get("name", ""))
    annotations = {DEFAULT_CONTAINER: quote(default)}
    present = entry(found.template, "metadata", found.source)
    column = _column(found.template)
    if present is not None and not is_nothing(present.value):
        metadata = changeable(present, found.source)
        require_alone(found, present.value)
        if not isinstance(metadata, yaml.MappingNode):
            raise InvalidManifest(f"{place(found.source, metadata)}: metadata is not a mapping")
        # labels first: both may be put in at the end of one line
        _texts(splice, found, metadata, "labels", labels(values), overwrite=True)
        _texts(splice, found, metadata, "annotations", annotations, overwrite=False)
        return
    lines = _texts_lines("labels", labels(values)) + _texts_lines("annotations", annotations)
    if present is not None:
        splice.fill(present.key, present.value, _indented(lines, column + _STEP))
        return
    spec = entry(found.template, "spec", found.source)
    assert spec is not None, "the workload was found by it"  # noqa: S101  # not an input's fault
    new = [f"{' ' * column}metadata:", *_indented(lines, column + _STEP)]
    splice.insert_before(found.template, spec.key, new)


def _texts(
    splice: Splice,
    found: Workload,
    metadata: yaml.MappingNode,
    name: str,
    wanted: Mapping[str, str],
    *,
    overwrite: bool,
) -> None:
    """Labels or annotations of the pod."""
    present = entry(metadata, name, found.source)
    if present is None and metadata.flow_style:
        splice.open_braces(metadata, f"{name}: {{{_in_braces(wanted)}}}, ")
        return
    if present is None:
        lines = _indented(_texts_lines(name, wanted), _column(metadata))
        splice.insert_after(splice.last_line(metadata), lines, last=True)
        return
    value = changeable(present, found.source)
    if is_nothing(value) and metadata.flow_style:
        splice.replace(value, f"{{{_in_braces(wanted)}}}")
        return
    if is_nothing(value):
        column = _column(metadata) + _STEP
        splice.fill(present.key, value, [f"{' ' * column}{key}: {text}" for key, text in wanted.items()])
        return
    if not isinstance(value, yaml.MappingNode):
        raise InvalidManifest(f"{place(found.source, value)}: {name} is not a mapping")
    missing: dict[str, str] = {}
    for key, text in wanted.items():
        old = entry(value, key, found.source)
        if old is None:
            require_alone(found, present.value)
            missing[key] = text
        elif overwrite and plain(old.value, found.source) != yaml.safe_load(text):
            require_alone(found, present.value)
            require_alone(found, old.value)
            splice.replace(changeable(old, found.source), text)
    if missing and value.flow_style:
        splice.open_braces(value, f"{_in_braces(missing)}, ")
    elif missing:
        lines = [f"{' ' * _column(value)}{key}: {text}" for key, text in missing.items()]
        splice.insert_after(splice.last_line(value), lines)


def _texts_lines(name: str, texts: Mapping[str, str]) -> list[str]:
    return [f"{name}:", *(f"{' ' * _STEP}{key}: {text}" for key, text in texts.items())]


def _in_braces(texts: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {text}" for key, text in texts.items())


def _column(mapping: yaml.MappingNode) -> int:
    """That of its keys; the mapping itself begins with its anchor or tag, if it has one."""
    return int(mapping.value[0][0].start_mark.column)


def _columns(splice: Splice, found: Workload) -> tuple[int, int]:
    """The columns of the spec's keys and of a list's dashes, as `containers` has them."""
    containers = entry(found.spec, "containers", found.source)
    assert containers is not None, "checked before"  # noqa: S101  # not an input's fault
    value = changeable(containers, found.source)
    splice.require_lines(value)
    return containers.key.start_mark.column, splice.dash_of(value.value[0])[1]


def _containers_key(found: Workload) -> yaml.Node:
    containers = entry(found.spec, "containers", found.source)
    assert containers is not None, "checked before"  # noqa: S101  # not an input's fault
    return containers.key


def _name_of(item: yaml.Node, source: str) -> str:
    name = entry(item, "name", source) if isinstance(item, yaml.MappingNode) else None
    return str(name.value.value) if name and isinstance(name.value, yaml.ScalarNode) else ""


def _indented(lines: list[str], column: int) -> list[str]:
    return [f"{' ' * column}{line}" for line in lines]
