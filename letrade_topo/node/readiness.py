"""Whether a node answers AMQP.

A TCP connect is not enough: another program may have taken the port, and a node whose key does not
fit its certificate starts and listens, while every handshake fails. So AMQP is spoken, over TLS
verified with the node's own authority where there is a TLS listener.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from letrade_topo.node.settings import LOOPBACK, Listener, Ports

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# AMQP 0-9-1: the server answers with a method frame (type 1) on channel 0.
_METHOD_FRAME = b"\x01\x00\x00"
_TIMEOUT_SECONDS = 5.0


def answers_amqp(ports: Ports, ca_file: Path) -> bool:
    """Whether each AMQP listener of a node answers the protocol header, as AMQP does."""
    for listener, port in ports.listeners.items():
        if listener.is_management:
            continue
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_SECONDS) as plain:
                if listener is Listener.AMQP:
                    answer = _greet(plain)
                else:
                    context = ssl.create_default_context(cafile=str(ca_file))
                    with context.wrap_socket(plain, server_hostname=LOOPBACK) as tls:
                        answer = _greet(tls)
        except OSError:  # refused, reset, timed out, or TLS that fails
            return False
        if not answer:
            return False
    return True


def _greet(connection: socket.socket) -> bool:
    connection.sendall(_PROTOCOL_HEADER)
    answer = b""
    while len(answer) < len(_METHOD_FRAME):
        received = connection.recv(len(_METHOD_FRAME) - len(answer))
        if not received:
            return False
        answer += received
    return answer == _METHOD_FRAME
