"""Whether a node answers on its listeners.

A TCP connect is not enough: another program may have taken the port (and RabbitMQ goes on without a
TLS listener whose port is taken), and a node whose key does not fit its certificate starts and
listens, while every handshake fails. So AMQP and HTTP are spoken, over TLS verified with the node's
own authority where the listener has TLS.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from letrade_topo.node.settings import LOOPBACK, Listener, Ports

# AMQP 0-9-1: the server answers the protocol header with a method frame (type 1) on channel 0.
_AMQP_GREETING, _AMQP_ANSWER = b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"
_HTTP_GREETING, _HTTP_ANSWER = b"HEAD / HTTP/1.0\r\n\r\n", b"HTTP/1."
_TIMEOUT_SECONDS = 3.0


def answers(ports: Ports, ca_file: Path) -> bool:
    """Whether each listener of a node answers as its protocol does."""
    return all(_answers(listener, port, ca_file) for listener, port in ports.listeners.items())


def _answers(listener: Listener, port: int, ca_file: Path) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_SECONDS) as plain:
            if not listener.is_tls:
                return _greet(plain, listener)
            context = ssl.create_default_context(cafile=str(ca_file))
            with context.wrap_socket(plain, server_hostname=LOOPBACK) as tls:
                return _greet(tls, listener)
    except OSError:  # refused, reset, timed out, or TLS that fails
        return False


def _greet(connection: socket.socket, listener: Listener) -> bool:
    greeting, expected = (_HTTP_GREETING, _HTTP_ANSWER) if listener.is_management else (_AMQP_GREETING, _AMQP_ANSWER)
    connection.sendall(greeting)
    answer = b""
    while len(answer) < len(expected):
        received = connection.recv(len(expected) - len(answer))
        if not received:
            return False
        answer += received
    return answer == expected
