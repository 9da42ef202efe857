"""The shipped topology, expanded, is what was reviewed."""

from __future__ import annotations

import pytest

from tests.expand.golden import FILES, listing


@pytest.mark.parametrize("version", FILES)
def test_the_shipped_topology_expands_to_the_reviewed_listing(version: str) -> None:
    """Every object and every attribute is as in the committed file; `python -m tests.expand.golden` renews it."""
    assert listing(version).splitlines() == FILES[version].read_text(encoding="utf-8").splitlines()


def test_the_versions_differ_only_in_what_each_does_by_itself() -> None:
    """An upgrade from 3.10 to 4.0 exchanges the policy with the limit, the default there, for that without; no more."""
    old, new = (set(path.read_text(encoding="utf-8").splitlines()) for path in (FILES["3.10.8"], FILES["4.0.5"]))

    def addresses(lines: set[str]) -> set[str]:
        return {line.split(" ")[0] for line in lines if not line.startswith("in effect on ")}

    assert addresses(new - old) == {"policy:letrade.waiting"}
    assert addresses(old - new) == {"policy:letrade.consumer"}
