"""What `doctor` has found, as text and as JSON: the cause in the first line."""

from __future__ import annotations

import json

from letrade_topo.doctor.checkup import Check, Checkup, Verdict
from letrade_topo.model.messages import Json

FORMAT_VERSION = 1


def as_text(checkup: Checkup) -> str:
    """The cause and what to do, then every check in its order."""
    lines = [*_cause(checkup.cause, len(checkup.checks)), ""]
    width = max(len(check.name) for check in checkup.checks)
    for check in checkup.checks:
        verdict = check.found.verdict
        shown = verdict.upper() if verdict is Verdict.FAILED else verdict
        lines.append(f"{shown:<9}  {check.name:<{width}}  {check.found.what}")
    return "\n".join(lines)


def _cause(cause: Check | None, number: int) -> list[str]:
    if cause is None:
        return [f"nothing is wrong: {number} checks"]
    found = cause.found
    warning = "warning: " if found.verdict is Verdict.WARNING else ""
    details = (("seen", found.why), ("right", cause.right), ("do", found.fix))
    return [f"{warning}{cause.name}: {found.what}", *(f"  {name}: {text}" for name, text in details if text)]


def as_json(checkup: Checkup) -> str:
    """One object: `format_version`, `cause` (the name of a check, or null), `checks`."""
    cause = checkup.cause
    document: dict[str, Json] = {
        "format_version": FORMAT_VERSION,
        "cause": cause.name if cause else None,
        "checks": [_check(one) for one in checkup.checks],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _check(check: Check) -> dict[str, Json]:
    found = check.found
    return {
        "name": check.name,
        "verdict": found.verdict.value,
        "seen": found.what,
        "why": found.why or None,
        "right": check.right,
        "fix": found.fix or None,
        "kind": found.kind or None,
    }
