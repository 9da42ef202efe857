"""Whether a text can be the name of a host at all, before any library is asked.

Each library finds that out at another moment, and says it by another exception or none at all.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

_ALLOWED: Final = re.compile(rb"[A-Za-z0-9._-]+")


def host_problem(host: str) -> str:
    """Why it is no host's name (RFC 1123, 2.1; RFC 3490 for other scripts) nor an address; empty when it is one.

    Args:
        host: without brackets and port, as `urlsplit(…).hostname` gives it.
    """
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return ""
    try:
        name = host.encode("idna")
        name.decode("idna")
    except UnicodeError:
        return f"{host[:80]!r} is no host name: a part between two dots is empty, too long or not writable"
    if not _ALLOWED.fullmatch(name):
        return f"{host[:80]!r} is no host name: letters, digits, hyphens and dots make one"
    return ""
