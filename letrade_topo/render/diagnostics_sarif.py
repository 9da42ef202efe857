"""Diagnostics as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.load.rule_texts import RULE_TEXTS
from letrade_topo.model.messages import Json
from letrade_topo.model.rules import RuleText
from letrade_topo.render.wording import details

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(
    diagnostics: Sequence[Diagnostic],
    rules: Mapping[str, RuleText] = RULE_TEXTS,
    counts: Mapping[str, int] | None = None,
) -> str:
    """A log with one run.

    Args:
        diagnostics: its results.
        rules: describe the rules that occur.
        counts: the run's property bag (SARIF 2.1.0, 3.8).
    """
    ids = list(dict.fromkeys(item.rule for item in diagnostics))
    driver: dict[str, Json] = {"name": "letrade-topo", "rules": [_rule(name, rules.get(name)) for name in ids]}
    if own := _version():
        driver["version"] = own
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, ids.index(item.rule)) for item in diagnostics],
    }
    if counts is not None:
        run["properties"] = dict(counts)
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _version() -> str | None:
    try:
        return version("letrade-topo")
    except PackageNotFoundError:
        return None


def _rule(name: str, text: RuleText | None) -> Json:
    if text is None:
        return {"id": name}
    return {
        "id": name,
        "shortDescription": {"text": text.title},
        "fullDescription": {"text": text.explanation},
        "help": {"text": text.explanation},
        "defaultConfiguration": {"level": str(text.severity)},
    }


def _result(item: Diagnostic, rule_index: int) -> Json:
    result: dict[str, Json] = {
        "ruleId": item.rule,
        "ruleIndex": rule_index,
        "level": str(item.severity),
        "message": {"text": " ".join([f"{item.summary}.", *details(item.why, item.fix)])},
        "locations": [_location(item.location)],
    }
    if item.related:
        result["relatedLocations"] = [_location(location, text) for location, text in item.related]
    return result


def _location(location: Location, text: str = "") -> Json:
    physical: dict[str, Json] = {"artifactLocation": {"uri": _uri(location.file)}}
    if location.line:
        region: dict[str, Json] = {"startLine": location.line}
        if location.column:
            region["startColumn"] = location.column
        physical["region"] = region
    return {"physicalLocation": physical, "message": {"text": text}} if text else {"physicalLocation": physical}


def _uri(file: str) -> str:
    """A relative path stays relative: code scanning joins it to the checkout."""
    path = Path(file)
    encoded = quote(path.as_posix(), errors="replace")
    return f"file://{encoded}" if path.is_absolute() else encoded
