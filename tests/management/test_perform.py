"""Acting on objects of real brokers, one by one and in bulk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from letrade_topo.broker.objects import (
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
from letrade_topo.broker.passwords import HASHING_ALGORITHM, hash_password
from letrade_topo.broker_errors import LoginRefused
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused
from letrade_topo.management.perform import bulk_create, create, delete, update
from letrade_topo.management.reading import read_state
from tests.brokers import RunningBroker
from tests.management.conftest import MakeUser
from tests.management.endpoints import endpoint_of

QUORUM = {"x-queue-type": "quorum"}
CLASSIC = {"x-queue-type": "classic"}


def live(client: ManagementClient, vhost: str, thing: BrokerObject) -> BrokerObject | None:
    """The object of this address on the broker."""
    return read_state(client, vhost).objects.get(thing.address)


def one_of_each(user: str) -> list[BrokerObject]:
    """Objects of every kind but vhost and user, in an order in which they can be made."""
    return [
        VhostLimit("max-queues", 50),
        UserLimit(user, "max-channels", 9),
        Exchange("e", "topic"),
        Queue("q", arguments=QUORUM),
        Binding("e", "queue", "q", "a.#"),
        Binding("e", "queue", "q", "a.#", {"x": 1}),
        Policy("p", "^q$", "queues", {"max-length": 10}, 1),
        TopicPermission(user, "e", "^a", "^b"),
        Permission(user, "", "", ""),
    ]


def test_every_action_may_be_repeated(client: ManagementClient, vhost: str, make_user: MakeUser) -> None:
    """What is already made is no error, nor is what is already gone; nothing else is touched."""
    things = one_of_each(make_user())
    before = read_state(client, vhost).objects
    for thing in things:
        create(client, vhost, thing)
        create(client, vhost, thing)
        assert live(client, vhost, thing) == thing
    for thing in reversed(things):
        delete(client, vhost, thing)
        delete(client, vhost, thing)
        assert live(client, vhost, thing) is None

    assert read_state(client, vhost).objects == before


def test_deleting_where_everything_around_is_gone(client: ManagementClient, vhost_name: str) -> None:
    """Without its vhost or its user an object is gone too; 3.10 answers 500 to some of these."""
    for thing in [*one_of_each(f"{vhost_name}-nobody"), Vhost(vhost_name), User(f"{vhost_name}-nobody")]:
        delete(client, vhost_name, thing)


def test_changing_in_place(client: ManagementClient, vhost: str, make_user: MakeUser) -> None:
    """What the broker can change is overwritten whole."""
    user = make_user("management")
    create(client, vhost, Policy("p", "^q$", "queues", {"max-length": 10, "expires": 5}, 1))
    changed: list[BrokerObject] = [
        Policy("p", "^z$", "all", {"max-length": 11}, 2),
        VhostLimit("max-queues", 51),
        UserLimit(user, "max-channels", 10),
        Permission(user, "a", "b", "c"),
        User(user, ("monitoring",), hash_password("other", b"abcd"), HASHING_ALGORITHM),
    ]
    for thing in changed:
        update(client, vhost, thing)

        assert live(client, vhost, thing) == thing


@pytest.mark.parametrize("thing", [Exchange("e", "topic"), Queue("q"), Binding("e", "queue", "q")])
def test_what_cannot_change_is_the_callers_mistake(client: ManagementClient, vhost: str, thing: BrokerObject) -> None:
    """An exchange, queue or binding is never updated; nothing is sent."""
    with pytest.raises(TypeError, match="in place"):
        update(client, vhost, thing)


def test_a_changed_limit_leaves_the_others(client: ManagementClient, vhost: str) -> None:
    """The API keeps the limits of a vhost together; ours are single objects, in bulk too."""
    create(client, vhost, VhostLimit("max-queues", 50))
    bulk_create(client, vhost, [VhostLimit("max-connections", 5)])
    state = read_state(client, vhost)

    assert Address("vhost-limit:max-queues") in state.objects
    assert Address("vhost-limit:max-connections") in state.objects


def test_a_topic_permission_is_deleted_alone(client: ManagementClient, vhost: str, make_user: MakeUser) -> None:
    """Those of the same user on other exchanges stay."""
    user = make_user()
    one, other = TopicPermission(user, "e/1", "^a", ""), TopicPermission(user, "e/2", "^b", "")
    for thing in (Exchange("e/1", "topic"), Exchange("e/2", "topic"), one, other):
        create(client, vhost, thing)
    delete(client, vhost, one)

    assert live(client, vhost, one) is None
    assert live(client, vhost, other) == other


@pytest.mark.parametrize("has_others", [True, False])
def test_a_topic_permission_on_the_default_exchange_is_deleted_alone(
    client: ManagementClient, vhost: str, make_user: MakeUser, has_others: bool
) -> None:
    """No path can name it: the user's others go with it, and are there again, without a moment that is open."""
    user = make_user()
    nameless = TopicPermission(user, "", "^a$", "^b$")
    others: list[BrokerObject] = []
    if has_others:
        others = [TopicPermission(user, "e/1", "^a", ""), Permission(user, "c", ".*", "r")]
    create(client, vhost, Exchange("e/1", "topic"))
    for thing in (nameless, *others):
        create(client, vhost, thing)
    assert live(client, vhost, nameless) == nameless
    seen: list[tuple[bool, bool]] = []

    def look(*_: object) -> None:
        """After each call: may the user write, and are its topic permissions there?"""
        with ManagementClient(client.endpoint) as watching:
            rights = [one for one in watching.permissions(vhost) if one["user"] == user]
            topics = {one["exchange"] for one in watching.topic_permissions(vhost) if one["user"] == user}
        seen.append((any(one["write"] for one in rights), "e/1" in topics))

    with ManagementClient(client.endpoint, observe=look) as observed:
        delete(observed, vhost, nameless)
        delete(observed, vhost, nameless)

    assert live(client, vhost, nameless) is None
    assert [live(client, vhost, one) for one in others] == others
    assert all(topics for may_write, topics in seen if may_write)


