"""Contract tests of the services in examples/bus: no broker, no agent, no container."""

import sys
from pathlib import Path

pytest_plugins = ["letrade_topo.testing"]
sys.path.insert(0, str(Path(__file__).parent.parent / "bus"))
