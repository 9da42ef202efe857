"""How many examples hypothesis tries for a property: fewer with `--fast`.

How long an example takes depends on what else the machine does; what a call may cost is measured in bench/.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None, max_examples=50)
settings.register_profile("fast", deadline=None, max_examples=10)


def pytest_configure(config: pytest.Config) -> None:
    """Choose, before a test is read."""
    settings.load_profile("fast" if config.getoption("--fast") else "any machine")


def ordinary_examples() -> int:
    """The number for one property, for those that need a multiple of it."""
    return int(settings().max_examples)
