"""Reference pages are generated, and current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from letrade_topo.load.rule_texts import RULE_TEXTS
from letrade_topo.render.reference_rules import page

ROOT = Path(__file__).parents[2]


def reference(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run script/reference."""
    command = [sys.executable, str(ROOT / "script" / "reference"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.wide
def test_the_pages_are_current() -> None:
    """What the code says is what the pages say."""
    done = reference("--check")

    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_argument_is_a_usage_error() -> None:
    """It writes nothing."""
    assert reference("--chekc").returncode == 64


def test_every_rule_is_on_the_page_of_rules() -> None:
    """With its severity, title and explanation, under a heading that diagnostics can link to."""
    text = page()

    for rule in RULE_TEXTS.values():
        assert f"\n### {rule.id}\n\n*{rule.severity}: {rule.title}*\n\n{rule.explanation}\n" in text
