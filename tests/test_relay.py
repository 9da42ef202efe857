"""The relay to a Unix socket that client libraries use: it ends whole, whatever is still connected."""

from __future__ import annotations

import gc
import socket
from contextlib import closing
from pathlib import Path

from tests.relay import relay_to


def test_it_ends_while_somebody_is_connected(tmp_path: Path) -> None:
    """No socket is left for the collector, which would tell of it in the middle of some other test."""
    path = tmp_path / "agent.sock"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        with relay_to(path) as port:
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"x")
            accepted, _ = server.accept()
            assert accepted.recv(1) == b"x"
        with closing(client), closing(accepted):
            assert client.recv(1) == b""
    gc.collect()  # warnings are errors
