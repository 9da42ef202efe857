"""Diagnostics as JUnit XML, for CI systems that show test results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.render.wording import details

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(diagnostics: Sequence[Diagnostic], subject: str, counts: Mapping[str, int] | None = None) -> str:
    """A test case for each problem; one that passed when there is none.

    An error is a failure. JUnit has no warnings: one is a passed case with its text as output.

    Args:
        diagnostics: the problems.
        subject: what was looked at.
        counts: properties of the suite.
    """
    failures = sum(item.is_error for item in diagnostics)
    count = str(len(diagnostics) or 1)
    suites = ElementTree.Element("testsuites", name="letrade-topo", tests=count, failures=str(failures))
    suite = ElementTree.SubElement(
        suites, "testsuite", name=_legal(subject), tests=count, failures=str(failures), errors="0", skipped="0"
    )
    if counts is not None:
        properties = ElementTree.SubElement(suite, "properties")
        for name, number in counts.items():
            ElementTree.SubElement(properties, "property", name=_legal(name), value=str(number))
    for item in diagnostics:
        _case(suite, item)
    if not diagnostics:
        ElementTree.SubElement(suite, "testcase", classname="letrade-topo", name=_legal(subject))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _case(suite: ElementTree.Element, item: Diagnostic) -> None:
    name = f"{item.location}: {item.summary}"
    case = ElementTree.SubElement(suite, "testcase", classname=f"letrade-topo.{item.rule}", name=_legal(name))
    if item.location.line:
        case.set("file", _legal(item.location.file))
        case.set("line", str(item.location.line))
    text = _legal("\n".join([str(item.location), *details(item.why, item.fix)]))
    if item.is_error:
        ElementTree.SubElement(case, "failure", type=item.rule, message=_legal(item.summary)).text = text
    else:
        ElementTree.SubElement(case, "system-out").text = f"warning: {text}"


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold, not even escaped."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
