"""The controller's pages, asked under names that are and are not its own."""

from __future__ import annotations

import http.client

import pytest
from prometheus_client import CollectorRegistry

from letrade_topo.http_host import KnownHosts
from letrade_topo.watch.server import Pages


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("watch.example.com:9465", 200),
        ("attacker.example", 421),
        ("localhost.attacker.example", 421),
    ],
)
def test_who_asks_under_a_name_that_could_be_led_here_gets_nothing(host: str, status: int) -> None:
    """As for the agent's admin port."""
    pages = Pages(
        "127.0.0.1", 0, CollectorRegistry(), {"/livez": lambda: ""}, KnownHosts(["watch.example.com"]), lambda: ""
    )
    try:
        for page in ("/metrics", "/livez", "/"):
            connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=60)
            connection.request("GET", page, headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    finally:
        pages.close()
