"""`letrade-topo doctor`: why something does not work. Reads, and never writes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.connection import ConnectionOptions, Usage, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.exit_codes import BY_ERROR, ExitCode, epilog, exit_code_of
from letrade_topo.program import print_document

if TYPE_CHECKING:
    from letrade_topo.doctor.checkup import Check, Checkup, Seen
    from letrade_topo.load.topology_file import LoadedTopology
    from letrade_topo.management.endpoint import ManagementEndpoint

USUAL_LEEWAY_SECONDS = 5.0
"""Where no topology says what clocks may differ."""

_CODES = {
    ExitCode.OK: "nothing is wrong, or only what deserves a look",
    ExitCode.FAILED: "something is wrong; the first line names it",
    ExitCode.INVALID_FILE: "",
    ExitCode.UNREACHABLE: "",
    ExitCode.LOCKED: "",
}


@click.command(epilog=epilog(_CODES))
@topology_options
@connection_options
@click.option(
    "--agent",
    metavar="URL",
    envvar="LETRADE_TOPO_AGENT",
    show_envvar=True,
    help="Look at this agent as well, by its admin port, for example http://127.0.0.1:9464.",
)
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="LETRADE_TOPO_KEYS",
    show_envvar=True,
    help="With --agent: sign a message with the service's key in this folder, and verify it as its consumer would.",
)
@format_option("text", "json")
def doctor(
    topology: TopologyOptions, connection: ConnectionOptions, agent: str | None, keys: Path | None, output_format: str
) -> int:
    """Tell why something does not work: the first line names the cause, the next ones what to do.

    Checks FILE, its secrets, the way to the broker, the broker, what the topology needs of it, and on request an
    agent, each when what it rests on is right. Never writes anything, anywhere.
    """
    from letrade_topo.doctor.agent import AgentChecks
    from letrade_topo.doctor.checkup import Checkup
    from letrade_topo.load.source_text import topology_sha
    from letrade_topo.render.checkup import as_json, as_text

    checkup = Checkup()
    loaded = _file(topology, checkup)
    _broker(loaded, topology, connection, checkup)
    if agent is not None:
        sha = None
        if loaded is not None:
            sha = topology_sha(loaded.sources.texts)
        known = loaded.topology if loaded else None
        AgentChecks(agent, sha, datetime.now(UTC), known, keys).make(checkup)
    if output_format == "json":
        print_document(as_json(checkup))
    else:
        click.echo(as_text(checkup))
    return _code(checkup.cause)


def _code(cause: Check | None) -> ExitCode:
    from letrade_topo.doctor.checkup import Verdict

    if cause is None or cause.found.verdict is Verdict.WARNING:
        return ExitCode.OK
    found = cause.found
    return BY_ERROR.get(found.kind, ExitCode.FAILED) if found.error is None else exit_code_of(found.error)


def _file(topology: TopologyOptions, checkup: Checkup) -> LoadedTopology | None:
    """The topology, and whether its secrets are there."""
    from letrade_topo.cli.session import password_references
    from letrade_topo.doctor.checkup import Seen, Verdict
    from letrade_topo.load.diagnostics import InvalidTopology
    from letrade_topo.secrets import resolve

    found: LoadedTopology | None = None
    refused: InvalidTopology | None = None
    try:
        found = topology.load()
    except InvalidTopology as error:
        refused = error

    def of_variables(error: InvalidTopology | None) -> bool:
        errors = [item for item in error.diagnostics if item.is_error] if error else []
        return bool(errors) and all("variable" in item.rule for item in errors)

    def file() -> Seen:
        if refused is not None and not of_variables(refused):
            raise refused
        return Seen(f"{topology.name}: valid" if found else topology.name)

    def variables() -> Seen:
        if refused is not None:
            raise refused
        names = sorted({*topology.variables, *(name.lower() for name in topology.environment)})
        return Seen(f"given from outside: {', '.join(names)}" if names else "as the file has them")

    def secrets() -> Seen:
        assert found is not None  # noqa: S101  # the file comes first
        references = password_references(found.topology)
        resolve(references, os.environ)
        return Seen(f"{len(references)} can be read" if references else "none is referred to", Verdict.OK)

    checkup.check("file", "a topology without an error", file)
    checkup.check("variables", "every variable has a value of its type", variables, needs=("file",))
    checkup.check("secrets", "every secret that the file refers to can be read", secrets, needs=("file", "variables"))
    return found


def _broker(
    loaded: LoadedTopology | None, options: TopologyOptions, connection: ConnectionOptions, checkup: Checkup
) -> None:
    """The way to the broker, the broker, and the topology on it."""
    from letrade_topo.doctor.checkup import Seen, Verdict
    from letrade_topo.doctor.management import BrokerChecks
    from letrade_topo.doctor.topology import TopologyChecks
    from letrade_topo.doctor.way import ManagementServer
    from letrade_topo.management.client import ManagementClient
    from letrade_topo.management.transport import tls_context

    access = loaded.topology.broker if loaded else None
    named: list[ManagementEndpoint] = []

    def address() -> Seen:
        try:
            named.append(connection.endpoint(access))
        except Usage as error:
            fix = "give --management, --username and --password-file, or for a try: `letrade-topo broker start`"
            return Seen(error.message, Verdict.FAILED, fix, kind="Usage")
        return Seen(f"{named[0].url}, as {named[0].username!r}")

    if not checkup.check("address", "where the broker is, as whom, with which password", address):
        return
    endpoint = named[0]

    def authorities() -> Seen:
        tls_context(endpoint)
        return Seen(str(endpoint.ca_file) if endpoint.ca_file else "those of this system")

    server = ManagementServer(endpoint)
    leeway = loaded.topology.security.jwt.leeway.seconds if loaded else USUAL_LEEWAY_SECONDS
    checkup.check("authorities", "certificates of the authorities to trust", authorities)
    checkup.check("name", "the broker's host has an address", server.look_up)
    checkup.check("port", "something listens there", server.connect, needs=("name",))
    now = datetime.now(UTC)
    checkup.check(
        "tls",
        "a certificate that is trusted, of this name, in time",
        lambda: server.shake_hands(now),
        needs=("authorities", "port"),
    )
    if not checkup.holds("authorities"):
        return
    with ManagementClient(endpoint) as client:
        broker = BrokerChecks(client)
        broker.reach(checkup)
        right = f"not further apart than {leeway:g} s"
        checkup.check("clock", right, lambda: server.compare_clocks(leeway), needs=("plugin",))
        broker.make(checkup)
        if loaded is not None:
            TopologyChecks(client, loaded.topology, options.name).make(checkup)
