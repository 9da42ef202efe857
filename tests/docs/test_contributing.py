"""CONTRIBUTING.md leads to what is there: files, folders, names in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = sorted({place for place in re.findall(r"`([\w./-]+)`", TEXT) if "/" in place or place.endswith(".toml")})
RUN = sorted(set(re.findall(r"^\$ (?:pytest [^#\n]*?)?((?:script|tests)/[\w./]+)", TEXT, re.MULTILINE)))


@pytest.mark.parametrize("place", [*PLACES, *RUN])
def test_it_is_there(place: str) -> None:
    """From the root of the repository, or below one of the packages."""
    tops = (ROOT, ROOT / "letrade_topo", ROOT / "agent/letrade_agent")
    assert any((top / place).exists() for top in tops)


def test_it_is_one_page() -> None:
    """Nobody reads more before a first change."""
    assert len(TEXT.splitlines()) <= 80
    assert len(RUN) >= 4
