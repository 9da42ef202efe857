"""What every test can use: brokers (`tests/brokers.py`), agents (`tests/agents.py`), and the size of campaigns."""

from __future__ import annotations

import signal

import pytest

pytest_plugins = ["tests.brokers", "tests.examples_per_property", "tests.agents", "tests.scheduling"]


def pytest_configure() -> None:
    """Hear Ctrl-C, and let what the tests start hear it.

    A shell begins what runs in its background with SIGINT ignored, and everything below it inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size of campaigns; `script/soak` asks for the long form."""
    group = parser.getgroup("campaigns")
    group.addoption("--kills", type=int, default=2, help="how often apply is killed")
    group.addoption("--objects", type=int, default=200, help="expanded objects of the topology that is applied")
    group.addoption("--seed", type=int, default=20_261_123, help="of the random moments")
    group.addoption("--messages", type=int, default=5_000, help="published while every tenth is refused")
    group.addoption("--seconds", type=float, default=20, help="of the soak of agents on a cluster")
    group.addoption("--rate", type=int, default=300, help="messages a second through agents, where a rate is kept")
    group.addoption("--keep-trace", metavar="FILE", help="where the picture of a trade's trace goes")
    group.addoption("--topologies", type=int, default=60, help="made at random, to publish in")
