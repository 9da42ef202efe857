"""The reference page of the topology file, from the shape tables and the docstrings of the model."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from letrade_topo.load import shape
from letrade_topo.model import claim_check, messages, security, services, topology
from letrade_topo.render.markdown import code

CHECKED = {
    "duration": "duration, such as `5s`",
    "size": "size, such as `128KiB`",
    "secret": "`{env: NAME}` or `{file: PATH}`",
    "names": "list of texts",
    "arguments": "mapping",
    "topology_name": "text",
    "none": "`none`, or a mapping",
}

_SECURITY = shape.TOPOLOGY["security"]["schema"]

SECTIONS: tuple[tuple[str, dict[str, Any], tuple[type, ...]], ...] = (
    ("Top level", shape.TOPOLOGY, (topology.Topology,)),
    ("`broker`", shape.TOPOLOGY["broker"]["schema"], (topology.BrokerAccess,)),
    ("`limits`", shape.TOPOLOGY["limits"]["schema"], (topology.Limits,)),
    ("`retry`", shape.TOPOLOGY["retry"]["schema"], (topology.RetryPolicy,)),
    ("`dead_letter`", shape.TOPOLOGY["dead_letter"]["schema"], (topology.DeadLetterPolicy,)),
    ("`security.tls`", _SECURITY["tls"]["schema"], (security.TlsPolicy,)),
    ("`security.jwt`", _SECURITY["jwt"]["schema"], (security.JwtPolicy,)),
    ("`claim_check`", shape.TOPOLOGY["claim_check"]["schema"], (claim_check.ClaimCheck,)),
    ("`exchanges.<name>`", shape.EXCHANGE, (topology.Exchange,)),
    ("`messages.<name>`", shape.MESSAGE, (messages.MessageType,)),
    ("`services.<name>`", shape.SERVICE, (services.Service,)),
    ("`queues.<name>`", shape.QUEUE, (topology.Queue, topology.QueueLimits)),
    ("`users.<name>`", shape.USER, (services.User,)),
    ("`bindings[]`", shape.BINDING, (topology.Binding,)),
    ("`policies.<name>`", shape.POLICY, (topology.Policy,)),
)

MEANINGS = {
    "topology": "version of this format",
    "variables": "names and default values of `${name}` in this file",
    "consumes": "names of message types, and patterns with `*` or `#` for run-time queues",
    "dead_letter": "`none`, or `exchange` and `routing_key` of a target of its own, instead of the retry ladder",
    "permissions": "`configure`, `write`, `read`: regular expressions of resource names",
    "queue": "the queue it leads to",
    "exchange": "the exchange it leads to, or is about",
    "apply_to": "what it applies to",
    "pattern": "regular expression of names; anchor it",
    "definition": "the policy's keys, as RabbitMQ spells them",
    "priority": "the higher one wins",
    "source": "the exchange it leaves from",
    "routing_key": "the binding key",
    "arguments": "further arguments, as the broker gets them",
    "exchanges": "the exchanges, by name",
    "messages": "the message types, by name",
    "queues": "the queues, by name",
    "services": "the services, by name",
    "users": "users that are no service, by name",
    "bindings": "bindings beyond those of message types",
    "policies": "policies beyond the derived ones, by name",
    "broker": "where the broker is",
    "limits": "limits",
    "retry": "delays before a rejected message comes back; in a queue also `none`",
    "security": "`tls` and `jwt`",
    "name": "name of the topology: lower case, no dot",
    "vhost": "the virtual host",
    "environment": "part of what every message token is valid for",
    "ownership": "what undeclared objects in the vhost mean",
    "ignore": "globs of addresses that are never looked at, such as `queue:federation.*`",
    "management": "URL of the management API",
    "username": "user of the management API",
    "password": "where the password is read",
    "ca_file": "PEM file of the authorities to trust",
}
"""Where the model has no sentence of its own."""

HEAD = """# The topology file

Generated from the code by `script/reference`. The best example is [`topology.yaml`](../../topology.yaml).

Durations take `ms`, `s`, `m`, `h`, `d`; sizes take `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`. A number without unit is
refused. `${name}` stands for a variable, in any text. `--overlay FILE` merges another file over this one: mappings
deeply, everything else replaced, `null` removes.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for title, schema, classes in SECTIONS:
        rows = [_row(key, rule, classes) for key, rule in schema.items()]
        parts += [f"## {title}\n", "| key | value | default | |", "|---|---|---|---|"]
        parts += [*rows, ""]
    return "\n".join(parts).rstrip() + "\n"


def _row(key: str, rule: dict[str, Any], classes: tuple[type, ...]) -> str:
    return f"| {code(key)} | {_value(rule)} | {_default(key, rule, classes)} | {_meaning(key, classes)} |"


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
    for field in _fields(classes):
        if field.name == key and field.default not in (dataclasses.MISSING, None, "", ()):
            default = field.default.value if isinstance(field.default, Enum) else field.default
            if (
                dataclasses.is_dataclass(default)
                and not hasattr(default, "milliseconds")
                and not hasattr(default, "bytes")
            ):
                return ""
            return code(str(default).lower() if isinstance(default, bool) else str(default))
    return ""


def _meaning(key: str, classes: tuple[type, ...]) -> str:
    for one in classes:
        if key in (found := dict(_arguments(one))):
            return found[key]
    return MEANINGS[key]


def _fields(classes: tuple[type, ...]) -> Iterator[dataclasses.Field[Any]]:
    for one in classes:
        yield from dataclasses.fields(one)


def _arguments(one: type) -> Iterator[tuple[str, str]]:
    """The `Args:` of a docstring, each as one line without a full stop."""
    _, _, text = (inspect.getdoc(one) or "").partition("Args:")
    for match in re.finditer(r"^    (\w+): ((?:.|\n(?!    \w+: ))+)", text, re.MULTILINE):
        yield match[1], " ".join(match[2].split()).rstrip(".").replace("|", "\\|")
