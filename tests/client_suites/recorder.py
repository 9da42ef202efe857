"""A plug-in of pytest that writes how each test ended to the file named by RECORD.

Lies beside the tests of a suite that is not ours, so it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of set-up, call and tear-down is how it ended."""
    if report.outcome == "failed" or (report.when == "call" and _outcomes.get(report.nodeid) != "fail"):
        _outcomes[report.nodeid] = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]
    elif report.outcome == "skipped":
        _outcomes[report.nodeid] = "skip"


def pytest_sessionfinish() -> None:
    """Write them."""
    Path(os.environ["RECORD"]).write_text(json.dumps(_outcomes), encoding="utf-8")
