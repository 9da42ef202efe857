"""`docs/how-to/dead-letter-queue-is-full.md`, followed word by word.

Every command of the page is run in its order, and has to answer what the page shows: but for numbers, ids, moments
and spaces. `script/…` writes no output into the page; who changes it runs this test with LETRADE_WRITE_PAGE=1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.brokers import BrokerFactory
from tests.queues.world import Dead, LetterWorld
from tests.topologies import SHIPPED

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "dead-letter-queue-is-full.md"
TRADES, EVENTS, ERRORS = "exchange_connector.execute_trade", "core_engine.trade_executed", "strategy.error"
TRADE = (
    ("strategy_id", 123), ("exchange", "binance"), ("symbol", "BTC/USDT"), ("side", "buy"), ("amount", 0.01),
    ("price", 50000.0), ("order_type", "limit"),
)  # fmt: skip
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# RabbitMQ counts how often a message was delivered (3.10 and 4.0), how often that failed (4.3), or both (4.3).
_COUNTED = re.compile(r"^ +x-(?:acquired|delivery)-count +\d+\n", re.MULTILINE)
_LOOSE = ((_COUNTED, ""), (_UUID, "ID"), (re.compile(r"\(key [^,]+,"), "(key KID,"), (re.compile(r"[█▏▎▍▌▋▊▉]+"), "█"))


@dataclass(frozen=True, slots=True)
class PageStep:
    """One command of the page, and what it shows."""

    command: str
    shown: str


def test_the_page_word_by_word(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """A queue with fifteen dead letters: the page's commands empty it but for the one that nobody signed."""
    world = LetterWorld.of(start_broker(one_broker_version), SHIPPED, tmp_path)
    ids = _fill(world)
    environment = world.tool.environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LETRADE_TOPO_FILE": str(SHIPPED),
        "LETRADE_TOPO_YES": "1",
        "ID": ids[0],
    }
    page = PAGE.read_text(encoding="utf-8")
    for step in _steps(page):
        if step.command.startswith("ID="):
            continue
        done = subprocess.run(
            ["/bin/bash", "-c", step.command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {step.command}\n{done.stdout}\n{done.stderr}"
        if os.environ.get("LETRADE_WRITE_PAGE"):
            page = page.replace(f"$ {step.command}\n{step.shown}", f"$ {step.command}\n{done.stdout}")
        else:
            assert _loose(done.stdout) == _loose(step.shown), f"$ {step.command}\n{done.stdout}"
    if os.environ.get("LETRADE_WRITE_PAGE"):
        PAGE.write_text(page, encoding="utf-8")
    world.left(1)
    world.left(12, TRADES)


def _fill(world: LetterWorld) -> list[str]:
    """Their ages stay in the rows of the page for some minutes, however slow the machine is."""
    trade: dict[str, Any] = {
        "key": "commands.execute_trade",
        "publisher": "strategy",
        "queue": TRADES,
        "payload": TRADE,
    }
    rejected = [Dead(number, age=1500 - 60 * number, attempt=3, **trade) for number in range(12)]
    late = [
        Dead(
            number,
            key="events.trade_executed",
            publisher="exchange_connector",
            queue=EVENTS,
            age=9000,
            reason="expired",
        )
        for number in range(2)
    ]
    forged = Dead(
        0,
        key="events.error",
        publisher="exchange_connector",
        queue=ERRORS,
        age=200,
        reason="token_missing",
        signed=False,
    )
    return world.bury([*rejected, *late, forged])


def _steps(page: str) -> Iterator[PageStep]:
    for block in _BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield PageStep(command, shown)


def _loose(text: str) -> list[str]:
    for pattern, instead in _LOOSE:
        text = pattern.sub(instead, text)
    return [" ".join(re.sub(r"\d[\d,.:TZ-]*", "0", line).split()) for line in text.splitlines()]


def test_reasons_of_the_page() -> None:
    """Every word in its table is one that dead letters have."""
    from letrade_topo.keys.reasons import Reason

    table = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = set(re.findall(r"`([a-z_]+)`", " ".join(table)))
    assert words
    assert words <= {*Reason, "rejected", "delivery_limit", "expired", "maxlen"}
