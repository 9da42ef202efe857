"""Which step comes next: whatever a run left behind, going on from there leads to the end, forwards and back."""

from __future__ import annotations

import pytest

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Binding, BrokerObject, Exchange, Queue
from letrade_topo.migration.intent import MigrationIntent
from letrade_topo.migration.layout import MigrationLayout
from letrade_topo.migration.parts import belongs_to_migration
from letrade_topo.migration.steps import MigrationStep, Situation, next_step, rebound, remaining
from letrade_topo.model.messages import Json

OLD = Queue("stock", arguments={"x-queue-type": "classic"})
NEW = Queue("stock", arguments={"x-queue-type": "quorum"})
BINDINGS = (Binding("events", "queue", "stock", "order.#"), Binding("events", "queue", "stock", "stock.*"))
LAYOUT = MigrationLayout.of(NEW, for_version("4.0.5"))
DETOURS = tuple(rebound(binding, "exchange", LAYOUT.junction.name) for binding in BINDINGS)
OTHERS = (Exchange("events", "topic"), Queue("other"), Binding("events", "queue", "other", "#"))
SIDE = (LAYOUT.side, LAYOUT.side_exchange, LAYOUT.to_side, LAYOUT.junction)
KEPT = (LAYOUT.kept, LAYOUT.kept_exchange, LAYOUT.to_kept)
BACK = (LAYOUT.return_exchange, LAYOUT.to_queue)

FORWARDS: dict[str, tuple[MigrationStep, tuple[BrokerObject, ...]]] = {
    "untouched": (MigrationStep.PREPARE, (OLD, *BINDINGS)),
    "half prepared": (MigrationStep.PREPARE, (OLD, *BINDINGS, LAYOUT.side)),
    "prepared": (MigrationStep.REROUTE, (OLD, *BINDINGS, *SIDE)),
    "both ways": (MigrationStep.REROUTE, (OLD, *BINDINGS, *SIDE, LAYOUT.opening, *DETOURS)),
    "one way": (MigrationStep.DIVERT, (OLD, *SIDE, LAYOUT.opening, *DETOURS)),
    "switched": (MigrationStep.EMPTY, (OLD, *SIDE, *DETOURS)),
    "never bound": (MigrationStep.EMPTY, (OLD, *SIDE)),
    "half moved": (MigrationStep.EMPTY, (OLD, *SIDE, *DETOURS, *KEPT)),
    "deleted": (MigrationStep.CREATE, (*SIDE, *DETOURS, *KEPT)),
    "made": (MigrationStep.RETURN, (NEW, *SIDE, *DETOURS, *KEPT)),
    "half back": (MigrationStep.RETURN, (NEW, *SIDE, *DETOURS, *KEPT, *BACK)),
    "switched back": (MigrationStep.REBIND, (NEW, *SIDE, *DETOURS, LAYOUT.opening, *KEPT, *BACK)),
    "half bound": (MigrationStep.REBIND, (NEW, BINDINGS[0], *SIDE, *DETOURS, LAYOUT.opening, *KEPT, *BACK)),
    "bound": (MigrationStep.CLEAR, (NEW, *BINDINGS, *SIDE, *DETOURS, LAYOUT.opening, *KEPT, *BACK)),
    "half cleared": (MigrationStep.CLEAR, (NEW, *BINDINGS, LAYOUT.side, *BACK)),
    "cleared": (MigrationStep.FORGET, (NEW, *BINDINGS)),
}
"""What is on the broker after each write, and the step that makes the next one."""


@pytest.mark.parametrize("left", FORWARDS)
def test_forwards_every_state_has_its_step(left: str) -> None:
    """What others have there changes nothing."""
    step, things = FORWARDS[left]
    situation = Situation.of("stock", (*things, *OTHERS))
    assert next_step(situation, is_as_wanted=situation.queue == NEW) is step


@pytest.mark.parametrize(
    ("left", "step"),
    [
        ("untouched", MigrationStep.FORGET),
        ("half prepared", MigrationStep.CLEAR),
        ("prepared", MigrationStep.RETURN),
        ("both ways", MigrationStep.CLEAR),
        ("one way", MigrationStep.REBIND),
        ("switched", MigrationStep.RETURN),
        ("half moved", MigrationStep.RETURN),
        ("deleted", MigrationStep.CREATE),
    ],
)
def test_back_is_the_same_with_the_queue_as_it_was(left: str, step: MigrationStep) -> None:
    """Before the deletion, and in the moment after it."""
    situation = Situation.of("stock", (*FORWARDS[left][1], *OTHERS))
    assert next_step(situation, is_as_wanted=situation.queue == OLD) is step


def test_a_binding_that_somebody_makes_after_the_switch_is_led_over_it_too() -> None:
    """Otherwise what it brings would be in the queue that is deleted."""
    situation = Situation.of("stock", (OLD, BINDINGS[0], *SIDE, *DETOURS, *KEPT))
    assert next_step(situation, is_as_wanted=False) is MigrationStep.REROUTE


def test_bindings_come_back_as_they_were() -> None:
    """Source, key and arguments; those that are back already are not made again."""
    arguments = {"x-match": "any", "kind": "a"}
    binding = Binding("headers", "queue", "stock", "", arguments)
    detour = rebound(binding, "exchange", LAYOUT.junction.name)
    assert Situation.of("stock", (NEW, *SIDE, detour)).unbound == (binding,)
    assert Situation.of("stock", (NEW, binding, *SIDE, detour)).unbound == ()


def test_what_waits_is_stored_as_safely_and_is_not_limited() -> None:
    """Of the new type, with its dead letters for what expires meanwhile, and no lifetime or length of its own."""
    arguments: dict[str, Json] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": 1,
        "x-max-length": 1,
        "x-expires": 1,
        "x-single-active-consumer": True,
    }
    kept = MigrationLayout.of(Queue("stock", arguments=arguments), for_version("4.0.5")).kept
    assert kept.arguments == {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": -1,
    }
    older = MigrationLayout.of(Queue("stock", arguments=arguments), for_version("3.10.8")).kept
    assert "x-delivery-limit" not in older.arguments


def test_what_belongs_to_a_migration_is_known_by_name() -> None:
    """And nothing of another queue, whatever its name begins with."""
    made: tuple[BrokerObject, ...] = (*SIDE, *KEPT, *BACK, *DETOURS, *BINDINGS, LAYOUT.opening, OLD)
    for thing in made:
        assert belongs_to_migration(thing, {"stock"})
        assert not belongs_to_migration(thing, {"other"})
        assert not belongs_to_migration(thing, ())
    others: tuple[BrokerObject, ...] = (*OTHERS, Queue("stock.migrating.else"), Queue("stocks.migrating"))
    for other in (*others, Exchange("stock", "topic")):
        assert not belongs_to_migration(other, {"stock"})


def test_an_intent_survives_being_recorded() -> None:
    """As JSON; what is none is told from one."""
    intent = MigrationIntent(OLD, NEW)
    assert MigrationIntent.parse("stock", intent.to_json()) == intent
    with pytest.raises(ValueError, match="unknown way"):
        MigrationIntent.parse("stock", {"before": 1})


def test_the_steps_left_end_with_the_record() -> None:
    """From any of them."""
    assert remaining(MigrationStep.RETURN)[0] is MigrationStep.RETURN
    assert all(remaining(step)[-1] is MigrationStep.FORGET for step in MigrationStep)
