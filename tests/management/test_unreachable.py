"""What the management API cannot address or list: known before, and explained where it is there all the same."""

from __future__ import annotations

import re
import shlex
from urllib.parse import quote

import pytest

from letrade_topo.broker.objects import Binding
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, ReservedName
from letrade_topo.management.perform import delete
from letrade_topo.management.reading import read_state
from letrade_topo.model.messages import Json
from letrade_topo.model.names import UNREACHABLE_NAMES, why_never_unbound
from tests.brokers import RunningBroker

KEYS = (
    *(
        "",
        "~",
        "~~",
        "a~",
        "~a",
        "a~b",
        "a~~",
        "a~~b",
        "~a~",
        "a~b~",
        "a~b~c",
        "null",
        "undefined",
        "null~",
        "nullable",
    ),
    *(
        ".",
        "..",
        "...",
        "./",
        "a/b",
        "a b",
        "a+b",
        "%",
        "%7E",
        "a%2Fb",
        "?",
        "#",
        "*",
        "ü",
        "\U0001f600",
        "\t",
        "\0",
        "k" * 255,
    ),
)
NAMES = (".", "..", "...", "a/..", "../a", "%2e", "%2F", "/", "//", "?", "#", "a b", ":", "\\", "null", "ü", "k" * 255)


def is_deleted(broker: RunningBroker, vhost: str, key: str, arguments: dict[str, Json]) -> bool:
    """Whether a binding can be made, listed and deleted over HTTP; the vhost is new for each."""
    broker.api("PUT", f"/api/vhosts/{vhost}", json={})
    try:
        broker.api("PUT", f"/api/queues/{vhost}/q", json={"durable": True})
        body = {"routing_key": key, "arguments": arguments}
        broker.api("POST", f"/api/bindings/{vhost}/e/amq.topic/q/q", json=body)
        listed = broker.api("GET", f"/api/bindings/{vhost}")
        if listed.status_code != 200:
            return False
        (name,) = (one["properties_key"] for one in listed.json() if one["source"])
        gone = broker.api("DELETE", f"/api/bindings/{vhost}/e/amq.topic/q/q/{quote(name, safe='')}")
        return gone.status_code == 204
    finally:
        broker.api("DELETE", f"/api/vhosts/{vhost}")


@pytest.mark.wide
@pytest.mark.parametrize("arguments", [{}, {"a": 1}], ids=["plain", "arguments"])
def test_keys_that_cannot_be_deleted_are_known(
    broker: RunningBroker, vhost_name: str, arguments: dict[str, Json]
) -> None:
    """Exactly those: no other key is refused."""
    ours = {key: why_never_unbound(key, has_arguments=bool(arguments)) is None for key in KEYS}
    theirs = {key: is_deleted(broker, vhost_name, key, arguments) for key in KEYS}

    assert ours == theirs


@pytest.mark.wide
@pytest.mark.parametrize("kind", ["queues", "exchanges", "policies", "users", "vhosts"])
def test_names_that_cannot_be_deleted_are_known(broker: RunningBroker, vhost_name: str, kind: str) -> None:
    """Exactly those, of every kind."""
    broker.api("PUT", f"/api/vhosts/{vhost_name}", json={})
    body = {
        "queues": {"durable": True},
        "exchanges": {"type": "topic"},
        "policies": {"pattern": "x", "definition": {"max-length": 1}},
        "users": {"password": "x", "tags": ""},
        "vhosts": {},
    }[kind]
    below = "" if kind in ("users", "vhosts") else f"/{vhost_name}"
    unreachable = set()
    for name in NAMES:
        if kind == "vhosts" and name == "/":
            continue  # it is always there
        path = f"/api/{kind}{below}/{quote(name, safe='').replace('.', '%2E')}"
        made = broker.api("PUT", path, json=body).status_code
        if (made, broker.api("DELETE", path).status_code) != (201, 204):
            unreachable.add(name)

    assert unreachable == UNREACHABLE_NAMES


def test_a_binding_that_cannot_be_deleted_is_said_to_be_so(
    broker: RunningBroker, client: ManagementClient, vhost: str
) -> None:
    """One that was made by other ways is neither deleted nor taken for gone."""
    broker.api("PUT", f"/api/queues/{vhost}/q", json={"durable": True})
    for key in ("null", "."):
        broker.api("POST", f"/api/bindings/{vhost}/e/amq.topic/q/q", json={"routing_key": key, "arguments": {}})
        with pytest.raises(ReservedName, match="AMQP client"):
            delete(client, vhost, Binding("amq.topic", "queue", "q", key))


ODD = '{{resource, <<"{vhost}">>, {kind}, <<255>>}}'
BREAKING = {
    "tilde": 'rabbit_binding:add({{binding, {{resource, <<"{vhost}">>, exchange, <<"amq.topic">>}}, <<"a~b">>,'
    ' {{resource, <<"{vhost}">>, queue, <<"q">>}}, [{{<<"a">>, long, 1}}]}}, <<"me">>).',
    "key": 'rabbit_binding:add({{binding, {{resource, <<"{vhost}">>, exchange, <<"amq.topic">>}}, <<255>>,'
    ' {{resource, <<"{vhost}">>, queue, <<"q">>}}, []}}, <<"me">>).',
    "queue": f"rabbit_amqqueue:declare({ODD.replace('{kind}', 'queue')}, true, false,"
    ' [{{<<"x-queue-type">>, longstr, <<"classic">>}}], none, <<"me">>).',
    "exchange": f"rabbit_exchange:declare({ODD.replace('{kind}', 'exchange')}, topic, true, false, false, [],"
    ' <<"me">>).',
}
REMOVING = {
    "tilde": ("[B ||", '[rabbit_binding:remove(B, <<"me">>) ||'),
    "key": ("[B ||", '[rabbit_binding:remove(B, <<"me">>) ||'),
    "queue": ("[N ||", '[rabbit_amqqueue:delete(Q, false, false, <<"me">>) ||'),
    "exchange": ("[N ||", '[rabbit_exchange:delete(element(2, X), false, <<"me">>) ||'),
}


@pytest.mark.parametrize("what", BREAKING)
def test_a_listing_that_breaks_down_names_its_cause_and_the_way_out(
    broker: RunningBroker, client: ManagementClient, vhost: str, what: str
) -> None:
    """Followed to the letter, the advice finds what is in the way, and only that; without it all is read again."""
    if broker.version.startswith("3.10") and what != "tilde":
        pytest.skip("3.10 lists names that are not UTF-8, as Latin 1")
    broker.api("PUT", f"/api/queues/{vhost}/q", json={"durable": True})
    broker.api("POST", f"/api/bindings/{vhost}/e/amq.topic/q/q", json={"routing_key": "a", "arguments": {"b": 1}})
    before = set(read_state(client, vhost).objects)
    broker.ctl("eval", BREAKING[what].format(vhost=vhost))

    with pytest.raises(BrokerRefused) as refused:
        read_state(client, vhost)

    assert "not UTF-8" in refused.value.why
    command = re.search(r"rabbitmqctl (eval '(?:[^']|'\"'\"')*')", refused.value.fix)
    assert command is not None
    expression = shlex.split(command[1])[1]
    assert "a~b" in broker.ctl("eval", expression) if what == "tilde" else broker.ctl("eval", expression) != "[]"
    broker.ctl("eval", expression.replace(*REMOVING[what]))
    assert set(read_state(client, vhost).objects) == before
