"""The private broker of this folder, for commands that nobody has told where the broker is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from letrade_topo.cli.terminal import say

if TYPE_CHECKING:
    from letrade_topo.node.private_broker import BrokerReport

DEFAULT_FOLDER = Path(".letrade/broker")
FOLDER_VARIABLE = "LETRADE_TOPO_BROKER_FOLDER"


def running_broker(environment: Mapping[str, str] = os.environ) -> BrokerReport | None:
    """The private broker that `letrade-topo broker start` has started here, if it runs; says whether it is taken."""
    folder = Path(environment.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
    if not folder.is_dir():
        return None
    from letrade_topo.node.private_broker import BrokerStatus, PrivateBroker

    report = PrivateBroker(folder, say).report()
    if report.status is BrokerStatus.ABSENT:
        return None
    if report.status is not BrokerStatus.RUNNING:
        say(
            f"no broker is named; the private one in {folder} is {report.status}: start it, `letrade-topo broker start`"
        )
        return None
    say(f"no broker is named: taking the private one in {folder}")
    return report
