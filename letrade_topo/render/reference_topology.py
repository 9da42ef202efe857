"""The reference page of the topology file, from the shape tables and the docstrings of the model."""

from __future__ import annotations

from typing import Any

from letrade_topo.render import topology_keys
from letrade_topo.render.markdown import code

CHECKED = {
    "duration": "duration, such as `5s`",
    "size": "size, such as `128KiB`",
    "secret": "`{env: NAME}` or `{file: PATH}`",
    "password": "`{env: NAME}`, `{file: PATH}` or `unmanaged`",
    "password_hash": "`{env: NAME}` or `{file: PATH}`, with `algorithm: sha256` (or `sha512`, `md5`) beside it",
    "names": "list of texts",
    "arguments": "mapping",
    "topology_name": "text",
    "exchange_type": "`topic`, `direct`, `fanout`, `headers`, or a plug-in's `x-…`",
    "none": "`none`, or a mapping",
    "priority": "`normal`, `high`, or 0 to 31",
}

HEAD = """# The topology file

Generated from the code by `script/reference`. The best example is [`topology.yaml`](../../topology.yaml).

Durations take `ms`, `s`, `m`, `h`, `d`; sizes take `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`. A number without unit is
refused. `${name}` stands for a variable, in any text. `--overlay FILE` merges another file over this one: mappings
deeply, everything else replaced, `null` removes.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for mapping in topology_keys.MAPPINGS:
        rows = [_row(key, rule, mapping.classes) for key, rule in mapping.schema.items()]
        parts += [f"## {mapping.title}\n", "| key | value | default | |", "|---|---|---|---|"]
        parts += [*rows, ""]
    return "\n".join(parts).rstrip() + "\n"


def _row(key: str, rule: dict[str, Any], classes: tuple[type, ...]) -> str:
    meaning = topology_keys.meaning(key, classes).replace("|", "\\|")
    return f"| {code(key)} | {_value(rule)} | {_default(key, rule, classes)} | {meaning} |"


def _value(rule: dict[str, Any]) -> str:
    if "allowed" in rule:
        return ", ".join(code(str(one)) for one in rule["allowed"])
    if "check_with" in rule:
        return CHECKED[rule["check_with"]]
    names = {"string": "text", "dict": "mapping", "list": "list", "boolean": "`true`, `false`", "integer": "integer"}
    return names.get(str(rule.get("type")), str(rule.get("type")))


def _default(key: str, rule: dict[str, Any], classes: tuple[type, ...]) -> str:
    if rule.get("required"):
        return "required"
    default = topology_keys.default(key, classes)
    if default is None:
        return ""
    if isinstance(default, list):
        return code(f"[{', '.join(default)}]")
    return code(str(default).lower() if isinstance(default, bool) else str(default))
