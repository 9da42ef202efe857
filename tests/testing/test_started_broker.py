"""The fixture `broker`: a private RabbitMQ as the topology says, for the tests of a service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.brokers import installation_of
from tests.topologies import orders

_RUN_SECONDS = 300

PLUGIN = 'pytest_plugins = ["letrade_topo.testing"]\n'
TESTS = """
import os
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest

from letrade_topo.errors import TopoError


def test_in_sync(broker):
    command = [sys.executable, "-m", "letrade_topo", "drift", "topology.yaml"]
    given = {name: value for name, value in os.environ.items() if name != "LETRADE_TOPO_PASSWORD"}
    assert subprocess.run(command, env=given | dict(broker.environment)).returncode == 0


def test_refused(broker):
    Path("wrong.yaml").write_text("topology: 1")
    with pytest.raises(TopoError, match="wrong.yaml could not be applied") as refused:
        broker.apply(Path("wrong.yaml"))
    assert "name" in refused.value.why


def test_a_service_logs_in_and_publishes(broker):
    authority = ssl.create_default_context(cafile=broker.ca_file)
    credential = broker.client("orders-shop")
    authority.load_cert_chain(credential.certificate, credential.key)
    address = urlsplit(broker.amqps_url)
    parameters = pika.ConnectionParameters(
        address.hostname,
        address.port,
        "orders",
        credentials=pika.credentials.ExternalCredentials(),
        ssl_options=pika.SSLOptions(authority, address.hostname),
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("orders", "order.placed", b"{}", mandatory=True)
    with open("running", "w") as file:
        file.write(str(broker.node.processes.broker.pid))
"""


def _run(folder: Path, root: Path | None, topology: object) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "test_service.py").write_text(TESTS, encoding="utf-8")
    (folder / "topology.yaml").write_text(yaml.safe_dump(topology), encoding="utf-8")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("LETRADE", "PYTEST"))}
    variables |= {"LETRADE_TOPO_MANAGEMENT": "https://elsewhere.example.com", "LETRADE_TOPO_PASSWORD": "of another"}
    if root is not None:
        variables["LETRADE_TOPO_BROKER_ROOT"] = str(root)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", "."]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
    )


@pytest.mark.one_version
def test_broker_of_a_session(broker_version: str, tmp_path: Path) -> None:
    """It is as the topology says, a service gets in by its certificate, and it is gone afterwards."""
    done = _run(tmp_path, installation_of(broker_version).root, orders())
    assert done.returncode == 0, done.stdout
    pid = (tmp_path / "running").read_text(encoding="utf-8")
    assert not Path("/proc", pid).exists()


def test_no_rabbitmq(tmp_path: Path) -> None:
    """Where none is installed, its tests are skipped, and say what to install."""
    (tmp_path / "root").mkdir()
    done = _run(tmp_path, tmp_path / "root", orders())
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout
