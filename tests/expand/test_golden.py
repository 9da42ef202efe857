"""The shipped topology, expanded, is what was reviewed."""

from __future__ import annotations

import pytest

from tests.expand.golden import FILES, listing


@pytest.mark.parametrize("version", FILES)
def test_the_shipped_topology_expands_to_the_reviewed_listing(version: str) -> None:
    """Every object and every attribute is as in the committed file; `python -m tests.expand.golden` renews it."""
    assert listing(version).splitlines() == FILES[version].read_text(encoding="utf-8").splitlines()


def test_the_versions_differ_only_in_the_delivery_limit_of_waiting_queues() -> None:
    """An upgrade from 3.10 to 4.0 adds one policy and replaces nothing."""
    old, new = (set(path.read_text(encoding="utf-8").splitlines()) for path in FILES.values())
    added = {line for line in new - old if not line.startswith("in effect on ")}
    assert {line.split(" ")[0] for line in added} == {"policy:letrade.waiting"}
    assert {line for line in old - new if not line.startswith("in effect on ")} == set()
