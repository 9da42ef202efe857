"""Reloading: polls the files, reads what has changed in a thread, and hands over what is whole.

A change counts once two looks have found the same, so that a file that is being written is not read. What cannot
be used is reported once, and the one in force stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from letrade_agent.config import Settings
from letrade_agent.limits import DEFAULT_LIMITS, WatchLimits
from letrade_agent.log import Log
from letrade_agent.state import AgentState, InForce, ReloadSource
from letrade_agent.watch.sources import key_files, load_keys, load_topology, succeeded, topology_files
from letrade_topo.errors import TopoError
from letrade_topo.load.fingerprint import Fingerprint


def watched_files(settings: Settings) -> Mapping[ReloadSource, Fingerprint]:
    """The files as they are now, to notice when they change."""
    return {
        ReloadSource.CONFIG: Fingerprint(lambda: topology_files(settings)),
        ReloadSource.KEYS: Fingerprint(lambda: key_files(settings)),
    }


class Watcher:
    """Watches the files of topology and keys.

    Args:
        settings: where they are.
        state: what is in force; counts reloads.
        switch: puts a new one in force: makes its filters, and raises TopoError when they cannot be made. Called
            in the event loop.
        log: of events.
        files: `watched_files`, from before they were read for the start, so that no change is missed.
        limits: how often they are looked at.
    """

    def __init__(
        self,
        settings: Settings,
        state: AgentState,
        switch: Callable[[InForce], None],
        log: Log,
        files: Mapping[ReloadSource, Fingerprint],
        limits: WatchLimits = DEFAULT_LIMITS.watch,
    ) -> None:
        self._poll_seconds = limits.poll_seconds
        self._settings = settings
        self._state = state
        self._switch = switch
        self._log = log
        self._files = files
        self._read = {source: watched.at_start for source, watched in files.items()}
        """What was last read, good or bad."""
        self._found = dict(self._read)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self.look()

    async def look(self) -> None:
        """Look once; what two looks found the same, and is new, is read."""
        changed = [source for source in ReloadSource if await asyncio.to_thread(self._is_new, source)]
        for source in changed:
            await self._reload(source)

    def _is_new(self, source: ReloadSource) -> bool:
        before, self._found[source] = self._found[source], self._files[source].take()
        return self._found[source] == before != self._read[source]

    async def _reload(self, source: ReloadSource) -> None:
        self._read[source] = self._found[source]
        reloads = self._state.reloads[source]
        try:
            new = await asyncio.to_thread(self._load, source, self._state.in_force)
            self._switch(new)
        except TopoError as error:
            self._failed(source, str(error))
            return
        except Exception as error:  # noqa: BLE001  # whatever a file can do to its reader, connections go on
            self._failed(source, f"this is a bug: {error!r}")
            return
        reloads.ok += 1
        reloads.problem = ""
        self._state.in_force = new
        self._log("info", f"{source}_reloaded", facts_of(new, source))

    def _failed(self, source: ReloadSource, problem: str) -> None:
        reloads = self._state.reloads[source]
        reloads.failed += 1
        reloads.problem = problem
        self._log("error", f"{source}_reload_failed", {"problem": problem, "kept": self._kept(source)})

    def _load(self, source: ReloadSource, current: InForce) -> InForce:
        """In a thread, which only waits for another process where that takes long."""
        if source is ReloadSource.KEYS:
            return replace(current, keys=load_keys(self._settings), loaded_at=time.time())
        topology, topology_sha = load_topology(self._settings)
        return succeeded(current, topology, topology_sha, self._settings.service)

    def _kept(self, source: ReloadSource) -> str:
        current = self._state.in_force
        if source is ReloadSource.CONFIG:
            return f"the topology {current.topology_sha}"
        return "the keys as they were"


def facts_of(in_force: InForce, source: ReloadSource) -> Mapping[str, str | int | Sequence[str]]:
    """What a log line says of a source that is in force."""
    if source is ReloadSource.CONFIG:
        return {"topology": in_force.topology.name, "topology_sha": in_force.topology_sha}
    if in_force.keys is None:
        return {}
    return {
        "signing_kids": [key.kid for key in in_force.keys.signing],
        "public_keys": len(in_force.keys.public),
        **({"warnings": in_force.keys.warnings} if in_force.keys.warnings else {}),
    }
