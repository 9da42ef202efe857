"""Loads `topology.yaml`: text → nodes → overlays → variables → shape → model → rules.

Each stage reports what it finds and the next goes on with what is usable, so that one run shows all
problems. Only a file that is no YAML ends the load at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Values
from collections.abc import Sequence as List
from dataclasses import dataclass, field
from math import inf
from pathlib import Path as FilePath

from letrade_topo.load.build import build_topology
from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology, Location, Path, ordered
from letrade_topo.load.json_schema import SchemaChecker
from letrade_topo.load.misplaced import set_right
from letrade_topo.load.nodes import Mapping, Scalar, Sources, location_of, plain
from letrade_topo.load.overlays import apply_overlay
from letrade_topo.load.report import Report
from letrade_topo.load.shape_check import ENTRY_DEPTH, Damage, check_shape
from letrade_topo.load.source_text import SourceText, read_source
from letrade_topo.load.variables import SECTION, substitute
from letrade_topo.load.yaml_parser import parse_yaml
from letrade_topo.load.yaml_syntax import Judge
from letrade_topo.model.rules import broken_rules
from letrade_topo.model.topology import Topology

_TOPOLOGY_KEY = re.compile(rb"""^(?:\xef\xbb\xbf)?(?:\{\s*)?["']?topology["']?\s*:""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LoadedTopology:
    """A topology that can be used.

    Args:
        topology: the model.
        sources: where each value was said.
        diagnostics: warnings, by position.
    """

    topology: Topology
    sources: Sources = field(repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()


def load_topology(
    path: FilePath,
    *,
    overlays: List[FilePath] = (),
    variables: Values[str, str] | None = None,
) -> LoadedTopology:
    """Load a topology file.

    Args:
        path: the file.
        overlays: files that change it, in this order.
        variables: values for variables that the file declares.

    Raises:
        InvalidTopology: with every problem of the files.
    """
    return load_sources([read_source(item) for item in (path, *overlays)], variables=variables)


def load_sources(
    texts: List[SourceText],
    *,
    variables: Values[str, str] | None = None,
    environment: Values[str, str] | None = None,
) -> LoadedTopology:
    """Load a topology from the texts of its file and of overlays; otherwise as `load_topology`.

    Args:
        texts: the file, then the overlays.
        variables: values for variables that the file declares.
        environment: likewise by name in upper case; `variables` come first.
    """
    report = Report()
    roots = [_root(text, report, is_overlay=index > 0, judge=_count_errors) for index, text in enumerate(texts)]
    root = _merged(roots, report)
    if root is None:
        raise report.stop()
    repaired = set_right(root, report)
    substitute(root, variables or {}, environment or {}, report)
    return _loaded(root, texts, repaired, report)


def variables_of(texts: Iterable[SourceText]) -> frozenset[str]:
    """The names of the variables that a file and its overlays declare, as far as they can be read."""
    roots = (parse_yaml(text, Report(), None) for text in texts)
    sections = (root.entries.get(SECTION) for root in roots if isinstance(root, Mapping))
    return frozenset(
        name for section in sections if section and isinstance(section.node, Mapping) for name in section.node.entries
    )


def is_topology(content: bytes) -> bool:
    """Whether a YAML file is meant as a topology: `topology` is a key at its top, though the rest may be broken."""
    return _TOPOLOGY_KEY.search(content) is not None


def _loaded(root: Mapping, texts: List[SourceText], repaired: Collection[Path], report: Report) -> LoadedTopology:
    sources = Sources(root, tuple(texts))
    document = plain(root)
    assert isinstance(document, dict)  # noqa: S101  # the root is a mapping
    damage = check_shape(document, sources, report)
    damage.entries.update(path[:ENTRY_DEPTH] for path in repaired)
    topology = build_topology(document, sources, report)
    _check_schemas(topology, sources, report)
    _check_rules(topology, sources, damage, report)
    if report.has_errors:
        raise report.stop()
    return LoadedTopology(topology, sources, ordered(report.diagnostics))


def _count_errors(text: SourceText) -> float:
    """How many errors one file has by itself: which of several readings of a broken one was probably meant."""
    report = Report()
    root = _root(text, report, is_overlay=False, judge=None)
    if root is None:
        return inf
    repaired = set_right(root, report)
    substitute(root, {}, {}, report)
    try:
        _loaded(root, [text], repaired, report)
    except InvalidTopology as error:
        return sum(item.is_error for item in error.diagnostics)
    return 0


def _root(text: SourceText, report: Report, *, is_overlay: bool, judge: Judge | None) -> Mapping | None:
    found = len(report.diagnostics)
    node = parse_yaml(text, report, judge)
    if isinstance(node, Mapping):
        return node
    if isinstance(node, Scalar) and node.text == "":  # `---` and nothing behind it
        node = None
    start = location_of(node) if node is not None else None
    if node is None and len(report.diagnostics) == found:
        if is_overlay:  # nothing but comments changes nothing
            return Mapping(text, 0, 0)
        why = "It has no content, or only comments."
        report.add(
            "empty-file", Location(text.name), "empty file", why, "Begin with `topology: 1`, a name and a vhost."
        )
    elif node is not None and start is not None:
        what = "a single value" if isinstance(node, Scalar) else "a list"
        why = f"It is {what}; a topology is a mapping, `key: value` with `topology: 1` first."
        report.add("wrong-type", start, "file is not a mapping", why, "See the example topology.yaml.")
    return None


def _merged(roots: List[Mapping | None], report: Report) -> Mapping | None:
    merged = roots[0]
    for overlay in roots[1:]:
        if merged is None or overlay is None:
            return None
        merged = apply_overlay(merged, overlay, report)
    return merged


def _check_schemas(topology: Topology, sources: Sources, report: Report) -> None:
    checker = SchemaChecker(sources, report)
    for name, message in topology.messages.items():
        if message.schema is not None:
            checker.check(message.schema, ("messages", name, "schema"))


def _check_rules(topology: Topology, sources: Sources, damage: Damage, report: Report) -> None:
    whole = damage.is_none and not report.has_errors
    unreadable = (
        damage.sections | report.torn | {item.path[0] for item in report.diagnostics if item.rule == "key-template"}
    )
    for problem in broken_rules(topology, whole=whole, unreadable={str(section) for section in unreadable}):
        if damage.covers(problem.path):
            continue
        locate, path = (sources.locate_key if problem.at_key else sources.locate), problem.path
        if problem.otherwise and sources.node(path) is None:
            locate, path = sources.locate, problem.otherwise
        if locate(path) in report.unreadable:
            continue
        related = ((sources.locate_key(problem.related[0]), problem.related[1]),) if problem.related else ()
        report.add(
            problem.rule,
            locate(path),
            problem.summary,
            problem.why,
            problem.fix,
            path=path,
            related=related,
            severity=problem.severity,
        )


__all__ = ["InvalidTopology", "LoadedTopology", "is_topology", "load_sources", "load_topology", "variables_of"]
