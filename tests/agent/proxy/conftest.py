"""Time for everything that a proxy does in a moment where nothing stands still."""

from __future__ import annotations

import pytest
from letrade_agent.proxy import dialled, listener, server, upstream
from letrade_agent.relay import relay

from tests.agent.proxy.world import LIMIT_SECONDS


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not what fails: a test of a limit sets its own."""
    for module, limit in (
        (upstream, "NODE_SECONDS"),
        (upstream, "DIAL_SECONDS"),
        (dialled, "LOGIN_SECONDS"),
        (listener, "HANDSHAKE_SECONDS"),
        (relay, "DRAIN_SECONDS"),
        (server, "_CLOSING_SECONDS"),
    ):
        monkeypatch.setattr(module, limit, LIMIT_SECONDS)
