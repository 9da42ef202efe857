"""Passwords are compared offline and appear nowhere: not in plans, texts, saved plans or representations."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from letrade_topo.broker.objects import Address, User
from letrade_topo.model.security import SecretReference
from letrade_topo.model.topology import BrokerAccess
from letrade_topo.plan import saved
from letrade_topo.plan.drift import DriftReport
from letrade_topo.plan.plan import Plan
from letrade_topo.render import plan_json, plan_markdown, plan_text
from letrade_topo.render.drift import render
from tests.plan.worlds import PlanWorld, summary
from tests.topologies import Document, orders

PASSWORD = "kein-Geheimnis-mehr"
USER = Address("user:orders-shop")


def with_password() -> Document:
    """The orders topology whose publisher has a password."""
    document = orders()
    document["services"]["shop"]["password"] = {"env": "SHOP_PASSWORD"}
    return document


def stored(password: str, algorithm: str = "sha256") -> User:
    """The user as a broker stores it."""
    salt = b"\x01\x02\x03\x04"
    digest = hashlib.new(algorithm, salt + password.encode()).digest()
    encoded = base64.b64encode(salt + digest).decode()
    return User("orders-shop", (), encoded, f"rabbit_password_hashing_{algorithm}")


def secrets(world: PlanWorld, password: str = PASSWORD) -> dict[SecretReference, str]:
    """What the reference of the file leads to."""
    reference = world.topology.services["shop"].password
    assert reference is not None
    return {reference: password}


def plan(world: PlanWorld, password: str = PASSWORD) -> Plan:
    """A plan with the password at hand."""
    return world.plan(secrets=secrets(world, password))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "md5"])
def test_an_unchanged_password_is_not_written_again(algorithm: str) -> None:
    """The stored hash begins with its salt, so it can be told without asking the broker."""
    world = PlanWorld.in_sync(with_password()).add(stored(PASSWORD, algorithm))
    assert plan(world).in_sync


def test_a_changed_password_is_an_update_that_says_where_it_comes_from() -> None:
    """Changed on the broker by hand, or in the environment: both are a difference of the hash."""
    world = PlanWorld.in_sync(with_password()).add(stored("another"))
    changes = plan(world).changes
    assert summary(changes) == {f"update {USER}"}
    assert [(one.attribute, one.before, one.after) for one in changes[0].differences] == [
        ("password", "set", "env:SHOP_PASSWORD")
    ]


def test_a_tag_change_is_no_password_change() -> None:
    """Only what differs is shown."""
    user = stored(PASSWORD)
    world = PlanWorld.in_sync(with_password())
    world.add(User(user.name, ("administrator",), user.password_hash, user.hashing_algorithm))
    assert [one.attribute for one in plan(world).changes[0].differences] == ["tags"]


def test_a_service_without_a_reference_has_no_password() -> None:
    """One that was set by hand is a difference."""
    world = PlanWorld.in_sync(orders()).add(stored("by hand"))
    assert [(one.before, one.after) for one in world.plan().changes[0].differences] == [("set", "none")]


@pytest.mark.parametrize(
    "user", [stored("another"), stored(PASSWORD), User("orders-shop")], ids=["other", "same", "none"]
)
def test_no_password_and_no_hash_is_shown_anywhere(user: User, tmp_path: Path) -> None:
    """JSON, text, Markdown, every drift format, the saved plan, and what Python itself would print."""
    world = PlanWorld.in_sync(with_password()).add(user)
    planned = plan(world)
    report = plan_json.plan_to_json(planned)
    file = tmp_path / "plan"
    access = BrokerAccess("https://broker")
    saved.save(file, [saved.SavedPlan.of(planned, tls_required=True, access=access)], report)
    formats = ("text", "json", "markdown", "sarif", "junit", "github")
    texts = [
        plan_json.dumps(report),
        plan_text.render_plan(planned, plan_text.Style()),
        plan_markdown.render_plan(planned),
        file.read_text(encoding="utf-8"),
        repr(planned),
        repr(world.request(secrets=secrets(world))),
        repr(saved.load(file)),
        *(render(DriftReport(planned), one, "topology.yaml", plan_text.Style()) for one in formats),
    ]
    hashes = [one.object.password_hash for one in planned.desired.objects.values() if isinstance(one.object, User)]
    for text in texts:
        assert PASSWORD not in text
        assert not any(one in text for one in [user.password_hash, *hashes] if one)
