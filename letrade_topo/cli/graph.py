"""`letrade-topo graph`: the topology drawn, alone or as a broker has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from letrade_topo.cli.connection import ConnectionOptions, Usage, connection_options
from letrade_topo.cli.options import format_option
from letrade_topo.cli.terminal import say
from letrade_topo.cli.topology_options import TopologyOptions, topology_options
from letrade_topo.exit_codes import ExitCode, epilog

if TYPE_CHECKING:
    from letrade_topo.graph.graph import QueueLoad, TopologyGraph
    from letrade_topo.management.client import ManagementClient
    from letrade_topo.model.topology import Topology

FORMATS = ("html", "svg", "mermaid", "dot", "json")
SHOWN_TO_ALL = 0o644
"""A drawing holds no secret, and is there to be read."""


@click.command(epilog=epilog((ExitCode.INVALID_FILE, ExitCode.UNREACHABLE)))
@topology_options
@connection_options
@format_option(*FORMATS)
@click.option(
    "--service",
    metavar="NAME",
    envvar="LETRADE_TOPO_SERVICE",
    show_envvar=True,
    help="Only what this service reaches and what reaches it.",
)
@click.option(
    "--queue",
    metavar="NAME",
    envvar="LETRADE_TOPO_QUEUE",
    show_envvar=True,
    help="Only what reaches this queue, and where it leads.",
)
@click.option(
    "--failures",
    is_flag=True,
    envvar="LETRADE_TOPO_FAILURES",
    show_envvar=True,
    help="Draw retries and dead letters too. A page and JSON have them in any case.",
)
@click.option(
    "--live",
    is_flag=True,
    envvar="LETRADE_TOPO_LIVE",
    show_envvar=True,
    help="Ask the broker, and draw depths, consumers, rates and drift.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    envvar="LETRADE_TOPO_GRAPH_OUTPUT",
    show_envvar=True,
    help="The file to write, in place of stdout.",
)
def graph(
    topology: TopologyOptions,
    connection: ConnectionOptions,
    output_format: str,
    service: str | None,
    queue: str | None,
    failures: bool,
    live: bool,
    output: Path | None,
) -> int:
    """Draw FILE, by default topology.yaml: services, message types, exchanges, queues, and the ways between them.

    `html` is one page that needs no network: search it, point at a node to read its arguments, permissions and schema,
    click it to see what it reaches and what reaches it. Needs no broker, but with --live.
    """
    from letrade_topo import files
    from letrade_topo.graph.reach import Reach

    loaded = topology.load()
    if live:
        with connection.connect(loaded.topology.broker) as client:
            whole = _live(client, loaded.topology)
    else:
        whole = _declared(loaded.topology)
    node = _asked_for(whole, service, queue)
    text = _drawn(whole if node is None else Reach(whole).part(node), output_format, failures, node)
    if output is None:
        click.echo(text, nl=False)
    else:
        files.write(output, text.encode(), mode=SHOWN_TO_ALL)
        say(f"written: {output}")
    return ExitCode.OK


def _declared(topology: Topology) -> TopologyGraph:
    from letrade_topo.broker.capabilities import NEWEST, for_version
    from letrade_topo.expand.expansion import expand
    from letrade_topo.graph.building import graph_of
    from letrade_topo.graph.wiring import declared_wiring

    newest = for_version(NEWEST)
    return graph_of(topology, declared_wiring(expand(topology, newest), newest))


def _live(client: ManagementClient, topology: Topology) -> TopologyGraph:
    from letrade_topo.broker.capabilities import for_version
    from letrade_topo.expand.expansion import expand
    from letrade_topo.graph.building import graph_of
    from letrade_topo.graph.wiring import declared_wiring
    from letrade_topo.management.reading import read_state
    from letrade_topo.plan.graph_view import live_view
    from letrade_topo.plan.scope import Scope

    state = read_state(client, topology.vhost)
    capabilities = for_version(state.broker.version)
    desired = expand(topology, capabilities)
    view = live_view(desired, state, Scope.of(topology), _loads(client, topology.vhost))
    return graph_of(topology, declared_wiring(desired, capabilities), view)


def _loads(client: ManagementClient, vhost: str) -> dict[str, QueueLoad]:
    from letrade_topo.graph.graph import QueueLoad
    from letrade_topo.management.rates import QueueRates, read_queue_rates
    from letrade_topo.management.reading import read_queue_counts

    rates = read_queue_rates(client, vhost)
    still = QueueRates(0.0, 0.0)
    return {
        name: QueueLoad(
            counts.messages,
            counts.consumers,
            rates.get(name, still).arriving if rates else None,
            rates.get(name, still).delivered if rates else None,
        )
        for name, counts in read_queue_counts(client, vhost).items()
    }


def _asked_for(whole: TopologyGraph, service: str | None, queue: str | None) -> str | None:
    """The node that is asked for, by id; None for all of them."""
    from letrade_topo.graph.graph import NodeKind, node_id
    from letrade_topo.model.rules.problem import did_you_mean

    if service is not None and queue is not None:
        raise Usage("give --service or --queue")
    for kind, name in ((NodeKind.SERVICE, service), (NodeKind.QUEUE, queue)):
        if name is not None:
            if (own := node_id(kind, name)) not in whole.nodes:
                known = [node.name for node in whole.nodes.values() if node.kind is kind]
                raise Usage(f"there is no {kind} {name!r}. {did_you_mean(name, known, f'There are {len(known)}.')}")
            return own
    return None


def _drawn(found: TopologyGraph, output_format: str, failures: bool, node: str | None) -> str:
    from letrade_topo.draw.document import graph_document
    from letrade_topo.draw.dot import render_dot
    from letrade_topo.draw.mermaid import render_mermaid
    from letrade_topo.draw.page import render_page
    from letrade_topo.draw.svg import render_svg
    from letrade_topo.graph.graph import NodeKind

    is_of_queue = node is not None and found.nodes[node].kind is NodeKind.QUEUE
    shown = found if failures or is_of_queue else found.folded()
    match output_format:
        case "html":
            return render_page(found, chosen=node or "")
        case "svg":
            return render_svg(shown)
        case "mermaid":
            return render_mermaid(shown)
        case "dot":
            return render_dot(shown)
        case _:
            return json.dumps(graph_document(found), indent=2, ensure_ascii=False) + "\n"
