"""What is said of each key of the topology file: its meaning and its default, from the docstrings of the model.

One source for the reference page and for the schema that editors read. Knows neither Markdown tables nor JSON Schema.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from letrade_topo.load import shape
from letrade_topo.model import claim_check, messages, security, services, topology

_SECURITY = shape.TOPOLOGY["security"]["schema"]


@dataclasses.dataclass(frozen=True, slots=True)
class KeysOf:
    """The keys of one mapping.

    Args:
        title: where the mapping stands, in Markdown.
        path: the way to it; `*` stands for any name or number.
        schema: its keys, as `shape` has them.
        classes: the dataclasses whose fields they become.
    """

    title: str
    path: tuple[str, ...]
    schema: Mapping[str, Any]
    classes: tuple[type, ...]


MAPPINGS: tuple[KeysOf, ...] = (
    KeysOf("Top level", (), shape.TOPOLOGY, (topology.Topology,)),
    KeysOf("`vhost`", ("vhost",), shape.VHOST, (topology.VhostSettings,)),
    KeysOf("`broker`", ("broker",), shape.TOPOLOGY["broker"]["schema"], (topology.BrokerAccess,)),
    KeysOf("`limits`", ("limits",), shape.TOPOLOGY["limits"]["schema"], (topology.TopologyLimits,)),
    KeysOf("`retry`", ("retry",), shape.TOPOLOGY["retry"]["schema"], (topology.RetryPolicy,)),
    KeysOf("`dead_letter`", ("dead_letter",), shape.TOPOLOGY["dead_letter"]["schema"], (topology.DeadLetterPolicy,)),
    KeysOf("`security.tls`", ("security", "tls"), _SECURITY["tls"]["schema"], (security.TlsPolicy,)),
    KeysOf("`security.jwt`", ("security", "jwt"), _SECURITY["jwt"]["schema"], (security.JwtPolicy,)),
    KeysOf("`claim_check`", ("claim_check",), shape.TOPOLOGY["claim_check"]["schema"], (claim_check.ClaimCheck,)),
    KeysOf(
        "`defaults.exchanges`", ("defaults", "exchanges"), shape.DEFAULTS["exchanges"], (topology.DeclaredExchange,)
    ),
    KeysOf(
        "`defaults.queues`",
        ("defaults", "queues"),
        shape.DEFAULTS["queues"],
        (topology.DeclaredQueue, topology.QueueLimits),
    ),
    KeysOf("`exchanges.<name>`", ("exchanges", "*"), shape.EXCHANGE, (topology.DeclaredExchange,)),
    KeysOf("`messages.<name>`", ("messages", "*"), shape.MESSAGE, (messages.MessageType,)),
    KeysOf("`services.<name>`", ("services", "*"), shape.SERVICE, (services.Service,)),
    KeysOf("`queues.<name>`", ("queues", "*"), shape.QUEUE, (topology.DeclaredQueue, topology.QueueLimits)),
    KeysOf("`users.<name>`", ("users", "*"), shape.USER, (services.DeclaredUser,)),
    KeysOf("`bindings[]`", ("bindings", "*"), shape.BINDING, (topology.DeclaredBinding,)),
    KeysOf("`policies.<name>`", ("policies", "*"), shape.POLICY, (topology.DeclaredPolicy,)),
)

_INNER: dict[tuple[str, ...], str] = {
    ("security", "tls"): "what connections need",
    ("security", "jwt"): "the tokens of messages",
    ("defaults", "exchanges"): "what every exchange of the file is that does not say otherwise",
    ("defaults", "queues"): "what every queue of the file is that does not say otherwise",
    ("permissions", "configure"): "regular expression of what the user may declare and delete",
    ("permissions", "write"): "regular expression of what it may publish to and bind",
    ("permissions", "read"): "regular expression of what it may consume and bind from",
    ("topic_permissions", "exchange"): "the topic exchange",
    ("topic_permissions", "write"): "regular expression of the routing keys that it may publish",
    ("topic_permissions", "read"): "regular expression of the routing keys that it may bind",
    ("limits", "max_connections"): "most connections at a time; -1: any number",
    ("limits", "max_channels"): "most channels at a time; -1: any number",
    ("dead_letter", "exchange"): "the exchange that rejected messages go to; the empty text for the default exchange",
    ("dead_letter", "routing_key"): "the key that they get there",
    ("dead_letter", "strategy"): "whether the broker confirms the transfer before it forgets the message",
}
"""Of keys in mappings that have no table of their own: the mapping's key and theirs."""

