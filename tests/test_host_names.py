"""A host that cannot be one is refused in our words before any library is asked, wherever hosts are written."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
import urllib3

from letrade_topo.broker_errors import BrokerUnreachable, InvalidEndpoint
from letrade_topo.broker_errors import InvalidEndpoint as InvalidAmqpEndpoint
from letrade_topo.bus.errors import ConfigurationError
from letrade_topo.bus.settings import read_settings
from letrade_topo.errors import TopoError
from letrade_topo.host_names import host_problem
from letrade_topo.management import endpoint as management
from letrade_topo.management import faults
from letrade_topo.management.calls import Call
from letrade_topo.queues import endpoint as queues

LONG = "a" * 64


@pytest.mark.parametrize(
    "host",
    ["a", "a.b", "a.b.", "rabbit_1.x", "127.0.0.1", "::1", "fe80::1%eth0", "bücher.example", "한국.kr"],
)
def test_hosts(host: str) -> None:
    """Names, those of other scripts, those of containers, and addresses."""
    assert host_problem(host) == ""


@pytest.mark.parametrize("host", ["a..b", ".a", f"{LONG}.x", "xn--a", "*.a", "a b", "ex%ample", "a\\b", "ü" * 64])
def test_no_hosts(host: str, tmp_path: Path) -> None:
    """Each of them ends in another exception, or in none, by library and version."""
    amqp, https = f"amqps://{host}:5671", f"https://{host}:15671"
    with pytest.raises(InvalidEndpoint, match="names no host"):
        management.ManagementEndpoint.parse(https, username="user", password="password")
    with pytest.raises(InvalidAmqpEndpoint, match="names no host"):
        queues.AmqpEndpoint.parse(amqp, vhost="v", login=queues.Login("user", "password"))
    with pytest.raises(ConfigurationError, match="names no host"):
        read_settings({}, tmp_path, service="s", topology="t", url=amqp)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (urllib3.exceptions.LocationParseError("nope"), InvalidEndpoint),
        (requests.exceptions.InvalidURL("nope"), InvalidEndpoint),
        (UnicodeError("nope"), InvalidEndpoint),
        (urllib3.exceptions.ConnectTimeoutError("nope"), BrokerUnreachable),
        (urllib3.exceptions.ProtocolError("nope", ConnectionResetError()), BrokerUnreachable),
    ],
)
def test_what_requests_does_not_wrap_is_explained(error: Exception, kind: type[TopoError]) -> None:
    """Which of urllib3's exceptions come as they are differs by version; none is a crash."""
    assert isinstance(error, faults.FOREIGN)
    endpoint = management.ManagementEndpoint.parse("https://broker.example", username="user", password="password")

    assert type(faults.explain(error, endpoint, Call("GET", "/overview", "look"), 1)) is kind
