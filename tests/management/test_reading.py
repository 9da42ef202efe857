"""Reading live state from real brokers."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import (
    CLUSTER_KINDS,
    Address,
    Binding,
    BrokerObject,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.broker.passwords import HASHING_ALGORITHM
from letrade_topo.broker.state import LiveState
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import NoManagementApi, NotFound
from letrade_topo.management.perform import create, delete
from letrade_topo.management.reading import read_state
from letrade_topo.model.messages import Json
from letrade_topo.model.names import lock_queue, ownership_record
from tests.brokers import RunningBroker
from tests.management.conftest import MakeUser
from tests.management.endpoints import amqp, plain_endpoint, seconds_until, serving

CALLS = 16


def in_vhost(state: LiveState) -> set[Address]:
    """The addresses of what lives in the vhost, without the vhost and the administrator's permission."""
    own = {f"vhost:{state.vhost}", f"permission:{state.broker.username}"}
    return {
        address for address, thing in state.objects.items() if thing.kind not in CLUSTER_KINDS and address not in own
    }


def test_an_empty_vhost(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """What the broker makes by itself is not there: default exchange, amq.* exchanges, implicit bindings."""
    state = read_state(client, vhost)

    assert state.vhost_exists
    assert in_vhost(state) == set()
    assert state.broker.version == broker.version
    assert (state.broker.username, state.broker.user_tags) == (broker.username, ("administrator",))
    assert state.broker.cluster


def test_the_number_of_calls_is_fixed(client: ManagementClient, vhost: str) -> None:
    """However many objects there are."""
    read_state(client, vhost)
    assert client.calls == CALLS + 1  # one made the vhost


def test_a_vhost_that_does_not_exist(client: ManagementClient, vhost_name: str) -> None:
    """No error: a state without vhost objects, but with the users, which belong to the cluster."""
    state = read_state(client, vhost_name)

    assert not state.vhost_exists
    assert in_vhost(state) == set()
    assert Address(f"user:{client.endpoint.username}") in state.objects


def test_listeners_say_where_they_really_listen(client: ManagementClient, broker: RunningBroker) -> None:
    """The management plugin's own listeners claim `::` in the API; the node listens on loopback only."""
    listeners = read_state(client, "/").broker.listeners

    assert listeners is not None
    found = {(listener.protocol, listener.ip) for listener in listeners if listener.protocol != "clustering"}
    assert found == {("amqp/ssl", "127.0.0.1"), ("https", "127.0.0.1")}
    assert broker.amqps_port in {listener.port for listener in listeners}


def test_every_kind_reads_back_as_it_was_made(client: ManagementClient, vhost: str, make_user: MakeUser) -> None:
    """All kinds, with names that need encoding, equal what was sent."""
    user = make_user("monitoring", "management")
    things: list[BrokerObject] = [
        VhostLimit("max-queues", 50),
        VhostLimit("max-connections", 7),
        UserLimit(user, "max-channels", 9),
        Exchange("e/ü #%", "topic", arguments={"alternate-exchange": "amq.fanout"}),
        Exchange("inner", "headers", durable=False, internal=True),
        Queue("q/ü#% @+~?&", arguments={"x-queue-type": "quorum", "x-message-ttl": 5_000}),
        Queue("classic", durable=True, arguments={"x-queue-type": "classic", "x-max-priority": 3}),
        Binding("e/ü #%", "queue", "q/ü#% @+~?&", "a.*.ü/#"),
        Binding("e/ü #%", "queue", "classic", ""),
        Binding("e/ü #%", "exchange", "inner", "~ %41+"),
        Binding("inner", "queue", "classic", "", {"x-match": "all", "n": 1, "deep": [1, ["a"], {"b": True}]}),
        Policy("p/ü", r"^q/ü#% @\+~\?&$", "queues", {"max-length": 10}, 3),
        Permission(user, "", "^x$", ".*"),
        TopicPermission(user, "e/ü #%", "^a", "^b"),
    ]
    for thing in things:
        create(client, vhost, thing)
    state = read_state(client, vhost)

    for thing in things:
        assert state.objects[thing.address] == thing
    assert in_vhost(state) == {thing.address for thing in things if not isinstance(thing, UserLimit)}
    live_user = state.objects[Address(f"user:{user}")]
    assert isinstance(live_user, User)
    assert (live_user.tags, live_user.hashing_algorithm) == (("management", "monitoring"), HASHING_ALGORITHM)
    assert state.queues["q/ü#% @+~?&"].policy == "p/ü"
    assert state.queues["classic"].policy is None


def test_vhosts_with_names_that_need_encoding(client: ManagementClient, vhost_name: str) -> None:
    """A vhost with slash, space and percent sign is made, filled, read and deleted like any other."""
    name = f"{vhost_name}/b c%2F#ü"
    create(client, name, Vhost(name))
    try:
        create(client, name, Queue("q", arguments={"x-queue-type": "quorum"}))
        assert Address("queue:q") in read_state(client, name).objects
    finally:
        delete(client, name, Vhost(name))

    assert not read_state(client, name).vhost_exists


def test_arguments_keep_their_types(client: ManagementClient, vhost: str) -> None:
    """Large integers, floats, nested arrays, true and text that looks like a number come back as sent."""
    arguments: dict[str, Json] = {
        "x-queue-type": "classic",
        "big": 2**53 + 1,
        "negative": -(2**62),
        "float": 0.1,
        "whole": 2.0,
        "text": "5",
        "true": True,
        "deep": [1, [2.5, "a", [False]], {"k": [{"l": 2**40}]}],
        "empty": [],
        "unicode": "가격",
    }
    create(client, vhost, Queue("q", arguments=arguments))
    live = read_state(client, vhost).objects[Address("queue:q")]

    assert isinstance(live, Queue)
    assert repr(sorted(live.arguments.items())) == repr(sorted(arguments.items()))


def test_every_queue_says_its_type(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """A queue declared without a type has one when it is read, on every version alike."""
    broker.api("PUT", f"/api/queues/{vhost}/plain", json={"durable": True, "auto_delete": False, "arguments": {}})
    live = read_state(client, vhost).objects[Address("queue:plain")]

    assert live == Queue("plain", arguments={"x-queue-type": "classic"})


def test_exclusive_and_auto_delete_queues_are_marked(
    client: ManagementClient, broker: RunningBroker, vhost: str
) -> None:
    """They are objects like others; what to make of them is the planner's business."""
    with amqp(broker, vhost) as channel:
        channel.queue_declare("service.reply.1", exclusive=True)
        channel.queue_declare("passing", auto_delete=True, durable=True)
        state = read_state(client, vhost)

    assert state.queues["service.reply.1"].exclusive
    assert not state.queues["passing"].exclusive
    passing = state.objects[Address("queue:passing")]
    assert isinstance(passing, Queue)
    assert passing.auto_delete


def test_the_tools_own_queue_and_records(client: ManagementClient, vhost: str) -> None:
    """A lock is no object; ownership records of every topology are read, other global parameters are not."""
    record = ownership_record("letrade", vhost)
    create(client, vhost, Queue(lock_queue("letrade"), arguments={"x-queue-type": "classic"}))
    client.put_global_parameter(record, {"format": 1, "owned": ["queue:x"]})
    client.put_global_parameter(f"other.{vhost}", "x")
    try:
        state = read_state(client, vhost)

        assert state.records[record] == {"format": 1, "owned": ["queue:x"]} == client.global_parameter(record)
        assert f"other.{vhost}" not in state.records
        assert in_vhost(state) == set()
        assert state.queues == {}
    finally:
        client.delete_global_parameter(record)
        client.delete_global_parameter(f"other.{vhost}")
    client.delete_global_parameter(record)  # absent by now, which is no error
    with pytest.raises(NotFound):
        client.global_parameter(record)


def test_operator_policies_are_read(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """As they are listed; a queue's is the one that the broker itself says is in effect."""
    for name, target, priority in (("low", "all", 0), ("high", "queues", 5), ("other", "exchanges", 9)):
        body = {"pattern": "^q", "apply-to": target, "definition": {"max-length": 5}, "priority": priority}
        answer = broker.api("PUT", f"/api/operator-policies/{vhost}/{name}", json=body)
        assert answer.status_code == 201 or target == "exchanges", answer.text
    create(client, vhost, Queue("q", arguments={"x-queue-type": "quorum"}))
    create(client, vhost, Queue("z", arguments={"x-queue-type": "quorum"}))
    state = read_state(client, vhost)

    def seen() -> dict[str, str | None]:
        queues = (broker.api("GET", f"/api/queues/{vhost}/{name}").json() for name in "qz")
        return {queue["name"]: queue.get("operator_policy") for queue in queues}

    assert {policy["name"] for policy in state.operator_policies} >= {"low", "high"}
    assert {name: status.operator_policy for name, status in state.queues.items()} == {"q": "high", "z": None}
    seconds_until(lambda: seen() == {"q": "high", "z": None})  # statistics: up to 10 s later


def test_messages_are_counted(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """How soon is a matter of test_queue_counts.py."""
    create(client, vhost, Queue("q", arguments={"x-queue-type": "classic"}))
    with amqp(broker, vhost) as channel:
        channel.confirm_delivery()
        for _ in range(3):
            channel.basic_publish("", "q", b"x")

    seconds_until(lambda: read_state(client, vhost).queues["q"].messages == 3)


def test_a_listing_of_an_unknown_shape_is_no_traceback() -> None:
    """An answer that lacks what every version has is said to be that."""
    who = (200, "application/json", '{"name":"user","tags":["administrator"]}')
    with (
        serving(who, (200, "application/json", '[{"nome":"x"}]')) as server,
        ManagementClient(plain_endpoint(server.port)) as client,
        pytest.raises(NoManagementApi),
    ):
        read_state(client, "/")
