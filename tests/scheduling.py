"""Which process runs which test, with xdist: those that share a broker stay together, so that few brokers are started.

Tests of a broker version come in a few groups of about the same length; the others go file by file.
xdist's own groups (`--dist loadgroup`) do nothing with pytest 9.2, which does not read the node id that they write.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # as it says
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # as it says

from tests.brokers import NEWEST, SUITES

_VERSION = re.compile(rf"\[(?:.*-)?({'|'.join(map(re.escape, SUITES))})(?:-.*)?\]$")

_GROUPS = {
    "agents": re.compile(r"^tests/(?:agent|bus|claims|examples|interop|retry)/"),
    "migrations": re.compile(r"^tests/(?:migration|soak|staying)/"),
    "take-overs": re.compile(r"^tests/(?:export|scope)/"),
}


_ORDER = ("tool", *_GROUPS)


class ByBroker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """All tests of a broker version in some groups, the others by file."""

    def _split_scope(self, nodeid: str) -> str:
        found = _VERSION.search(nodeid)
        if not found:
            return nodeid.partition("::")[0]
        group = next((name for name, folders in _GROUPS.items() if folders.match(nodeid)), "tool")
        return f"RabbitMQ {found[1]}, {group}"

    def _assign_work_unit(self, node: Any) -> None:
        """The next group: those that take longest first, which are not those with the most tests."""
        first = min(self.workqueue, key=_rank, default=None)
        if first is not None:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def _rank(scope: str) -> tuple[int, int]:
    """What needs one version alone is asked of the newest, so its groups are the longest."""
    version, _, group = scope.removeprefix("RabbitMQ ").partition(", ")
    if not group:
        return len(SUITES), 0
    newest_first = [NEWEST, *(one for one in SUITES if one != NEWEST)]
    return newest_first.index(version), _ORDER.index(group)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByBroker:
    """Replace xdist's choice."""
    return ByBroker(config, log)
