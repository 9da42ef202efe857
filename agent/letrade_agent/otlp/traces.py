"""Tracing of one agent: made of its settings, told of new topologies, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from letrade_agent.config import InvalidSetting, TraceSettings
from letrade_agent.limits import Limits
from letrade_agent.log import Log
from letrade_agent.measures import Measures
from letrade_agent.tracing.contexts import Sampler
from letrade_agent.tracing.recorder import Recorder
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.model.topology import Topology
from letrade_topo.version import VERSION

if TYPE_CHECKING:
    from letrade_agent.otlp.sender import Sender
    from letrade_agent.tracing.spans import Described, Spans

_SCOPE: Final = "letrade-agent"


class Traces:
    """Records and sends; the packages for that are loaded only here.

    Args:
        settings: where to, and what.
        service: beside which the agent stands.
        topology: in force.
        measures: what becomes of spans.
        log: told when they cannot be sent.
        limits: of the agent.
        now: seconds since the epoch.

    Attributes:
        recorder: for whoever relays messages.

    Raises:
        InvalidSetting: the packages for it are not installed.
    """

    def __init__(
        self,
        settings: TraceSettings,
        service: str,
        topology: Topology,
        measures: Measures,
        log: Log,
        limits: Limits,
        now: Callable[[], float],
    ) -> None:
        self.recorder: Final = Recorder(Sampler(settings), measures, now, limits.traces)
        self._settings = settings
        self._service = service
        self._topology = topology
        self._measures = measures
        self._log = log
        self._limits = limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = asyncio.Event()
        self._sender: Final = self._new_sender()

    def _new_sender(self) -> Sender:
        try:
            from letrade_agent.otlp.sender import Sender
            from letrade_agent.otlp.wire import Wire
        except ImportError as error:
            raise InvalidSetting(
                "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and what sends them is not installed",
                why=str(error),
                fix="pip install 'letrade-topo[agent,otel]', or unset the variable",
            ) from None
        wire = Wire((*self._settings.resource, ("letrade.service", self._service)), (_SCOPE, VERSION))
        return Sender(
            self.recorder,
            self._spans(self._topology),
            wire,
            self._settings,
            self._measures,
            self._tell,
            self._ended,
            self._limits.traces,
            f"{_SCOPE}/{VERSION}",
        )

    def start(self) -> None:
        """Begin to send; to be called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._sender.start()

    def switch(self, topology: Topology) -> None:
        """Another topology is in force."""
        self._sender.switch(self._spans(topology))

    async def stop(self) -> None:
        """Send what is there, for a moment."""
        self._sender.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop.traces_seconds):
                await self._is_over.wait()

    def _spans(self, topology: Topology) -> Spans:
        from letrade_agent.tracing.spans import Described, Spans

        policy = TopologyPolicy(topology, self._service)

        def describe(exchange: bytes, routing_key: bytes) -> Described | None:
            route = policy.route(exchange, routing_key)
            if route is None:
                return None
            return Described(route.message_type, topology.messages[route.message_type].key.text)

        own = frozenset(queue.name for queue in topology.queues.values() if queue.service == self._service)
        return Spans(describe, own)

    # Called by the thread that sends: the log is the event loop's, which may have ended meanwhile.

    def _tell(self, level: str, event: str, particulars: Mapping[str, object]) -> None:
        self._in_loop(partial(self._log, level, event, particulars))

    def _ended(self) -> None:
        self._in_loop(self._is_over.set)

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)
