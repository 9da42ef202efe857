"""The shipped rules and dashboards as data, and what they say about metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "helm" / "letrade-topo" / "files"
RULES = FILES / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
OURS = re.compile(r"\bletrade_(?:agent|topo)_[a-z_]+")
_FAMILY = re.compile(r"_(?:total|bucket|sum|count)$")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of the rules.

    Args:
        name: an alert may come in two severities under one name.
        expr: in PromQL.
        severity: info, warning or critical.
        pending: how long it must hold, as written; empty for at once.
        annotations: summary, description and runbook_url.
        labels: all that it adds.
    """

    name: str
    expr: str
    severity: str
    pending: str
    annotations: dict[str, str]
    labels: dict[str, str]


@cache
def groups() -> list[dict[str, Any]]:
    """The groups of the file."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return found


def alerts() -> list[Alert]:
    """Every alert, in the order of the file."""
    return [
        Alert(
            rule["alert"],
            rule["expr"],
            rule["labels"]["severity"],
            rule.get("for", ""),
            rule["annotations"],
            rule["labels"],
        )
        for group in groups()
        for rule in group["rules"]
        if "alert" in rule
    ]


def expressions() -> Iterator[str]:
    """Every expression of the rules."""
    for group in groups():
        for rule in group["rules"]:
            yield rule["expr"]


def recorded() -> set[str]:
    """The names of the recording rules."""
    return {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    files = sorted((FILES / "dashboards").glob("*.json"))
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def family(name: str) -> str:
    """A metric as the reference calls its family, from how an expression names it."""
    return _FAMILY.sub("", name)
