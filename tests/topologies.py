"""Topologies for tests: small documents, written as files or loaded, and broker states made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import Address, BrokerObject
from letrade_topo.broker.state import BrokerInfo, LiveState, QueueStatus
from letrade_topo.expand.desired import DesiredState
from letrade_topo.expand.expansion import expand
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources, load_topology
from letrade_topo.model.messages import Json
from letrade_topo.model.topology import Topology

Document = dict[str, Any]

SHIPPED = Path(__file__).parent.parent / "topology.yaml"
VERSIONS = ("3.10.8", "4.0.5", "4.3.6")


def orders(name: str = "orders", vhost: str = "orders", **sections: Any) -> Document:
    """One exchange, two types, a publisher and a consumer with one queue and a ladder of one step.

    Users are called `<vhost>-shop` and `<vhost>-clerk`: they belong to the whole broker. The delivery limit is not the
    one that a broker has by itself, so there is a policy for consumers on every version.

    Args:
        name: of the topology.
        vhost: its vhost.
        sections: replace whole sections; None leaves one out.
    """
    document: Document = {
        "topology": 1,
        "name": name,
        "vhost": vhost,
        "ownership": "exclusive",
        "security": {"tls": {"client_certificates": True}},
        "limits": {"delivery_limit": 30},
        "retry": {"max_retries": 1, "delay": "1s"},
        "exchanges": {"orders": {}},
        "messages": {
            "order.placed": {"exchange": "orders", "lifetime": "60s"},
            "order.{id}.changed": {"exchange": "orders", "lifetime": "60s"},
        },
        "services": {
            "shop": {"user": f"{vhost}-shop", "publishes": ["order.placed", "order.{id}.changed"]},
            "clerk": {"user": f"{vhost}-clerk", "consumes": ["order.placed", "order.{id}.changed"]},
        },
        "queues": {"clerk.orders": {"service": "clerk", "messages": ["order.placed", "order.{id}.changed"]}},
    }
    document.update(sections)
    return {section: value for section, value in document.items() if value is not None}


def write(path: Path, document: Document) -> Path:
    """Write a document as a topology file."""
    path.write_text(text_of(document), encoding="utf-8")
    return path


def text_of(document: Document) -> str:
    """A document as YAML."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def loaded(document: Document) -> Topology:
    """The model of a document."""
    return load_sources([SourceText("topology.yaml", Path(), text_of(document))]).topology


def shipped() -> Topology:
    """The model of the topology that the project ships."""
    return load_topology(SHIPPED).topology


def expanded(topology: Topology, version: str = "4.0.5") -> DesiredState:
    """What a topology implies on a broker of a version."""
    return expand(topology, for_version(version))


def state_of(
    objects: Iterable[BrokerObject],
    vhost: str = "orders",
    *,
    queues: dict[str, QueueStatus] | None = None,
    records: dict[str, Json] | None = None,
    username: str = "admin",
    version: str = "4.0.5",
) -> LiveState:
    """A broker's state that holds exactly these objects."""
    by_address: dict[Address, BrokerObject] = {thing.address: thing for thing in objects}
    broker = BrokerInfo(version, "cluster", username, ("administrator",))
    return LiveState(broker, vhost, by_address, queues or {}, records or {})
