"""RabbitMQ answers 401 to four different things; each gets its own error."""

from __future__ import annotations

import pytest

from letrade_topo.broker.objects import Exchange, Permission, Policy, Queue, Vhost
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import MissingRight, ReservedName
from letrade_topo.management.perform import bulk_create, create, delete
from letrade_topo.management.reading import read_state
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
    """The error names what cannot be read, the tags the user has, the one it lacks, and how to add it."""
    user = make_user(tag)
    create(client, vhost, Permission(user, ".*", ".*", ".*"))
    with client_of(broker, user) as theirs, pytest.raises(MissingRight) as caught:
        read_state(theirs, vhost)

    assert caught.value.tags == (tag,)
    assert "administrator" in caught.value.needed
    assert f"{user!r} may not read" in caught.value.what
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
