"""Files that one command is given say the same of what they name alike, or both places are named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password
from letrade_topo.expand.expansion import expand
from letrade_topo.load.diagnostics import Diagnostic
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.security import SecretReference, SecretSource
from letrade_topo.plan.agreement import DeclaredFile, disagreements
from letrade_topo.plan.scope import Scope
from tests.topologies import VERSIONS, text_of

HASH = f"{HASHING_ALGORITHM}:{hash_password('test12', b'salt')}"


def declared(file: str, name: str = "a", vhost: Any = "a", **sections: Any) -> DeclaredFile:
    """A file with these sections."""
    document = {"topology": 1, "name": name, "vhost": vhost, "ownership": "shared", **sections}
    loaded = load_sources([SourceText(file, Path(), text_of(document))])
    desired = expand(loaded.topology, for_version(VERSIONS[-1]))
    return DeclaredFile(Scope.of(loaded.topology), desired, loaded.sources)


def compared(
    first: dict[str, Any], second: dict[str, Any], secrets: Mapping[SecretReference, str] = {}
) -> list[Diagnostic]:
    """What two files disagree in."""
    one = declared("one.yaml", **{"name": "a", "vhost": "a"} | first)
    other = declared("two.yaml", **{"name": "b", "vhost": "b"} | second)
    return list(disagreements([one, other], secrets))


def environment(name: str) -> SecretReference:
    """A password in a variable."""
    return SecretReference(SecretSource.ENVIRONMENT, name)


EXCHANGE: dict[str, Any] = {"exchanges": {"x": {}}}
DISAGREEING = {
    "tags": ({"users": {"u": {"tags": ["monitoring"]}}}, {"users": {"u": {}}}, "user:u", "tags is [] here"),
    "limits": (
        {"users": {"u": {"limits": {"max_channels": 5}}}},
        {"users": {"u": {}}},
        "user:u",
        "max-channels is not said here and 5 there",
    ),
    "password or none": ({"users": {"u": {"password": {"env": "A"}}}}, {"users": {"u": {}}}, "user:u", "none here"),
    "unmanaged": (
        {"users": {"u": {"password": {"env": "A"}}}},
        {"users": {"u": {"password": "unmanaged"}}},
        "user:u",
        "unmanaged here",
    ),
    "global parameter": (
        {"global_parameters": {"p": {"a": 1}}},
        {"global_parameters": {"p": {"a": True}}},
        "global-parameter:p",
        "",
    ),
    "vhost": (
        {"vhost": {"name": "v", "tracing": True}},
        {"vhost": {"name": "v", "tracing": False}},
        "vhost:v",
        "tracing is false here and true there",
    ),
    "exchange of one vhost": (
        {"vhost": "v", **EXCHANGE},
        {"vhost": "v", "exchanges": {"x": {"type": "fanout"}}},
        "exchange:x",
        'type is "fanout" here and "topic" there',
    ),
    "rights in one vhost": (
        {"vhost": "v", "users": {"u": {"permissions": {"read": "^a"}}}},
        {"vhost": "v", "users": {"u": {"permissions": {"read": "^b"}}}},
        "permission:u",
        'read is "^b" here',
    ),
}


@pytest.mark.parametrize(("first", "second", "address", "why"), DISAGREEING.values(), ids=DISAGREEING)
def test_a_disagreement_names_both_places(
    first: dict[str, Any], second: dict[str, Any], address: str, why: str
) -> None:
    """The later one as the place of the problem, with line and column, and the first beside it."""
    (found,) = compared(first, second)

    assert found.rule == "files-disagree"
    assert found.summary.startswith(address)
    assert why in found.why
    assert (found.location.file, found.related[0][0].file) == ("two.yaml", "one.yaml")
    assert found.location.line > 1
    assert found.location.column
    assert found.related[0][0].column


AGREEING = {
    "a user with other rights in another vhost": (
        {"users": {"u": {"permissions": {"read": "^a"}}}},
        {"users": {"u": {"permissions": {"read": "^b"}}}},
    ),
    "a vhost of which one says nothing": ({"vhost": {"name": "v", "tracing": True}}, {"vhost": "v"}),
    "objects of the same name in other vhosts": (EXCHANGE, {"exchanges": {"x": {"type": "fanout"}}}),
    "an exchange that two claim": ({"vhost": "v", **EXCHANGE}, {"vhost": "v", **EXCHANGE}),
    "the same parameter": ({"global_parameters": {"p": [1]}}, {"global_parameters": {"p": [1]}}),
}


@pytest.mark.parametrize(("first", "second"), AGREEING.values(), ids=AGREEING)
def test_what_agrees_is_no_problem(first: dict[str, Any], second: dict[str, Any]) -> None:
    """They are merged."""
    assert compared(first, second) == []


@pytest.mark.parametrize(
    ("first", "second", "secrets", "agree"),
    [
        ({"password": {"env": "A"}}, {"password": {"env": "B"}}, {}, True),
        ({"password": {"env": "A"}}, {"password": {"env": "B"}}, {"A": "x", "B": "x"}, True),
        ({"password": {"env": "A"}}, {"password": {"env": "B"}}, {"A": "x", "B": "y"}, False),
        ({"password": {"env": "A"}}, {"password_hash": {"env": "B"}}, {"A": "test12", "B": HASH}, True),
        ({"password_hash": {"env": "B"}}, {"password": {"env": "A"}}, {"A": "test12", "B": HASH}, True),
        ({"password_hash": {"env": "B"}}, {"password": {"env": "A"}}, {"A": "test13", "B": HASH}, False),
    ],
)
def test_passwords_agree_where_they_are_the_same(
    first: dict[str, Any], second: dict[str, Any], secrets: dict[str, str], agree: bool
) -> None:
    """Wherever they are read; none of them is shown. Before anything was read, nothing is claimed."""
    found = compared(
        {"users": {"u": first}},
        {"users": {"u": second}},
        {environment(name): text for name, text in secrets.items()},
    )

    assert (not found) is agree
    assert not any(text in str(one) for one in found for text in secrets.values() if len(text) > 1)


def test_a_topology_is_in_one_file() -> None:
    """One would delete what the other makes; in another vhost it is another topology."""
    (found,) = compared({"name": "t", "vhost": "v", **EXCHANGE}, {"name": "t", "vhost": "v"})

    assert found.rule == "topology-twice"
    assert (str(found.location), str(found.related[0][0])) == ("two.yaml:2:7", "one.yaml:2:7")
    assert compared({"name": "t"}, {"name": "t"}) == []