def test_a_user_without_a_password_cannot_log_in(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """An empty hash is written as such: no password is accepted, not even an empty one."""
    user = User(f"{vhost}-user", ("management",))
    create(client, vhost, user)
    try:
        assert live(client, vhost, user) == user
        with (
            ManagementClient(endpoint_of(broker, username=user.name, password="anything")) as theirs,
            pytest.raises(LoginRefused),
        ):
            theirs.whoami()
        assert broker.api("GET", "/api/whoami").status_code == 200
        empty = endpoint_of(broker, username=user.name)
        with ManagementClient(replace(empty, password="")) as theirs, pytest.raises(LoginRefused):
            theirs.whoami()
    finally:
        delete(client, vhost, user)


def test_a_hashed_password_logs_in(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """The hash that we make is the one the broker checks against, for any text."""
    for plain in ("plain", "비밀번호 ü", "with:colon\nand newline"):
        user = User(f"{vhost}-user", ("management",), hash_password(plain, b"\x00\xff\x10:"), HASHING_ALGORITHM)
        create(client, vhost, user)
        try:
            with ManagementClient(endpoint_of(broker, username=user.name, password=plain)) as theirs:
                assert theirs.whoami().name == user.name
        finally:
            delete(client, vhost, user)


def test_the_right_binding_is_deleted(client: ManagementClient, vhost: str) -> None:
    """Of many between one pair, by key and arguments, with and without the broker's own key for it."""
    create(client, vhost, Exchange("e", "headers"))
    create(client, vhost, Exchange("f", "headers"))
    bindings: list[Binding] = [
        Binding("e", kind, name, key, arguments)
        for kind, name in (("queue", "q"), ("exchange", "f"))
        for key in ("", "~", "a b/c%41#", "ü")
        for arguments in ({}, {"x": 1}, {"x": "1"}, {"x": True}, {"x": 1.5})
    ]
    create(client, vhost, Queue("q", arguments=CLASSIC))
    for binding in bindings:
        create(client, vhost, binding)
    found = read_state(client, vhost).objects
    for position, binding in enumerate(bindings):
        with_key = found[binding.address]
        assert isinstance(with_key, Binding)
        assert with_key.properties_key is not None
        delete(client, vhost, with_key if position % 2 else binding)
        left = {address for address in read_state(client, vhost).objects if address.startswith("binding:")}
        assert left == {each.address for each in bindings[position + 1 :]}


def test_a_different_queue_of_the_same_name(client: ManagementClient, vhost: str) -> None:
    """Making it is refused with the broker's own words; nothing changes."""
    create(client, vhost, Queue("q", arguments=QUORUM))
    with pytest.raises(BrokerRefused, match="inequivalent arg 'x-message-ttl'") as caught:
        create(client, vhost, Queue("q", arguments={**QUORUM, "x-message-ttl": 5}))

    assert caught.value.status == 400
    assert live(client, vhost, Queue("q")) == Queue("q", arguments=QUORUM)


def test_deleting_on_conditions(client: ManagementClient, broker: RunningBroker, vhost: str) -> None:
    """A classic queue with a message stays; a quorum queue refuses the condition itself."""
    classic, quorum = Queue("classic", arguments=CLASSIC), Queue("quorum", arguments=QUORUM)
    for queue in (classic, quorum):
        create(client, vhost, queue)
    body = {"properties": {}, "routing_key": "classic", "payload": "x", "payload_encoding": "string"}
    assert broker.api("POST", f"/api/exchanges/{vhost}/amq.default/publish", json=body).json() == {"routed": True}
    for queue, reason in ((classic, "not empty|in use"), (quorum, "not supported by quorum queues")):
        with pytest.raises(BrokerRefused, match=reason):
            delete(client, vhost, queue, if_empty=True, if_unused=True)
        assert live(client, vhost, queue) == queue
    delete(client, vhost, classic, if_unused=True)

    assert live(client, vhost, classic) is None


def test_bulk_makes_what_single_calls_make(client: ManagementClient, vhost: str, make_user: MakeUser) -> None:
    """Every kind at once, and each kind alone, in one call where the broker can."""
    user = make_user("management")
    things = [*one_of_each(user), Queue("q/ü#%", arguments={**CLASSIC, "deep": [1, ["a", {"b": 0.5}]]})]
    bulk_create(client, vhost, things)
    state = read_state(client, vhost)
    for thing in things:
        assert state.objects[thing.address] == thing
        delete(client, vhost, thing)
    for thing in things:
        bulk_create(client, vhost, [thing])

    state = read_state(client, vhost)
    for thing in things:
        assert state.objects[thing.address] == thing
    assert state.objects[Address(f"user:{user}")].attributes["tags"] == ["management"]


def test_bulk_users(client: ManagementClient, vhost: str) -> None:
    """Users come with tags, hashes or no password at all, and are overwritten when they exist."""
    names = [f"{vhost}-user-{number}" for number in range(3)]
    users = [
        User(names[0], ("management",), hash_password("x", b"salt"), HASHING_ALGORITHM),
        User(names[1]),
        User(names[2], ("a", "b")),
    ]
    try:
        bulk_create(client, vhost, [User(names[1], ("administrator",)), *users[2:]])
        bulk_create(client, vhost, users)
        objects = read_state(client, vhost).objects
        assert [objects[user.address] for user in users] == users
    finally:
        for user in users:
            delete(client, vhost, user)


def test_bulk_makes_one_call(client: ManagementClient, vhost: str) -> None:
    """Hundreds of objects of several categories: one HTTP request."""
    before = client.calls
    things: list[BrokerObject] = [Exchange("e", "topic"), *(Queue(f"q{n}", arguments=CLASSIC) for n in range(100))]
    bulk_create(client, vhost, things)

    assert client.calls == before + 1
    assert len(read_state(client, vhost).queues) == 100


def test_bulk_skips_what_exists(client: ManagementClient, vhost: str) -> None:
    """An equal queue and a different one alike are skipped without a word: only reading back tells."""
    create(client, vhost, Queue("q", arguments=QUORUM))
    create(client, vhost, Exchange("e", "topic"))
    bulk_create(
        client,
        vhost,
        [Queue("q", arguments={**QUORUM, "x-message-ttl": 5}), Queue("r", arguments=QUORUM), Exchange("e", "fanout")],
    )
    state = read_state(client, vhost)

    assert state.objects[Address("queue:q")] == Queue("q", arguments=QUORUM)
    assert state.objects[Address("exchange:e")] == Exchange("e", "topic")
    assert Address("queue:r") in state.objects


def test_bulk_ends_at_the_first_error(client: ManagementClient, vhost: str) -> None:
    """The broker's words are readable on every version; later categories are not made, some of this one are."""
    things: list[BrokerObject] = [
        Exchange("e", "topic"),
        Queue("good", arguments=QUORUM),
        Queue("bad", arguments={**QUORUM, "x-max-priority": 5}),
        Binding("e", "queue", "good", "k"),
    ]
    with pytest.raises(BrokerRefused, match="invalid arg 'x-max-priority' for queue 'bad'") as caught:
        bulk_create(client, vhost, things)
    state = read_state(client, vhost)

    assert caught.value.status == 400
    assert Address("exchange:e") in state.objects
    assert Address("queue:bad") not in state.objects
    assert things[-1].address not in state.objects


def test_the_brokers_reason_is_shown(client: ManagementClient, vhost: str) -> None:
    """A refused policy is explained in the broker's words, without the HTML that it escapes them with."""
    with pytest.raises(BrokerRefused) as caught:
        create(client, vhost, Policy("p", "^q$", "queues", {"no-such-key": 1}))

    assert "are not recognised policy settings" in caught.value.why
    assert '<<"no-such-key">>' in caught.value.reason
