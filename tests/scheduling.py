"""Which process runs which test, with xdist: one has all tests of a broker version, so that it is started once.

The others go file by file. xdist's own groups (`--dist loadgroup`) do nothing with pytest 9.2, which does not read the
node id that they write.
"""

from __future__ import annotations

import re

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

_VERSION = re.compile(r"\[(?:.*-)?(3\.10|4\.0)(?:-.*)?\]$")


class ByBroker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """All tests of a broker version together, the others by file."""

    def _split_scope(self, nodeid: str) -> str:
        found = _VERSION.search(nodeid)
        return f"RabbitMQ {found[1]}" if found else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByBroker:
    """Replace xdist's choice."""
    return ByBroker(config, log)