_MEANINGS = {
    "topology": "version of this format",
    "variables": "names and default values of `${name}` in this file",
    "consumes": "names of message types, and patterns with `*` or `#` for run-time queues",
    "dead_letter": "`none`, or `exchange`, `routing_key` and `strategy` (`none`, `at-most-once`, `at-least-once`) of a "
    "target of its own, instead of the retry ladder",
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
    "defaults": "`exchanges` and `queues`: what those are that do not say otherwise; what an entry says itself counts "
    "instead, as a whole",
    "exchanges": "the exchanges, by name",
    "messages": "the message types, by name",
    "queues": "the queues, by name",
    "services": "the services, by name",
    "users": "users that are no service, by name",
    "bindings": "bindings beyond those of message types",
    "policies": "policies beyond the derived ones, by name",
    "operator_policies": "operator policies, by name; written as `policies`",
    "parameters": "runtime parameters, by component (`shovel`, `federation-upstream`, `federation-upstream-set`) and "
    "name, as the broker gets them; an address (`uri`, `src-uri`, `dest-uri`) with a login as `{env: NAME}` or "
    "`{file: PATH}`",
    "global_parameters": "parameters of the whole cluster, by name",
    "broker": "where the broker is",
    "limits": "limits",
    "retry": "delays before a rejected message comes back; in a queue also `none`",
    "security": "`tls` and `jwt`",
    "name": "name of the topology: lower case, no dot",
    "vhost": "the virtual host: its name, or a mapping of `name` and what else it says of itself",
    "environment": "part of what every message token is valid for",
    "ownership": "what undeclared objects in the vhost mean",
    "ignore": "globs of addresses that are never looked at, such as `queue:federation.*`",
    "management": "URL of the management API",
    "username": "user of the management API",
    "password": "where the password is read",
    "ca_file": "PEM file of the authorities to trust",
}
"""Where the model has no sentence of its own."""


def meaning(key: str, classes: tuple[type, ...]) -> str:
    """What a key means: Markdown, no full stop at its end."""
    for one in classes:
        if key in (found := dict(_arguments(one))):
            return found[key]
    return _MEANINGS[key]


def inner_meaning(above: str, key: str, classes: tuple[type, ...]) -> str:
    """What `key` means in the mapping that `above` is the key of, where that mapping is described in its holder."""
    return _INNER.get((above, key)) or meaning(key, classes)


def default(key: str, classes: tuple[type, ...]) -> Any:
    """What a key is that is left out: as YAML has it; None where nothing is said."""
    for one in classes:
        for field in dataclasses.fields(one):
            if field.name == key and field.default not in (dataclasses.MISSING, None, "", ()):
                return _as_written(field.default)
    return None


def _as_written(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):  # a duration or a size is a text; other defaults are mappings
        return str(value) if hasattr(value, "milliseconds") or hasattr(value, "bytes") else None
    return list(value) if isinstance(value, tuple) else value


def _arguments(one: type) -> Iterator[tuple[str, str]]:
    """The `Args:` of a docstring, each as one line without a full stop."""
    _, _, text = (inspect.getdoc(one) or "").partition("Args:")
    for match in re.finditer(r"^    (\w+): ((?:.|\n(?!    \w+: ))+)", text, re.MULTILINE):
        yield match[1], " ".join(match[2].split()).rstrip(".")
