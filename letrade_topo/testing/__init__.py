"""Contract tests of a service, without a broker: `pytest_plugins = ["letrade_topo.testing"]`.

What a service publishes is judged by its agent's own filters, in this process, on the topology file: exchange and key,
envelope, schema, size. Stands on the bus and on the agent, whose filters it borrows. Knows no broker, but for the
fixture `broker`, which starts one for who asks. Extras `agent`, `bus` and `testing`.
"""

from importlib.util import find_spec

if missing := [name for name in ("pytest", "h11", "aio_pika") if find_spec(name) is None]:
    raise ImportError(f"letrade_topo.testing needs {missing[0]}: install letrade-topo[agent,bus,testing]")

from letrade_topo.testing.contract import Contract, ContractBroken, Published
from letrade_topo.testing.fixtures import (
    broker,
    bus,
    contract,
    letrade_service,
    letrade_topology,
    pytest_addoption,
    topology,
)
from letrade_topo.testing.memory_bus import MemoryBus
from letrade_topo.testing.started_broker import StartedBroker

__all__ = [
    "Contract",
    "ContractBroken",
    "MemoryBus",
    "Published",
    "StartedBroker",
    "broker",
    "bus",
    "contract",
    "letrade_service",
    "letrade_topology",
    "pytest_addoption",
    "topology",
]
