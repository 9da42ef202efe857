"""Several applies of one topology at once, each with another file: they never interleave."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.soak.campaign import Campaign
from tests.soak.conftest import Summarise
from tests.tool import ended

RUNS = 4
KILLS_PER_ROUND = 2
"""The long form has half as many rounds as kills, the short form one."""

OBJECTS_PER_KILLED = 5
"""A fifth of the objects, so that several runs fit into the time for which a run waits for the lock."""


def test_runs_at_once(
    broker: RunningBroker, vhost_name: str, tmp_path: Path, pytestconfig: pytest.Config, summarise: Summarise
) -> None:
    """Each run does all of its file or, with exit code 75, nothing; in the end the broker is one of the files.

    Every file is new, so every run that ends well has made a generation of the record: had two written at once,
    one's read-back would have failed, the count of generations be wrong, or the end be a mixture.
    """
    rounds = max(1, pytestconfig.getoption("kills") // KILLS_PER_ROUND)
    objects = pytestconfig.getoption("objects") // OBJECTS_PER_KILLED
    campaign = Campaign(broker, tmp_path, f"{vhost_name}-at-once", objects)
    campaign.apply(campaign.write())
    codes: Counter[int] = Counter()
    for number in range(rounds):
        before = campaign.record()["generation"]
        files = [campaign.write(f"r{number}f{run}") for run in range(RUNS)]
        answers = [ended(process) for process in [campaign.start(file) for file in files]]
        seen = [answer.code for answer in answers]
        assert set(seen) <= {0, 75}, "\n".join(answer.err for answer in answers)
        assert 0 in seen, "\n".join(answer.err for answer in answers)
        assert campaign.record()["generation"] - before == seen.count(0)
        campaign.check_settled()
        applied = [file for file, code in zip(files, seen, strict=True) if code == 0]
        as_declared = [file for file in files if not campaign.differs(file)]
        assert len(as_declared) == 1, f"the broker is as {len(as_declared)} of the files say"
        assert as_declared[0] in applied
        codes.update(seen)
        print(f"round {number + 1}/{rounds}: exit codes {seen}, the broker is as {as_declared[0].name}", flush=True)
    campaign.end()
    summarise(
        f"{RUNS} applies at once",
        broker.version,
        f"{rounds} rounds, {campaign.objects} objects: exit codes "
        + ", ".join(f"{code} {count}×" for code, count in sorted(codes.items()))
        + "; generations count them, the broker always as exactly one of the files that were applied",
    )
