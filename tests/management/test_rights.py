"""RabbitMQ answers 401 to four different things; each gets its own error."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Exchange, Kind, Permission, Policy, Queue, Vhost
from letrade_topo.broker.reach import Width
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight, ReservedName
from letrade_topo.management.perform import bulk_create, create, delete
from letrade_topo.management.reading import read_queue_counts, read_state
from tests.brokers import RunningBroker
from tests.management.conftest import MakeUser
from tests.management.endpoints import endpoint_of


def client_of(broker: RunningBroker, user: str) -> ManagementClient:
    """A client of a user that `make_user` made."""
    return ManagementClient(endpoint_of(broker, username=user, password="secret"))


@pytest.mark.parametrize("tag", ["management", "policymaker", "monitoring"])
def test_reading_everything_needs_an_administrator(
    broker: RunningBroker, client: ManagementClient, vhost: str, make_user: MakeUser, tag: str
) -> None:
    """Who is none reads what it may, and is refused where everything was asked for, with how to add the tag."""
    user = make_user(tag)
    create(client, vhost, Permission(user, ".*", ".*", ".*"))
    create(client, vhost, Exchange("there", "topic"))
    with client_of(broker, user) as theirs:
        state = read_state(theirs, vhost)
    kinds = {thing.kind for thing in state.objects.values()}
    assert kinds - {Kind.GLOBAL_PARAMETER} == {Kind.VHOST, Kind.EXCHANGE}
    assert {kind for kind in Kind if state.reach.reads(kind)} >= kinds

    endpoint = endpoint_of(broker, username=user, password="secret")
    with ManagementClient(endpoint, width=Width.CLUSTER) as theirs, pytest.raises(MissingRight) as caught:
        read_state(theirs, vhost)
    assert caught.value.tags == (tag,)
    assert "administrator" in caught.value.needed
    assert f"set_user_tags {user} {tag} administrator" in caught.value.fix


def test_a_user_without_a_tag(broker: RunningBroker, make_user: MakeUser) -> None:
    """Right user, right password, but no management tag: not taken for a wrong login."""
    user = make_user()
    with client_of(broker, user) as theirs, pytest.raises(MissingRight, match="'management'"):
        theirs.whoami()


def test_an_administrator_without_a_permission_in_the_vhost(
    broker: RunningBroker, vhost: str, make_user: MakeUser
) -> None:
    """The tag is enough to read everything, but not to write: the error names the vhost and what grants it."""
    user = make_user("administrator")
    with client_of(broker, user) as theirs:
        assert read_state(theirs, vhost).vhost_exists
        with pytest.raises(MissingRight) as caught:
            create(theirs, vhost, Queue("q", arguments={"x-queue-type": "classic"}))

    assert repr(vhost) in caught.value.needed
    assert f"set_permissions -p {vhost!r} {user}" in caught.value.fix


def test_a_reader_without_a_permission_in_the_vhost(broker: RunningBroker, vhost: str, make_user: MakeUser) -> None:
    """Other tags do not open a vhost."""
    with client_of(broker, make_user("monitoring")) as theirs, pytest.raises(MissingRight) as caught:
        theirs.queues(vhost)

    assert repr(vhost) in caught.value.needed


def test_amqp_permissions_count_too(
    broker: RunningBroker, client: ManagementClient, vhost: str, make_user: MakeUser
) -> None:
    """The broker says only "Access refused."; the error says which permissions to look at."""
    user = make_user("administrator")
    create(client, vhost, Permission(user, "^mine$", "", ""))
    with client_of(broker, user) as theirs:
        create(theirs, vhost, Exchange("mine", "topic"))
        with pytest.raises(MissingRight, match="configure, write or read permission") as caught:
            create(theirs, vhost, Exchange("other", "topic"))

    assert "'other'" in caught.value.what


@pytest.mark.parametrize("thing", [Exchange("amq.mine", "topic"), Queue("amq.mine", arguments={})])
def test_reserved_names(client: ManagementClient, vhost: str, thing: Exchange | Queue) -> None:
    """An administrator who may do everything is told that the name is reserved, not that a right is missing."""
    with pytest.raises(ReservedName, match=r"amq\.") as caught:
        create(client, vhost, thing)

    assert "another name" in caught.value.fix


def test_each_action_names_the_tag_it_needs(broker: RunningBroker, vhost: str, make_user: MakeUser) -> None:
    """Policies need `policymaker`; vhosts, permissions and bulk imports an administrator."""
    user = make_user("management")
    actions = (
        ("policymaker", lambda c: create(c, vhost, Policy("p", "^x$", "queues", {"max-length": 1}))),
        ("policymaker", lambda c: c.put_global_parameter("letrade-topo.test", {})),
        ("administrator", lambda c: create(c, vhost, Vhost("never-made"))),
        ("administrator", lambda c: delete(c, vhost, Permission(user, "", "", ""))),
        ("administrator", lambda c: bulk_create(c, vhost, [Exchange("x", "topic")])),
    )
    with client_of(broker, user) as theirs:
        for tag, act in actions:
            with pytest.raises(MissingRight) as caught:
                act(theirs)

            assert tag in caught.value.needed


@pytest.mark.parametrize("tag", ["management", "policymaker", "monitoring"])
def test_what_one_may_not_see_is_not_empty(
    broker: RunningBroker, client: ManagementClient, vhost: str, make_user: MakeUser, tag: str
) -> None:
    """Newer versions answer 404 to who may not see a vhost: that is a missing right, never a listing without items."""
    create(client, vhost, Exchange("there", "topic"))
    with client_of(broker, make_user(tag)) as theirs:
        for read in (theirs.exchanges, theirs.queues, theirs.bindings, theirs.policies, theirs.queue_totals):
            with pytest.raises(MissingRight):
                read(vhost)
        with pytest.raises(MissingRight):
            read_queue_counts(theirs, vhost)
