"""Which versions of RabbitMQ a run talks to, and what it says of the newest when that is not here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from letrade_topo.node.errors import RabbitMQMissing
from tests.brokers import NEWEST, SUITES, installation_of

pytestmark = pytest.mark.wide  # each is a run of pytest
_PARAMETRISED = "tests/node/test_installation.py::test_the_version_is_read_without_starting_anything"


def _run(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LETRADE_TOPO_CACHE": str(cache)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", "--no-header", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def _cache_without_newest(tmp_path: Path) -> Path:
    for version, suite in SUITES.items():
        try:
            root = installation_of(version).root
        except RabbitMQMissing:
            continue
        if version != NEWEST and root is not None:
            (tmp_path / f"rabbitmq-{suite}").symlink_to(root)
    return tmp_path


def test_without_the_newest_the_run_goes_on_and_says_so_at_its_end(tmp_path: Path) -> None:
    """Nothing fails and nothing is skipped in silence: the last words name what was not tested and how to get it."""
    result = _run(_cache_without_newest(tmp_path), _PARAMETRISED, "--broker", NEWEST, "--broker", "3.10", "--co", "-q")

    assert result.returncode == 0, result.stdout + result.stderr
    assert "[3.10]" in result.stdout
    assert "[newest]" not in result.stdout
    *_, said = result.stdout.partition("NOT TESTED: the newest RabbitMQ")
    assert f"script/rabbitmq-root testing {tmp_path}/rabbitmq-testing" in said


def test_the_newest_alone_is_not_replaced_by_another(tmp_path: Path) -> None:
    """Who asked for it and nothing else has to know that it is not here."""
    result = _run(_cache_without_newest(tmp_path), _PARAMETRISED, "--broker", NEWEST)

    assert result.returncode not in {0, 5}
    assert "the tests need the newest RabbitMQ" in result.stdout


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_the_newest_by_its_number(digits: int) -> None:
    """As far as the number is given, it is that of the newest; 4 alone is not that of 4.0."""
    try:
        number = installation_of(NEWEST).version
    except RabbitMQMissing:
        pytest.skip("the newest is not here, as the end of this run says")
    named = ".".join(number.split(".")[:digits])

    result = _run(Path(installation_of(NEWEST).root or "").parent, _PARAMETRISED, "--broker", named, "--co", "-q")

    assert "[newest]" in result.stdout, result.stdout + result.stderr
    assert "[4.0]" not in result.stdout
