"""The version that programs show is the one that is installed."""

from __future__ import annotations

from importlib.metadata import version

from letrade_topo.version import VERSION


def test_it_is_that_of_the_package() -> None:
    """It is written in two places."""
    assert version("letrade-topo") == VERSION
