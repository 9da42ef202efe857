"""Whether an HTTP request was meant for the port that it came to, by its `Host` header (RFC 9110, 7.2).

A page in a browser may ask a port of this machine under a name of its own choice, which it lets DNS lead here (DNS
rebinding), and then read the answer. It cannot choose an address, nor a name that no DNS of its own can lead here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

_OWN_SUFFIXES: Final = (".localhost", ".svc", ".cluster.local")
"""Nobody can register a name under these: RFC 6761, 6.3, and Kubernetes' own."""

HELP: Final = (
    "A further host name under which it may be asked, for example that of a load balancer. IP addresses, names without "
    "a dot, this machine's name, localhost, and names that end in .svc or .cluster.local are taken anyway; several "
    "times for several."
)


class KnownHosts:
    """The names under which a port may be asked.

    Args:
        further: names beyond those that cannot lead here by somebody else's will.
    """

    def __init__(self, further: Iterable[str] = ()) -> None:
        self._names = {_bare(name) for name in (*further, socket.gethostname())}

    def __contains__(self, host: object) -> bool:
        """Whether a `Host` header, with or without a port, is of one of them; one that is missing is (HTTP/1.0)."""
        if not isinstance(host, str) or not host:
            return host is None or host == ""
        name = _without_port(host)
        if _is_address(name):
            return True
        bare = _bare(name)
        return "." not in bare or bare.endswith(_OWN_SUFFIXES) or bare in self._names


def misdirected(host: str) -> str:
    """What is said to who asks under another name."""
    shown = "".join(character if character.isprintable() else "?" for character in host[:100])
    return f"this port is not asked as {shown}; ask it by its address, or allow the name with --allowed-host"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _bare(name: str) -> str:
    return name.strip().rstrip(".").casefold()
