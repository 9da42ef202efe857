"""The reference page of the agent's limits, from `letrade_agent.limits`: names, defaults, units, reasons."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from letrade_agent.limits import DEFAULT_LIMITS

_HEAD: Final = """# Limits of the agent

Generated from [`letrade_agent/limits.py`](../../agent/letrade_agent/limits.py) by `script/reference`. They are of one
agent; none but those that say so is a setting, because whoever changes one has to know what rests on it. What can be
set, the drain time-out among it, is in [the agent's command line](agent-command-line.md); what a topology says of
sizes, lifetimes and retries is in [its file](topology-file.md); what a client may choose for itself, its prefetch and
its heartbeat, it says by its own protocol.
"""

_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_MEBIBYTE: Final = 1024 * 1024


def page() -> str:
    """The whole page, in Markdown."""
    lines = [_HEAD]
    groups = [one.name for one in fields(DEFAULT_LIMITS) if is_dataclass(getattr(DEFAULT_LIMITS, one.name))]
    lines += ["## Clients", "", *_table("", DEFAULT_LIMITS)]
    for name in groups:
        group = getattr(DEFAULT_LIMITS, name)
        lines += [f"## `{name}`", "", *_introduction(group), "", *_table(f"{name}.", group)]
    return "\n".join(lines)


def _introduction(group: object) -> Iterator[str]:
    text = inspect.getdoc(type(group)) or ""
    yield text.split("\n\nAttributes:")[0].replace("\n\n", " ")


def _table(prefix: str, group: Any) -> list[str]:
    reasons = _reasons(group)
    rows = ["| limit | default | unit | what for |", "| --- | --- | --- | --- |"]
    for one in fields(group):
        value = getattr(group, one.name)
        if not is_dataclass(value):
            unit, shown = _shown(one.name, value)
            rows.append(f"| `{prefix}{one.name}` | {shown} | {unit} | {reasons[one.name]} |")
    return [*rows, ""]


def _reasons(group: object) -> Mapping[str, str]:
    text = (inspect.getdoc(type(group)) or "").partition("Attributes:\n")[2]
    return {name: " ".join(reason.split()) for name, reason in _ENTRY.findall(text)}


def _shown(name: str, value: float) -> tuple[str, str]:
    if name.endswith("_seconds") or name == "seconds":
        return "s", f"{value:,g}"
    if not name.endswith("_bytes"):
        return "", f"{value:,}"
    size = int(value)
    if size % _MEBIBYTE == 0:
        return "MiB", f"{size // _MEBIBYTE:,}"
    return ("KiB", f"{size // 1024:,}") if size % 1024 == 0 else ("bytes", f"{size:,}")
