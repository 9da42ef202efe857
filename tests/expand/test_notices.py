"""What somebody should know who applies a topology to a broker of an old version."""

from __future__ import annotations

import pytest

from tests.topologies import expanded, loaded, orders, shipped


def test_priorities_that_the_broker_ignores_are_told() -> None:
    """Quorum queues have none before 4.0; the queues stay what they are."""
    (notice,) = expanded(shipped(), "3.13.7").notices
    assert notice.name == "priority-without-effect"
    assert "3.13" in notice.text
    assert notice.path == ("messages", "commands.execute_trade", "priority")
    assert expanded(shipped(), "4.0.5").notices == ()


@pytest.mark.parametrize(
    ("version", "priority", "told"),
    [
        ("3.10.8", 0, ["priority-without-effect"]),
        ("3.10.8", "high", ["priority-without-effect"]),
        ("4.0.5", 31, ["priority-of-two-levels"]),
        ("4.0.5", "high", []),
        ("4.3.0", 31, []),
        ("4.3.0", "normal", []),
    ],
)
def test_what_a_version_makes_of_a_priority_is_told(version: str, priority: str | int, told: list[str]) -> None:
    """A number means what it says from 4.3 on; 4.0 has two levels; before, all of it means nothing."""
    document = orders()
    document["messages"]["order.placed"]["priority"] = priority
    assert [notice.name for notice in expanded(loaded(document), version).notices] == told


@pytest.mark.parametrize(("version", "told"), [("4.3.4", []), ("4.3.5", ["pattern-with-many-wildcards"])])
def test_patterns_that_nobody_can_bind_are_told(version: str, told: list[str]) -> None:
    """Services bind them at run time; from 4.3.5 on a binding key has two `#` at most."""
    document = orders()
    document["services"]["clerk"]["consumes"] += ["#.a.#", "#.placed.#.changed.#"]
    notices = expanded(loaded(document), version).notices
    assert [notice.name for notice in notices] == told
    assert all("'#.placed.#.changed.#'" in notice.text and "'#.a.#'" not in notice.text for notice in notices)
