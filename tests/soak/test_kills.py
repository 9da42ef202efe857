"""`kill -9` of apply, and of the broker, at random moments: the next apply finishes, and nothing is left over.

The short form runs with the other tests; `script/soak` sets `--kills 20 --objects 1000`.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.topology import letrade_like
from tests.brokers import RunningBroker
from tests.tool import Tool, ended

pytestmark = [pytest.mark.broker, pytest.mark.timeout(3600)]

FOREIGN_QUEUE = "somebody.else"
BROKER_RESTARTS = 1
"""In the short form; the long form restarts a quarter as often as it kills."""


class Campaign:
    """One topology that is applied again and again, sometimes grown, sometimes shrunk.

    Args:
        broker: where.
        folder: for the file.
        name: of topology and vhost.
        objects: how many, expanded.
    """

    def __init__(self, broker: RunningBroker, folder: Path, name: str, objects: int) -> None:
        self.broker, self.name, self.objects = broker, name, objects
        self.file = folder / "topology.yaml"
        self.tool = Tool.at(broker, folder)

    def write(self, share: float) -> None:
        """Write the file with a share of all objects, shared ownership so that a foreign queue may stay."""
        objects = max(100, int(self.objects * share))
        text = letrade_like(objects, self.broker.version, name=self.name)
        self.file.write_text(text.replace("ownership: exclusive", "ownership: shared"), encoding="utf-8")

    def begin(self) -> None:
        """An empty vhost but for a queue of somebody else."""
        self.broker.api("PUT", f"/api/vhosts/{self.name}")
        self.broker.api("PUT", f"/api/queues/{self.name}/{FOREIGN_QUEUE}", json={"durable": True})

    def end(self) -> None:
        """Take everything away."""
        self.write(0.0)
        self.tool.run("destroy", "--yes")
        self.broker.api("DELETE", f"/api/vhosts/{self.name}")

    def finish(self) -> None:
        """The next apply finishes, without help, and then nothing differs."""
        self.tool.run("apply", "--yes", "--allow", "delete-many").check(0)
        self.tool.run("drift").check(0)
        record: dict[str, Any] = self.broker.api(
            "GET", f"/api/global-parameters/letrade-topo.{self.name}.{self.name}"
        ).json()["value"]
        assert record["pending"] == []
        assert self.broker.api("GET", f"/api/queues/{self.name}/{FOREIGN_QUEUE}").status_code == 200

    def duration(self) -> float:
        """How long a whole apply takes now, in seconds."""
        begin = time.monotonic()
        self.tool.run("apply", "--yes", "--allow", "delete-many").check(0)
        return time.monotonic() - begin


def test_apply_is_killed(broker: RunningBroker, vhost_name: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Kills are spread over the whole of an apply that creates, and of one that also deletes."""
    kills, seed = pytestconfig.getoption("kills"), pytestconfig.getoption("seed")
    moments = random.Random(seed)  # noqa: S311  # not a secret
    campaign = Campaign(broker, tmp_path, vhost_name, pytestconfig.getoption("objects"))
    campaign.begin()
    hit = 0
    try:
        campaign.write(1.0)
        seconds = campaign.duration()
        for number in range(kills):
            campaign.write((0.5, 1.0)[number % 2])
            process = campaign.tool.start("apply", "--yes", "--allow", "delete-many")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=moments.uniform(0.0, seconds))
            hit += process.poll() is None
            process.kill()
            process.communicate()
            campaign.finish()
            print(f"kill {number + 1}/{kills}: finished", flush=True)
    finally:
        campaign.end()
    print(json.dumps({"broker": broker.version, "seed": seed, "kills": kills, "still at work when killed": hit}))


def test_the_broker_is_killed(
    start_broker: Callable[..., RunningBroker], broker_version: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The broker dies during apply and comes back: one message, and the next apply finishes."""
    kills, seed = pytestconfig.getoption("kills"), pytestconfig.getoption("seed")
    rounds = max(BROKER_RESTARTS, kills // 4) if kills > 3 else BROKER_RESTARTS
    moments = random.Random(seed)  # noqa: S311
    broker = start_broker(broker_version)
    campaign = Campaign(broker, tmp_path, "soak", pytestconfig.getoption("objects"))
    campaign.begin()
    broker.sync_metadata()
    campaign.write(1.0)
    seconds = campaign.duration()
    for number in range(rounds):
        campaign.write((0.5, 1.0)[number % 2])
        broker.sync_metadata()
        process = campaign.tool.start("apply", "--yes", "--allow", "delete-many")
        time.sleep(moments.uniform(0.3, max(0.4, seconds)))  # the moment is the point: nothing to wait for
        broker.node.crash()
        answer = ended(process)
        assert answer.code in {0, 3, 69}, answer.err
        assert "Traceback" not in answer.err
        broker.node.start()
        campaign.tool = Tool.at(broker, tmp_path)
        campaign.finish()
        print(f"broker kill {number + 1}/{rounds}: exit code {answer.code}, finished", flush=True)
