"""The capability table by version."""

from __future__ import annotations

import pytest

from letrade_topo.broker.capabilities import TABLE, UnsupportedVersion, for_version


@pytest.mark.parametrize(
    ("version", "series"),
    [
        ("3.10.0", "3.10"),
        ("3.10.25", "3.10"),
        ("3.13.7+deb", "3.13"),
        ("4.0.5", "4.0"),
        ("4.1.0-rc.1", "4.1"),
        ("4.2", "4.2"),
        ("4.3.9", "4.3"),
        ("4.4.0", "4.4"),
        ("5.0.0-beta.2", "4.4"),
    ],
)
def test_a_version_has_the_newest_row_not_newer_than_itself(version: str, series: str) -> None:
    """Suffixes do not matter, and a version newer than the table has its last row."""
    assert for_version(version).series == series


@pytest.mark.parametrize("version", ["3.9.29", "3.8.0", "2.99.0", "", "unknown", "v4"])
def test_what_is_too_old_or_no_version_is_refused(version: str) -> None:
    """The error says what to do."""
    with pytest.raises(UnsupportedVersion) as caught:
        for_version(version)

    assert caught.value.fix


def test_what_differs_between_the_versions_that_are_tested() -> None:
    """3.10 has no delivery limit and no priorities in quorum queues; 4.0 has a limit that can be lifted, and two."""
    old, new = for_version("3.10.8"), for_version("4.0.5")

    assert (old.unlimited_delivery_limit, old.default_delivery_limit, old.quorum_priority_levels) == (False, None, 0)
    assert (new.unlimited_delivery_limit, new.default_delivery_limit, new.quorum_priority_levels) == (True, 20, 2)
    assert (old.policy_queue_types, for_version("3.12.0").policy_queue_types) == (False, True)


def test_a_patch_release_can_have_a_row_of_its_own() -> None:
    """Delayed retry works by policy from 4.3.1 on, not in 4.3.0."""
    assert not for_version("4.3.0").delayed_retry
    assert for_version("4.3.1").delayed_retry


@pytest.mark.parametrize(
    ("version", "longest"), [("4.1.9", None), ("4.2.7", None), ("4.2.9", 1_024), ("4.3.1", None), ("4.3.2", 1_024)]
)
def test_what_came_to_two_series_at_once_is_not_in_between(version: str, longest: int | None) -> None:
    """The limit on patterns came with patches of 4.2 and of 4.3; 4.3.0 and 4.3.1 do not have it."""
    assert for_version(version).max_pattern_bytes == longest


def test_the_table_is_in_order() -> None:
    """The search takes the last row that is not too new."""
    assert [since for since, _ in TABLE] == sorted({since for since, _ in TABLE})
