"""Definitions files, good and bad: what they hold, or where they are wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from letrade_topo.broker.objects import GlobalParameter, OperatorPolicy, Parameter, Queue, User
from letrade_topo.export.definitions import InvalidDefinitions, read_definitions

NAME = "definitions.json"


def content(**lists: Any) -> bytes:
    """A file."""
    return json.dumps(lists).encode()


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ('{\n  "queues": [\n    {"name": "a"},\n  ]\n}', "4:3", "Expecting value"),
        ('{\n  // by hand\n  "queues": []\n}', "2:3", "Expecting property name"),
        ('{"users": [{"name": $USER}]}', "1:21", "Expecting value"),
        ("", "1:1", "Expecting value"),
    ],
)
def test_what_is_no_json_is_shown_where(text: str, place: str, why: str) -> None:
    """Comments, trailing commas and placeholders, which people put into such files."""
    with pytest.raises(InvalidDefinitions) as refused:
        read_definitions(text.encode(), NAME)

    assert refused.value.what.startswith(f"{NAME}:{place}: ")
    assert why in refused.value.why
    assert "comma" in refused.value.fix


def test_what_is_no_text_is_shown_where() -> None:
    """With the line and column of the first byte that is none."""
    with pytest.raises(InvalidDefinitions, match=rf"{NAME}:2:4: the file is not UTF-8"):
        read_definitions(b'{\n  "\xff": []}', NAME)


@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"queues": {"a": 1}, "users": []}, "'queues' is not a list"),
        ({"queues": [{"vhost": "/"}]}, "queues[0] '' is not as a broker writes it"),
        ({"bindings": [{"source": "a", "vhost": "/", "destination": "b"}]}, "bindings[0] 'a'"),
        ({"policies": [{"vhost": "/", "name": "p"}]}, "policies[0] 'p'"),
        ({"permissions": [{"vhost": "/", "user": "u"}]}, "permissions[0] 'u'"),
        ({"something": []}, "no definitions file"),
        ([], "no definitions file"),
    ],
)
def test_what_no_broker_writes_is_named(lists: Any, named: str) -> None:
    """The entry that is wrong, or that it is another kind of file."""
    with pytest.raises(InvalidDefinitions) as refused:
        read_definitions(json.dumps(lists).encode(), NAME)

    assert named in refused.value.what


def test_a_file_of_one_vhost() -> None:
    """Its objects do not say which; whoever asks does."""
    found = read_definitions(content(queues=[{"name": "a", "durable": True}]), NAME, "trade")

    (queue,) = found.vhosts["trade"].objects
    assert queue == Queue("a", arguments={"x-queue-type": "classic"})


def test_tags_as_older_versions_write_them() -> None:
    """3.8 has them in one text."""
    found = read_definitions(content(users=[{"name": "u", "password_hash": "", "tags": "monitoring,own"}]), NAME)

    assert found.users == (User("u", ("monitoring", "own")),)


def test_parameters_of_every_sort() -> None:
    """Operator policies and limits stand among the runtime parameters; the broker's own are left out."""
    value: dict[str, Any] = {"pattern": "^a$", "definition": {}}
    vhost = {"vhost": "/", "value": value, "name": "s"}
    found = read_definitions(
        content(
            vhosts=[{"name": "/"}],
            parameters=[vhost | {"component": "shovel"}, vhost | {"component": "operator_policy"}],
            global_parameters=[{"name": "cluster_name", "value": "x"}, {"name": "own", "value": 1}],
        ),
        NAME,
    )

    assert found.vhosts["/"].objects == (
        OperatorPolicy("s", "^a$", "all", {}),
        Parameter("shovel", "s", value),
    )
    assert found.global_parameters == (GlobalParameter("own", 1),)
