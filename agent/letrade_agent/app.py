"""The agent as one process: its parts put together, started, reloaded, and stopped by signals."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

from letrade_agent.config import Address, RetryMode, Settings
from letrade_agent.filters.build import build_filters, build_rejected
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.keeping_up import KeepingUp
from letrade_agent.limits import DEFAULT_LIMITS, Limits
from letrade_agent.measures import Measures
from letrade_agent.object_store.expiry import Expiry
from letrade_agent.object_store.objects import Objects
from letrade_agent.observe.admin import AdminServer, Pages
from letrade_agent.observe.certificates import CertificateFiles, end_of_der
from letrade_agent.observe.metrics import Sidelights
from letrade_agent.observe.pages import pages_of
from letrade_agent.observe.rates import Rates
from letrade_agent.observe.recent import RecentRefusals
from letrade_agent.observe.status import NodeStatus, Observed, summary_of
from letrade_agent.otlp.traces import Traces
from letrade_agent.proxy.memory import release
from letrade_agent.proxy.server import Proxy
from letrade_agent.retry.router import Router
from letrade_agent.retry.routing import Routing
from letrade_agent.start import check_certificates, listening, login_of, make_room_for, stop_signals
from letrade_agent.state import AgentState, InForce, Phase, ReloadSource
from letrade_agent.tracing.recorder import Recorder
from letrade_agent.upstream.nodes import NodeHealth
from letrade_agent.upstream.queue_counts import QueueDepths
from letrade_agent.watch.sources import load
from letrade_agent.watch.watcher import Watcher, facts_of, watched_files
from letrade_topo.claims.store import ObjectStore
from letrade_topo.exit_codes import ExitCode
from letrade_topo.http_host import KnownHosts
from letrade_topo.keys.replay import Replay
from letrade_topo.load.fingerprint import Fingerprint
from letrade_topo.log import Log
from letrade_topo.messages.encryption import SentKeys
from letrade_topo.model.names import rejected_queue
from letrade_topo.model.topology import Topology
from letrade_topo.version import VERSION

TICK_SECONDS: Final = 1.0
COUNT_SECONDS: Final = 15.0
"""Between two questions about queue depths, while somebody asks for them."""
_ASKED_LATELY_SECONDS: Final = 90.0
_AFTER_A_BUG_SECONDS: Final = 5.0
_COLLECTED_AT: Final = (2_000, 5, 100)
"""Thresholds of the garbage collector. By Python's own, connections that come in numbers have it look at all that there
are, again and again, while everybody waits: 20 ms for 2,000. Nearly everything here goes without it."""


def run_agent(settings: Settings) -> int:
    """Run until a signal says to stop.

    Returns:
        The exit code.

    Raises:
        TopoError: a setting, the topology or the keys cannot be used, or a port cannot be opened.
    """
    watched = watched_files(settings)
    in_force = load(settings)
    settings = login_of(settings, in_force.topology)
    check_certificates(settings)
    agent = Agent(settings, in_force)
    gc.collect()
    gc.set_threshold(*_COLLECTED_AT)
    gc.freeze()  # topology, schemas and code stay: no collection needs to look at them again
    return asyncio.run(agent.run(watched))


class Agent:
    """All parts of one agent.

    Args:
        settings: complete: with the login at the broker.
        in_force: topology and keys to begin with.
        limits: of everything in it.

    Raises:
        TopoError: filters cannot be made of them.
    """

    def __init__(self, settings: Settings, in_force: InForce, limits: Limits = DEFAULT_LIMITS) -> None:
        away = replace(limits.away, wait_seconds=settings.queue_wait_seconds)
        self._limits = replace(limits, connections=settings.max_connections, away=away)
        self._settings = settings
        self._measures = Measures()
        self._state = AgentState(settings.service, time.time(), in_force)
        self._recent = RecentRefusals()
        self._log = Log(sys.stderr, settings.log_format, time.time, {"service": settings.service})
        self._log.listen(self._recent)
        self._rates = Rates(self._measures, time.monotonic())
        self._replay = Replay(capacity=limits.repeats.tokens, window_seconds=limits.repeats.seconds)
        self._keeping_up = KeepingUp()
        self._sent = SentKeys()
        self._filters = self._filters_of(in_force)
        self._traces = self._tracing(in_force)
        self._objects = Objects(self._measures, self._log, limits.object_store)
        self._objects.store = self._store_of(in_force, None)
        files = {"client": settings.cert_file, "ca": settings.ca_file}
        named = {role: path for role, path in files.items() if path is not None}
        self._certificates = CertificateFiles(named, self._limits.watch.certificate_seconds)
        self._router: Router | None = None
        self._asked_at = time.monotonic()
        self._signing_kid = self._current_kid()

    async def run(self, watched: Mapping[ReloadSource, Fingerprint]) -> int:
        """Start, wait for a signal, drain.

        Args:
            watched: the files, as they were before they were read.

        Raises:
            CannotListen: a port cannot be opened.
        """
        asyncio.get_running_loop().set_exception_handler(self._unheard)
        stop, at_once = stop_signals()
        proxy = Proxy(
            self._settings,
            self._filters,
            self._measures,
            username=self._settings.username or self._settings.service,
            vhost=self._state.in_force.topology.vhost,
            objects=self._objects,
            log=self._log,
            limits=self._limits,
            recorder=self._recorder,
        )
        self._proxy = proxy
        self._router = self._routed(proxy) if self._settings.retry is RetryMode.ON else None
        self._counts = QueueDepths(proxy.upstream, self._settings.service)
        admin = AdminServer(self._settings.admin, self._pages(), self._log, self._hosts(), self._limits.admin)
        watcher = Watcher(self._settings, self._state, self._switch, self._log, watched, self._limits.watch)
        admin_at = await listening(admin.start, "--admin", self._settings.admin)
        tasks: list[asyncio.Task[None]] = []
        if self._traces is not None:
            self._traces.start()
        try:
            if self._settings.listen is not None:
                await proxy.hear_greeting()
            self._state.listening = await listening(proxy.start, "--listen", self._settings.listen)
            self._state.ticked_at = time.monotonic()
            self._state.phase = Phase.READY
            self._started(admin_at)
            release()
            jobs = [self._tick, self._count_queues, watcher.run, self._certificates.keep_looking]
            if self._router is not None:
                jobs.append(self._router.run)
            if self._settings.listen is not None:
                jobs.append(self._expiry().run)
            tasks += [asyncio.create_task(self._kept_up(job)) for job in jobs]
            await stop.wait()
            await self._stop(proxy, at_once)
        finally:
            for task in tasks:
                task.cancel()
            self._counts.close()
            await proxy.close()
            await admin.close()
            if self._traces is not None:
                await self._traces.stop()
        self._ended(hurried=at_once.is_set())
        return ExitCode.OK

    def _filters_of(self, in_force: InForce) -> Filters:
        topology, keys = in_force.topology, in_force.keys
        return build_filters(
            topology,
            keys,
            self._settings,
            self._replay,
            self._measures,
            self._limits,
            sent=self._sent,
            keeping_up=self._keeping_up,
        )

    def _tracing(self, in_force: InForce) -> Traces | None:
        """What traces messages; without settings for it, nothing of that is even loaded."""
        settings = self._settings.traces
        if settings is None:
            return None
        about = self._settings.service, in_force.topology, self._measures, self._log, self._limits
        return Traces(settings, *about, time.time)

    @property
    def _recorder(self) -> Recorder | None:
        return None if self._traces is None else self._traces.recorder

    def _store_of(self, in_force: InForce, before: InForce | None) -> ObjectStore | None:
        """The store of a topology, for an agent that has clients; the one that is open, where nothing changed."""
        claim_check = in_force.topology.claim_check
        if claim_check is None or self._settings.listen is None:
            return None
        if before is not None and before.topology.claim_check == claim_check:
            return self._objects.store
        store = ObjectStore(claim_check)
        store.prepare()
        exposed = store.open_to_everybody()
        if exposed is not None:
            problem = "everybody on this machine may change it, so they can delete bodies and lay links in their way"
            fix = f"chmod o-w {exposed}; a group that all agents are in may write"
            particulars = {"store": str(store), "folder": str(exposed), "problem": problem, "fix": fix}
            self._log("warning", "claim_store_open_to_everybody", particulars)
        return store

    def _expiry(self) -> Expiry:
        def topology_now() -> Topology:
            return self._state.in_force.topology

        service = self._settings.service
        every = self._limits.object_store.sweep_seconds
        return Expiry(self._objects, topology_now, service, self._measures, self._log, time.time, every)

    def _routed(self, proxy: Proxy) -> Router:
        return Router(
            proxy.upstream,
            self._routing(self._state.in_force),
            proxy.dead_letters,
            service=self._settings.service,
            measures=self._measures,
            log=self._log,
            now=time.time,
            monotonic=time.monotonic,
            recorder=self._recorder,
        )

    def _routing(self, in_force: InForce) -> Routing:
        rejected = build_rejected(in_force.topology, in_force.keys, self._settings.service)
        return Routing(rejected, self._limits.relay.hold_seconds)

    def _hosts(self) -> KnownHosts:
        return KnownHosts((self._settings.admin.host, *self._settings.allowed_hosts))

    def _pages(self) -> Pages:
        observed = Observed(
            VERSION,
            self._state,
            self._measures,
            self._recent,
            self._rates,
            self._nodes,
            self._sidelights,
            time.time,
        )
        return pages_of(observed, time.monotonic, self._limits.admin)

    def _started(self, admin_at: Address) -> None:
        settings, in_force = self._settings, self._state.in_force
        self._log(
            "info",
            "ready",
            {
                "version": VERSION,
                "listen": str(self._state.listening) if self._state.listening else None,
                "admin": str(admin_at),
                "upstream": [str(node) for node in settings.upstream],
                "username": settings.username,
                "login": "PLAIN" if settings.password is not None else "EXTERNAL",
                "vhost": in_force.topology.vhost,
                "undeclared": settings.undeclared.value,
                "declares": settings.declares.value,
                "retry": settings.retry.value,
                "traces": None if settings.traces is None else settings.traces.endpoint,
                **facts_of(in_force, ReloadSource.CONFIG),
                **facts_of(in_force, ReloadSource.KEYS),
            },
        )
        most = self._settings.max_connections
        room = make_room_for(most) if settings.listen is not None else most
        if room < most:
            problem = f"this process may open so few files that {room} clients have room, not {most}"
            fix = f"raise its limit of open files (LimitNOFILE, ulimit -n), or set --max-connections {room}"
            self._log("warning", "few_open_files", {"problem": problem, "fix": fix})
        if not self._settings.admin.is_loopback:
            self._log("info", "admin_open_to_network", {"admin": str(admin_at)})

    async def _stop(self, proxy: Proxy, at_once: asyncio.Event) -> None:
        """Drain, unless a second signal says: at once."""
        self._state.phase = Phase.DRAINING
        last = None if self._router is None else self._router.finish
        drained = asyncio.create_task(proxy.drain(self._settings.drain_timeout_seconds, last))
        hurried = asyncio.create_task(at_once.wait())
        await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if drained.done():
            await drained
        else:
            drained.cancel()

    def _ended(self, *, hurried: bool) -> None:
        """The last line: what this agent has done, for those who get no further scrape."""
        self._log.flush()
        uptime = round(time.time() - self._state.started_at, 1)
        self._log("info", "stopped", {"at_once": hurried, "uptime_seconds": uptime, **summary_of(self._measures)})

    def _unheard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error in a call of the loop that nobody takes: asyncio would print it past the log."""
        self._measures.internal_errors["loop"] += 1
        problem = repr(context.get("exception") or context["message"])
        self._log("error", "internal_error", {"problem": problem, "detail": context["message"]})

    # What goes on while it runs.

    async def _kept_up(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Whatever fails beside the relays must not end them, nor stay away."""
        while True:
            try:
                return await job()
            except Exception as error:  # noqa: BLE001  # a bug in a job beside the relays ends no relay
                self._measures.internal_errors["job"] += 1
                self._log("error", "this_is_a_bug", {"job": job.__qualname__, "problem": repr(error)})
                await asyncio.sleep(_AFTER_A_BUG_SECONDS)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._state.ticked_at = now
            self._rates.tick(now)
            self._log.tick()
            kid = self._current_kid()
            if kid != self._signing_kid:
                before, self._signing_kid = self._signing_kid, kid
                level = "info" if kid else "error"
                self._log(level, "signing_key_changed", {"before": before, "kid": kid})

    async def _count_queues(self) -> None:
        """Once at the start, which shows at once whether the broker can be used; then while somebody asks."""
        while True:
            if time.monotonic() - self._asked_at < _ASKED_LATELY_SECONDS:
                topology = self._state.in_force.topology
                own = [queue for queue in topology.queues.values() if queue.service == self._settings.service]
                rejected = [rejected_queue(queue.name) for queue in own if queue.has_rejected_queue]
                problem = await self._counts.refresh([*(queue.name for queue in own), *rejected])
                if problem:
                    self._log("debug", "queues_not_counted", {"problem": problem})
                for queue in own:
                    if queue.name in self._counts.absent:
                        self._proxy.away.suspect(queue.name)
            else:
                self._counts.close()
            await asyncio.sleep(COUNT_SECONDS)

    def _switch(self, in_force: InForce) -> None:
        """Put a new topology or new keys in force, all filters at once."""
        new, store = self._filters_of(in_force), self._store_of(in_force, self._state.in_force)
        filters = self._filters
        filters.outbound, filters.inbound, filters.declares = new.outbound, new.inbound, new.declares
        self._state.in_force, self._objects.store = in_force, store
        self._proxy.filters_changed()
        if self._traces is not None:
            self._traces.switch(in_force.topology)
        if self._router is not None:
            self._router.switch(self._routing(in_force))

    def _current_kid(self) -> str | None:
        keys = self._state.in_force.keys
        key = keys.signing_key(time.time()) if keys is not None else None
        return key.kid if key is not None else None

    # What the admin port asks.

    def _nodes(self) -> list[NodeStatus]:
        return [
            NodeStatus(str(state.node), state.health.value, state.connections, state.problem)
            for state in self._proxy.nodes
        ]

    def _sidelights(self) -> Sidelights:
        self._asked_at = time.monotonic()
        ends = {**self._certificates.ends, "server": end_of_der(self._counts.server_certificate)}
        return Sidelights(
            {(queue, "ready"): count for queue, count in self._counts.ready.items()},
            {role: end for role, end in ends.items() if end is not None},
            self._measures.upstreams > 0 or any(state.health is NodeHealth.UP for state in self._proxy.nodes),
        )
