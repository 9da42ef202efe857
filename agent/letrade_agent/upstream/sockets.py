"""Sockets to a broker node: its addresses looked up each time, TLS with its name, and what notices a dead host."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from ipaddress import ip_address

from letrade_agent.config import UpstreamNode
from letrade_agent.limits import Limits
from letrade_agent.transport.leg import Leg
from letrade_agent.transport.tls_transport import open_tls


async def connect(node: UpstreamNode, context: ssl.SSLContext | None, open_legs: set[Leg], limits: Limits) -> Leg:
    """Connect to one of the addresses of a node.

    Args:
        node: whose name is in its certificate.
        context: for TLS; None: plain text, to loopback only.
        open_legs: is to hold the leg while it is open.
        limits: of the agent.

    Raises:
        OSError: no address, none that answers, or TLS failed (`ssl.SSLError`).
    """
    problem: OSError | None = None
    for address in await _addresses(node):
        if context is None and not ip_address(address.partition("%")[0]).is_loopback:
            raise OSError(f"plain text goes to loopback only, and {node.address.host} is {address}")
        try:
            return await _open(node, address, context, open_legs, limits)
        except TimeoutError:
            raise
        except OSError as error:
            problem = error
    raise problem or OSError(f"{node.address.host} has no address")


async def _addresses(node: UpstreamNode) -> list[str]:
    """In random order: behind a headless service of Kubernetes there are several."""
    host = node.address.host
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, node.address.port, type=socket.SOCK_STREAM)
        except UnicodeError:  # Python's own, before anybody is asked: two dots together, a label of 64 characters
            raise socket.gaierror(socket.EAI_NONAME, "it is not the name of a host") from None
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        random.shuffle(addresses)
        return addresses
    return [host]


async def _open(
    node: UpstreamNode, address: str, context: ssl.SSLContext | None, open_legs: set[Leg], limits: Limits
) -> Leg:
    leg = Leg(open_legs, limits=limits.transport)
    if context is None:
        await asyncio.get_running_loop().create_connection(lambda: leg, address, node.address.port)
    else:
        await open_tls(leg, address, node.address.port, context, node.address.host)
    if leg.socket is not None:  # TCP_NODELAY is asyncio's default
        leg.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, limits.upstream.keep_alive_seconds),
            (socket.TCP_KEEPINTVL, limits.upstream.keep_alive_interval_seconds),
            (socket.TCP_KEEPCNT, limits.upstream.keep_alive_probes),
        ):
            leg.socket.setsockopt(socket.IPPROTO_TCP, option, value)
    limit_unacknowledged(leg, limits.upstream.unacknowledged_seconds)
    return leg


def limit_unacknowledged(leg: Leg, seconds: float) -> None:
    """End the connection when what was sent stays unacknowledged for so long; 0: never.

    Never, while the broker blocks the connection: it reads nothing then, and Linux takes a window that stays closed for
    the same (tcp(7), TCP_USER_TIMEOUT).
    """
    if leg.socket is not None and not leg.is_lost:
        leg.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
