"""What campaigns share: the seed of their random moments, and the table at the end."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

_ROWS = pytest.StashKey[list[tuple[str, str, str]]]()

Summarise = Callable[[str, str, str], None]

SHORT_KILLS = 2
"""More kills than these are the long form."""
_OLDER = re.compile(r"\b3\.10\b")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The short form runs on the latest version alone, unless another was asked for; `script/soak` runs on both."""
    if config.getoption("kills") > SHORT_KILLS:
        return
    campaigns = [item for item in items if item.nodeid.startswith("tests/soak/")]
    left_out = {item for item in campaigns if item.get_closest_marker("long_form")}
    if not config.getoption("--broker"):
        left_out |= {item for item in campaigns if _OLDER.search(item.name)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


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
