"""`letrade-topo watch`: the controller, for a cluster that runs it beside its broker."""

from __future__ import annotations

import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from letrade_topo.cli.connection import ConnectionOptions, Usage, connection_options
from letrade_topo.cli.topology_options import STANDARD_INPUT, TopologyOptions, topology_flags
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.http_host import HELP, KnownHosts
from letrade_topo.log import Log, LogFormat
from letrade_topo.model.units import Duration, UnitError

if TYPE_CHECKING:
    from letrade_topo.watch.controller import Stop
    from letrade_topo.watch.source import Watched

Command = TypeVar("Command", bound=Callable[..., Any])
MODES = ("detect", "repair")
SHORTEST_INTERVAL_SECONDS = 1.0


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    try:
        seconds = Duration.parse(text).seconds
    except UnitError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if seconds < SHORTEST_INTERVAL_SECONDS:
        raise click.BadParameter(f"at least {SHORTEST_INTERVAL_SECONDS:g}s", context, parameter)
    return seconds


def _address(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise click.BadParameter("write HOST:PORT, for example 127.0.0.1:9465", context, parameter)
    return host, int(port)


def _option(flag: str, **attributes: Any) -> Callable[[Command], Command]:
    variable = "LETRADE_TOPO_" + flag.removeprefix("--").replace("-", "_").upper()
    return click.option(flag, envvar=variable, show_envvar=True, show_default=True, **attributes)


@click.command(epilog=epilog((ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)))
@topology_flags
@connection_options
@_option(
    "--mode",
    type=click.Choice(MODES),
    default=MODES[0],
    help="`detect` only says what differs; `repair` does what `apply` does without --allow, and leaves the rest.",
)
@_option(
    "--interval", metavar="DURATION", default="60s", callback=_seconds, help="From one look at the broker to the next."
)
@_option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:9465", callback=_address, help="Where metrics and health are."
)
@click.option(
    "--allowed-host", metavar="NAME", multiple=True, envvar="LETRADE_TOPO_ALLOWED_HOST", show_envvar=True, help=HELP
)
@_option(
    "--log-format",
    type=click.Choice([form.value for form in LogFormat]),
    default=LogFormat.JSON.value,
    help="How log lines look, on stderr.",
)
def watch(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    mode: str,
    interval: float,
    listen: tuple[str, int],
    allowed_host: tuple[str, ...],
    log_format: str,
) -> int:
    """Compare the broker with the topology again and again, until SIGTERM; with --mode repair, make it match.

    Of several that run, one leads and the others stand by. A changed topology file is read again; a broken one
    is refused. Serves a page for people at /, and /metrics, /livez and /readyz.
    """
    if topology.file == STANDARD_INPUT:
        raise Usage("watch reads the topology again when it changes, so it cannot come from standard input")
    log = Log(sys.stderr, LogFormat(log_format), time.time)
    with _until_stopped() as stop:
        _run(topology, connection, mode, interval, listen, KnownHosts((listen[0], *allowed_host)), log, stop)
    return ExitCode.OK


def _run(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    mode: str,
    interval: float,
    listen: tuple[str, int],
    hosts: KnownHosts,
    log: Log,
    stop: Stop,
) -> None:
    from importlib.metadata import version

    import prometheus_client

    from letrade_topo.broker.reach import Width
    from letrade_topo.watch.controller import Controller, ProbeState
    from letrade_topo.watch.journal import Journal
    from letrade_topo.watch.metrics import Metrics
    from letrade_topo.watch.page import ControllerFacts, ControllerPage
    from letrade_topo.watch.passes import Mode, Passes
    from letrade_topo.watch.schedule import Schedule
    from letrade_topo.watch.server import Pages
    from letrade_topo.watch.source import TopologySource

    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nothing reads
    needs_secrets = connection.width is not Width.VHOST
    read = partial(load, topology, needs_secrets=needs_secrets)
    source = TopologySource(read, [Path(path) for path in (topology.file, *topology.overlays)])
    scope = source.current.request.scope
    metrics = Metrics(scope.topology, version("letrade-topo"), mode, interval)
    metrics.in_force(source.current.sha)
    health = ProbeState(time.monotonic)
    checks = {"/livez": health.livez, "/readyz": health.readyz}
    journal = Journal()
    log.listen(journal.told)
    facts = ControllerFacts(socket.gethostname(), mode, interval, version("letrade-topo"))
    page = ControllerPage(facts, journal, lambda: source.current)
    pages = Pages(*listen, metrics.registry, checks, hosts, page.render)
    passes = Passes(
        Mode(mode),
        lambda watched: connection.connect(watched.access, observe=metrics.requested),
        metrics,
        log,
        time.time,
        journal,
    )
    log(
        "info",
        "started",
        {
            "topology": scope.topology,
            "vhost": scope.vhost,
            "topology_sha": source.current.sha,
            "mode": mode,
            "interval_seconds": interval,
            "listen": f"{listen[0]}:{pages.port}",
        },
    )
    for warning in source.current.warnings:
        log("warning", "topology_warning", {"warning": warning})
    schedule = Schedule(interval, random.random)
    try:
        Controller(source, passes, schedule, metrics, log, health, stop).run()
    finally:
        log.flush()
        log("info", "stopped", {})
        pages.close()


def load(topology: TopologyOptions, *, needs_secrets: bool = True) -> Watched:
    """Read a topology as the controller needs it.

    Args:
        topology: which.
        needs_secrets: every password has to be there, whether or not the login can look at users.

    Raises:
        TopoError: it cannot be used, or a password that it refers to cannot be read.
    """
    from letrade_topo.cli.session import password_references, request_of
    from letrade_topo.load.source_text import topology_sha
    from letrade_topo.model.security import SecretSource
    from letrade_topo.watch.source import Watched

    loaded = topology.load()
    model = loaded.topology
    references = password_references(model)
    request = request_of(loaded)
    if needs_secrets:
        for reference in references:
            _ = request.secrets[reference]
    queues = [*model.queues, *([model.dead_letter.queue] if model.has_dead_letters else [])]
    return Watched(
        request=request,
        access=model.broker,
        sha=topology_sha(loaded.sources.texts),
        queues=tuple(dict.fromkeys(queues)),
        secret_files=tuple(Path(reference.name) for reference in references if reference.source is SecretSource.FILE),
        warnings=tuple(f"{warning.location}: {warning.summary} [{warning.rule}]" for warning in loaded.diagnostics),
        topology=model,
    )


@contextmanager
def _until_stopped() -> Iterator[Stop]:
    """SIGTERM and Ctrl-C ask for the end, after the pass that is under way; a second one does not wait for it."""
    from letrade_topo.watch.controller import Stop

    stop = Stop()

    def ask(number: int, _: object) -> None:
        if stop.is_asked:
            raise KeyboardInterrupt
        stop.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
