"""Which process runs which test, with xdist: those that share a broker stay together, so that few brokers are started.

Tests of a broker version come in two groups, those with agents and those of the tool; the others go file by file.
xdist's own groups (`--dist loadgroup`) do nothing with pytest 9.2, which does not read the node id that they write.
"""

from __future__ import annotations

import re

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # as it says
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # as it says

_VERSION = re.compile(r"\[(?:.*-)?(3\.10|4\.0)(?:-.*)?\]$")


_WITH_AGENTS = re.compile(r"^tests/(?:agent|bus|claims|examples|interop|retry|soak)/")


class ByBroker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """All tests of a broker version in two groups, the others by file."""

    def _split_scope(self, nodeid: str) -> str:
        found = _VERSION.search(nodeid)
        if not found:
            return nodeid.partition("::")[0]
        return f"RabbitMQ {found[1]}, {'agents' if _WITH_AGENTS.match(nodeid) else 'tool'}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByBroker:
    """Replace xdist's choice."""
    return ByBroker(config, log)
