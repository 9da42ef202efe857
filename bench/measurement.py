"""One size on one fresh broker: the broker's own work and ours, in turns, several times."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.broker_side import AS_THE_TOOL, BrokerSide
from bench.tool import Taken, run_tool
from bench.topology import letrade_like
from letrade_topo.broker.capabilities import for_version
from letrade_topo.expand.expansion import expand
from letrade_topo.load.topology_file import load_topology
from letrade_topo.node.node import Node
from letrade_topo.plan.scope import Scope

TOPOLOGY = "bench"
ROUNDS = {100: 5, 1_000: 5}
FEWEST_ROUNDS = 2
"""Of sizes that are not listed, where one round takes minutes."""

READING_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found; every figure a median.

    Args:
        objects: expanded objects of the topology.
        rounds: how often each write was done.
        bulk_import_seconds: the broker's own import of the same objects in one body.
        apply: the tool on an empty broker, verification included.
        apply_spread: fastest and slowest, seconds.
        bulk_spread: likewise.
        raw_serial_seconds: the listings of a plan, read one after the other and thrown away.
        raw_parallel_seconds: likewise, as many at once as the tool reads.
        plan: with nothing to do.
        drift: with nothing to do.
        calls: HTTP requests of a plan.
    """

    objects: int
    rounds: int
    bulk_import_seconds: float
    bulk_spread: tuple[float, float]
    apply: Taken
    apply_spread: tuple[float, float]
    raw_serial_seconds: float
    raw_parallel_seconds: float
    plan: Taken
    drift: Taken
    calls: int

    def to_json(self) -> str:
        """For a later run."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """One that was written before."""
        stored = json.loads(text)
        for name in ("bulk_spread", "apply_spread"):
            stored[name] = tuple(stored[name])
        for name in ("apply", "plan", "drift"):
            stored[name] = Taken(**stored[name])
        return cls(**stored)


def measure(node: Node, objects: int, folder: Path, say: Callable[[str], None]) -> Measurement:
    """Measure one size.

    Args:
        node: fresh; nothing else is on it.
        objects: how many.
        folder: for files.
        say: told how far it is.
    """
    version = node.settings.installation.version
    file = folder / "topology.yaml"
    file.write_text(letrade_like(objects, version, name=TOPOLOGY), encoding="utf-8")
    broker = BrokerSide(node)
    _warm_up(node, broker, folder)

    def tool(command: str, *options: str) -> Taken:
        taken = run_tool(command, *options, str(file), node=node, folder=folder)
        say(f"{command}: {taken.wall_seconds:.2f} s, {taken.cpu_seconds:.2f} s of CPU, {taken.peak_megabytes:.0f} MB")
        return taken

    applied = [tool("apply", "--yes")]
    definitions = broker.definitions(TOPOLOGY)
    users = [user["name"] for user in definitions["users"]]
    count = 1 + sum(len(of_kind) for name, of_kind in definitions.items() if name != "vhosts")
    say(f"{count} objects exported")  # with the permission that the broker gives to whoever makes a vhost
    raw_urls = broker.listings(TOPOLOGY)
    raw_serial, raw_parallel, plans, drifts = [], [], [], []
    for _ in range(READING_ROUNDS):
        raw_serial.append(broker.read_raw(raw_urls, 1))
        plans.append(tool("plan"))
        raw_parallel.append(broker.read_raw(raw_urls, AS_THE_TOOL))
        drifts.append(tool("drift"))
    say(f"raw reads: {median(raw_serial):.2f} s serial, {median(raw_parallel):.2f} s {AS_THE_TOOL} at once")
    loaded = load_topology(file)
    desired = expand(loaded.topology, for_version(version))
    calls = broker.calls_of_plan(desired, Scope.of(loaded.topology))

    rounds = ROUNDS.get(objects, FEWEST_ROUNDS)
    imported: list[float] = []

    def do_import() -> None:
        broker.clear(TOPOLOGY, users)
        imported.append(broker.import_in_bulk(definitions))
        say(f"bulk import: {imported[-1]:.2f} s")

    def do_apply() -> None:
        broker.clear(TOPOLOGY, users)
        applied.append(tool("apply", "--yes"))

    # The first apply met a broker that had never held this much: like the import of the first round, it counts.
    do_import()
    for number in range(1, rounds):
        for step in (do_import, do_apply) if number % 2 else (do_apply, do_import):
            step()
    return Measurement(
        objects=len(desired.objects),
        rounds=rounds,
        bulk_import_seconds=median(imported),
        bulk_spread=(min(imported), max(imported)),
        apply=_median(applied),
        apply_spread=_spread(applied),
        raw_serial_seconds=median(raw_serial),
        raw_parallel_seconds=median(raw_parallel),
        plan=_median(plans),
        drift=_median(drifts),
        calls=calls,
    )


def _warm_up(node: Node, broker: BrokerSide, folder: Path) -> None:
    """A node's first import loads code; both sides shall find it loaded."""
    file = folder / "warm-up.yaml"
    version = node.settings.installation.version
    file.write_text(letrade_like(100, version, name="warm"), encoding="utf-8")
    run_tool("apply", "--yes", str(file), node=node, folder=folder)
    definitions = broker.definitions("warm")
    users = [user["name"] for user in definitions["users"]]
    broker.clear("warm", users)
    broker.import_in_bulk(definitions)
    broker.clear("warm", users)


def _median(taken: Iterable[Taken]) -> Taken:
    taken = list(taken)
    return Taken(
        0,
        median(one.wall_seconds for one in taken),
        median(one.cpu_seconds for one in taken),
        max(one.peak_megabytes for one in taken),
    )


def _spread(taken: Iterable[Taken]) -> tuple[float, float]:
    seconds = [one.wall_seconds for one in taken]
    return min(seconds), max(seconds)
