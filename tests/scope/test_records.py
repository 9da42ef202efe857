"""One record, never two truths: in the vhost, taken over by an administrator, given back, and cut off at any point."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from letrade_topo.broker.addresses import Address
from letrade_topo.broker.kinds import Kind
from letrade_topo.broker.reach import EVERYTHING, LoginReach, Width
from letrade_topo.broker.records import ARGUMENT, TAKEN_OVER, RecordPlaces, VhostCopy, merged, places_of
from letrade_topo.model.messages import Json
from letrade_topo.model.names import ownership_record, vhost_record
from letrade_topo.plan.ownership import OwnershipRecord
from tests.scope.conftest import Place
from tests.topologies import write

pytestmark = [pytest.mark.broker, pytest.mark.one_version]  # all: --every-version

WITHOUT_SERVICES = {"messages": None, "services": None, "retry": None, "limits": None, "ownership": "shared"}
NAME = ownership_record("orders", "v")


def record(*owned: str, **more: Json) -> dict[str, Json]:
    """A record as it is stored."""
    stored = OwnershipRecord().settled(map(Address, owned)).to_json()
    assert isinstance(stored, dict)
    return stored | more


def copy(number: int, value: Json) -> dict[str, Json]:
    """An exchange of the listing."""
    arguments: dict[str, Json] = {} if value is None else {ARGUMENT: json.dumps(value)}
    return {"name": vhost_record("orders", number), "arguments": arguments}


def test_the_highest_number_counts() -> None:
    """A run that died before it deleted the older one leaves two; ten comes after nine."""
    (place,) = places_of("v", [copy(10, record("queue:new")), copy(9, record("queue:old"))], None).values()
    assert place.value == record("queue:new")
    assert place.number == 10


def test_others_exchanges_are_no_records() -> None:
    """Neither of another shape of name, nor a record of another topology for this one."""
    exchanges = [{"name": "orders"}, {"name": "letrade-topo.record.orders.x"}, {"name": "letrade-topo.record.a.b.1"}]
    assert places_of("v", exchanges, {}) == {}
    (name,) = places_of("w", [copy(1, record())], None)
    assert name == ownership_record("orders", "w")


@pytest.mark.parametrize("died_after", ["the parameter", "the mark", "the deletion"])
def test_taking_over_may_end_anywhere(died_after: str) -> None:
    """The administrator's record is the truth from the moment in which it is written."""
    old, new = record("queue:a"), record("queue:a", "user:u", taken_over=4)
    copies = {
        "the parameter": [copy(4, old)],
        "the mark": [copy(4, old), copy(5, None)],
        "the deletion": [copy(5, None)],
    }
    (place,) = places_of("v", copies[died_after], {NAME: new}).values()
    assert place.value == new
    assert not place.is_in_vhost
    (blind,) = places_of("v", copies[died_after], None).values()
    assert blind.is_out_of_sight == (died_after != "the parameter")


def test_written_later_by_who_could_not_see() -> None:
    """Both together: of kinds that the later one wrote it knows all, of the others only the earlier one knows."""
    cluster = record("queue:gone", "queue:kept", "user:u", "policy:p")
    vhost = record("queue:kept", "queue:new", kinds=["queue", "exchange", "binding"])
    (place,) = places_of("v", [copy(1, vhost)], {NAME: cluster}).values()
    assert place.is_in_vhost
    found = OwnershipRecord.parse(NAME, place.value)
    assert found.owned == {"queue:kept", "queue:new", "user:u", "policy:p"}


def test_records_of_another_spelling_are_not_mixed() -> None:
    """An address of 0.1.0 may mean something else today: it is let go of."""
    assert merged(record("queue:a", kinds=[]), record("user:u", spelling=1)) == record("queue:a", kinds=[])


def test_a_taken_over_record_that_was_deleted() -> None:
    """Who can see that it is gone has no record; who cannot still stops."""
    place = RecordPlaces(NAME, None, (VhostCopy("x", 5, None),))
    assert (place.value, place.is_out_of_sight, place.is_in_vhost) == (None, False, False)
    assert replace(place, sees_cluster=False).is_out_of_sight
    assert place.number == 5


