"""`letrade-topo route`: the way of one message, by the topology and on the broker."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.connection import ConnectionOptions, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.topology_options import DEFAULT_FILE, FILE_VARIABLE, TopologyOptions, overlaid_topology
from letrade_topo.exit_codes import ExitCode, epilog
from letrade_topo.program import print_document

if TYPE_CHECKING:
    from letrade_topo.graph.route import MessageRoute, PublishedMessage
    from letrade_topo.load.topology_file import LoadedTopology
    from letrade_topo.model.messages import Json

_CODES = {
    ExitCode.OK: "shown",
    ExitCode.CHANGES: "with --live: it goes another way on the broker",
    ExitCode.INVALID_FILE: "",
    ExitCode.UNREACHABLE: "",
}


def _words(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, str, str]:
    """FILE, which may be left out, EXCHANGE and KEY."""
    match given:
        case (file, exchange, key):
            return file, exchange, key
        case (exchange, key):
            return os.environ.get(FILE_VARIABLE) or DEFAULT_FILE, exchange, key
        case _:
            raise click.UsageError("give EXCHANGE and KEY, and before them FILE if it is not topology.yaml", context)


def _headers(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Mapping[str, Json]:
    headers: dict[str, Json] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter("write NAME=VALUE, for example --header region=eu", context, parameter)
        headers[name] = _value(value)
    return headers


def _value(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (list, dict)) else value


@click.command(epilog=epilog(_CODES))
@click.argument("words", metavar="[FILE] EXCHANGE KEY", nargs=-1, callback=_words)
@overlaid_topology
@connection_options
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_headers,
    help="A header of the message, for headers exchanges; may be repeated. A value is read as JSON where it is a "
    "number, true, false, null or a text in quotes: --header 'k=\"1\"' is the text.",
)
@click.option(
    "--reject",
    is_flag=True,
    envvar="LETRADE_TOPO_REJECT",
    show_envvar=True,
    help="Show each step of a message that is rejected wherever it is delivered, with times.",
)
@click.option(
    "--live",
    is_flag=True,
    envvar="LETRADE_TOPO_LIVE",
    show_envvar=True,
    help="Ask the broker for its own bindings too, and tell where they lead elsewhere.",
)
@format_option("text", "json")
def route(
    words: tuple[str, str, str],
    topology: TopologyOptions,
    connection: ConnectionOptions,
    headers: Mapping[str, Json],
    reject: bool,
    live: bool,
    output_format: str,
) -> int:
    """Show which queues a message reaches that is published to EXCHANGE under KEY, hop by hop.

    FILE is topology.yaml by default; EXCHANGE is "" for the default exchange. Says who publishes it, for whom it is
    declared, and what becomes of it when it is rejected. Needs no broker, but with --live.
    """
    from letrade_topo.graph.route import PublishedMessage, purpose_of
    from letrade_topo.render.route_json import differs, route_to_json
    from letrade_topo.render.route_text import render_route

    file, exchange, key = words
    loaded = topology.of(file).load()
    message = PublishedMessage(exchange, key, headers)
    declared, found = _routes(message, loaded, connection if live else None)
    purpose = purpose_of(message, loaded.topology)
    if output_format == "json":
        print_document(json.dumps(route_to_json(purpose, declared, found), indent=2, ensure_ascii=False))
    elif found is None:
        click.echo(render_route(purpose, declared, rejects=reject))
    elif not differs(declared, found):
        click.echo(render_route(purpose, found, rejects=reject))
        click.echo("\nThe broker's own bindings lead there, as the topology declares.")
    else:
        click.echo(f"As the topology declares:\n\n{render_route(purpose, declared, rejects=reject)}\n")
        click.echo(f"On the broker it goes another way:\n\n{render_route(purpose, found, rejects=reject)}")
    return ExitCode.CHANGES if found is not None and differs(declared, found) else ExitCode.OK


def _routes(
    message: PublishedMessage, loaded: LoadedTopology, connection: ConnectionOptions | None
) -> tuple[MessageRoute, MessageRoute | None]:
    """The way by the topology, and on the broker, if that is asked."""
    from letrade_topo.broker.capabilities import NEWEST, for_version
    from letrade_topo.expand.expansion import expand
    from letrade_topo.graph.route import route_of
    from letrade_topo.graph.wiring import declared_wiring, live_wiring
    from letrade_topo.management.reading import read_state

    topology = loaded.topology
    if connection is None:
        newest = for_version(NEWEST)
        return route_of(message, declared_wiring(expand(topology, newest), newest), topology), None
    with connection.connect(topology.broker) as client:
        state = read_state(client, topology.vhost)
    capabilities = for_version(state.broker.version)
    declared = declared_wiring(expand(topology, capabilities), capabilities)
    return route_of(message, declared, topology), route_of(message, live_wiring(state), topology)
