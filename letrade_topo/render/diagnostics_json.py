"""Diagnostics as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from letrade_topo.load.diagnostics import Diagnostic, Location
from letrade_topo.model.messages import Json

FORMAT_VERSION = 1


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """One object: `format_version`, `valid`, the counts, and the diagnostics in order."""
    errors = sum(item.is_error for item in diagnostics)
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "valid": errors == 0,
        "errors": errors,
        "warnings": len(diagnostics) - errors,
        "diagnostics": [to_json(item) for item in diagnostics],
    }
    return json.dumps(document, indent=2)


def to_json(item: Diagnostic) -> Json:
    """One diagnostic; line and column are from 1, or null where the whole file is meant."""
    return {
        "rule": item.rule,
        "severity": str(item.severity),
        **_place(item.location),
        "path": list(item.path),
        "summary": item.summary,
        "why": item.why,
        "fix": item.fix,
        "related": [{**_place(location), "text": text} for location, text in item.related],
    }


def _place(location: Location) -> dict[str, Json]:
    return {"file": location.file, "line": location.line or None, "column": location.column or None}