@pytest.mark.parametrize(
    ("tags", "wanted", "width", "policies", "users"),
    [
        ((), None, Width.VHOST, "read", "none"),
        (("management",), None, Width.VHOST, "read", "none"),
        (("monitoring", "policymaker"), None, Width.VHOST, "write", "none"),
        (("administrator",), None, Width.CLUSTER, "write", "write"),
        (("administrator", "of-their-own"), Width.VHOST, Width.VHOST, "write", "read"),
    ],
)
def test_reach(tags: tuple[str, ...], wanted: Width | None, width: Width, policies: str, users: str) -> None:
    """Tags add up, those of others do not matter, and a narrower scope takes away what is beyond the vhost."""
    reach = LoginReach.of(tags, wanted)
    found = (reach.width, reach.access[Kind.POLICY].name.lower(), reach.access[Kind.USER].name.lower())
    assert found == (width, policies, users)
    assert reach.is_everything == (reach == EVERYTHING)


@pytest.mark.broker
def test_an_administrator_takes_over_and_gives_back(place: Place) -> None:
    """One record at any time; whoever cannot see it is told so, and stops; nothing is made or deleted by the moves."""
    place.declare(**WITHOUT_SERVICES, queues={"work": {}, "old": {}})
    theirs = place.login("management")
    theirs.run("apply", "--yes").check(0)
    assert len(place.records()) == 1
    assert place.cluster_record() is None

    assert "`apply` takes it over" in place.administrator.run("plan").check(0).out
    place.administrator.run("apply", "--yes").check(0)
    taken = place.cluster_record()
    assert taken is not None
    assert {"queue:work", "queue:old"} < set(taken["owned"])
    assert list(place.records().values()) == [None]
    place.administrator.run("apply", "--yes").check(0)
    assert place.cluster_record() == taken

    refused = theirs.run("apply", "--yes").check(77)
    assert "apply --scope vhost" in refused.err
    theirs.run("drift").check(0)

    place.administrator.run("apply", "--yes", "--scope", "vhost").check(0)
    assert place.cluster_record() is None
    (text,) = place.records().values()
    assert text is not None
    assert set(json.loads(text)["owned"]) == set(taken["owned"])

    place.declare(**WITHOUT_SERVICES, queues={"work": {}})
    theirs.run("apply", "--yes", "--allow", "delete-consumed=queue:old", "--allow", "delete-many").check(0)
    assert "old" not in place.names("queues")


@pytest.mark.broker
@pytest.mark.one_version
def test_two_who_could_not_see_each_other(place: Place) -> None:
    """The administrator's users stay its own through a run of somebody who knows of none, and go with `destroy`."""
    place.administrator.run("apply", "--yes", "--allow", "adopt").check(0)
    theirs = place.login("management")
    assert "taken for somebody else's" in theirs.run("plan").check(0).out
    theirs.run("apply", "--yes").check(0)
    assert place.records()
    place.administrator.run("apply", "--yes").check(0)
    found = place.cluster_record()
    assert found is not None
    assert f"user:{place.vhost}-shop" in found["owned"]
    assert {str(found[TAKEN_OVER]): None} == place.records()
    place.administrator.run("destroy", "--yes").check(0)
    assert place.broker.api("GET", f"/api/users/{place.vhost}-shop").status_code == 404
    assert (place.records(), place.cluster_record()) == ({}, None)


@pytest.mark.broker
@pytest.mark.one_version
def test_a_policymaker_moves_it_by_itself(place: Place) -> None:
    """It can read and write both places; what is beyond its scope stays the record's."""
    place.administrator.run("apply", "--yes", "--allow", "adopt").check(0)
    theirs = place.login("policymaker")
    assert "moves it into the vhost" in theirs.run("plan").check(0).out
    theirs.run("apply", "--yes").check(0)
    assert place.cluster_record() is None
    (text,) = place.records().values()
    assert text is not None
    assert f"user:{place.vhost}-shop" in json.loads(text)["owned"]
    place.administrator.run("destroy", "--yes").check(0)
    assert place.broker.api("GET", f"/api/users/{place.vhost}-shop").status_code == 404


@pytest.mark.broker
@pytest.mark.one_version
def test_a_plan_is_for_who_reaches_as_far(place: Place) -> None:
    """Saved by one who does not look at users, it is refused to the administrator, who would delete them."""
    place.administrator.run("apply", "--yes", "--allow", "adopt").check(0)
    place.administrator.run("apply", "--yes", "--scope", "vhost").check(0)
    document = place.declare()
    document["exchanges"]["more"] = {}
    write(place.folder / "topology.yaml", document)
    theirs = place.login("management")
    theirs.run("plan", "-o", "saved.plan").check(2)
    refused = place.administrator.run("apply", "--yes", "saved.plan").check(77)
    assert "this login reaches another part of it" in refused.err
    assert place.broker.api("GET", f"/api/users/{place.vhost}-shop").ok
    theirs.run("apply", "--yes", "saved.plan").check(0)
    assert "more" in place.names("exchanges")
