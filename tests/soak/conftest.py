"""What campaigns share: the seed of their random moments, and the table at the end."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

_ROWS = pytest.StashKey[list[tuple[str, str, str]]]()

Summarise = Callable[[str, str, str], None]


@pytest.fixture
def moments(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> random.Random:
    """Random, but the same for the same `--seed` and test."""
    return random.Random(f"{pytestconfig.getoption('seed')} {request.node.name}")  # noqa: S311  # not a secret


@pytest.fixture
def summarise(pytestconfig: pytest.Config) -> Summarise:
    """Add a line to the table: campaign, version, what was seen."""

    def add(campaign: str, version: str, seen: str) -> None:
        pytestconfig.stash.setdefault(_ROWS, []).append((campaign, version, seen))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, if any campaign came to its end."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section(f"campaigns, seed {config.getoption('seed')}")
    terminalreporter.write_line("| campaign | RabbitMQ | seen |")
    terminalreporter.write_line("| --- | --- | --- |")
    for row in rows:
        terminalreporter.write_line(f"| {' | '.join(row)} |")
