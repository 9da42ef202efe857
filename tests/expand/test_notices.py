"""What somebody should know who applies a topology to a broker of an old version."""

from __future__ import annotations

from tests.topologies import expanded, shipped


def test_priorities_that_the_broker_ignores_are_told() -> None:
    """Quorum queues have none before 4.0; the queues stay what they are."""
    (notice,) = expanded(shipped(), "3.13.7").notices
    assert notice.name == "priority-without-effect"
    assert "3.13" in notice.text
    assert notice.path == ("messages", "commands.execute_trade", "priority")
    assert expanded(shipped(), "4.0.5").notices == ()
