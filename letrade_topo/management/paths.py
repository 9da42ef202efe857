"""Whether paths reach the broker as they are sent: the one question that comes before all others.

A proxy that decodes `%2F`, merges slashes or encodes anew makes every path with such a name mean something else: a
vhost that exists is "not found", and an object is made under another name. Asked is for something that depends on no
object: the health check of a listener protocol repeats the name that it was asked for.
"""

from __future__ import annotations

import json

from letrade_topo.management.answers import Answer
from letrade_topo.management.calls import Call, path
from letrade_topo.management.endpoint import ManagementEndpoint
from letrade_topo.management.errors import PathsRewritten

PROBE = "a/b//c%2fd+e f"
"""What proxies change: slashes, an escape of an escape, a plus, a blank. Lower case, as 3.10 answers in it."""
_HEALTH_CHECK = ("health", "checks", "protocol-listener")
_ANY = frozenset({500, 502, 503, 504})
_UNKNOWN_PROTOCOL = "no-such-protocol"
_FIX = (
    "let it pass paths as they come: nginx `proxy_pass https://broker:15671;` without a path behind the port, and"
    " `merge_slashes off;`; Apache `AllowEncodedSlashes NoDecode` with `ProxyPass … nocanon`; HAProxy without"
    " `normalize-uri`; or give the broker's own address with --management"
)


def probe() -> Call:
    """Asks for the probe."""
    return Call("GET", path(*_HEALTH_CHECK, PROBE), "learn how paths reach it", answers=_ANY)


def plain_probe() -> Call:
    """The same without anything that a proxy could change."""
    return Call("GET", path(*_HEALTH_CHECK, _UNKNOWN_PROTOCOL), "learn how paths reach it", answers=_ANY)


def rewritten(answer: Answer, endpoint: ManagementEndpoint) -> PathsRewritten | None:
    """What an answer to the probe says; None where the probe arrived, or where it does not say."""
    arrived = _repeated(answer)
    if arrived is None or arrived == PROBE:
        return None
    return _rewritten(endpoint, f"it arrived as {arrived!r}")


def differs(answer: Answer, plain: Answer, endpoint: ManagementEndpoint) -> PathsRewritten | None:
    """What it says that the probe and the plain one are answered otherwise."""
    if _repeated(answer) is not None or answer.status == plain.status or plain.status in {401, 403}:
        return None
    return _rewritten(endpoint, f"it was answered with HTTP {answer.status}, a plain name with HTTP {plain.status}")


def _repeated(answer: Answer) -> str | None:
    """The name that the broker was asked for, as it saw it: a text, from 4.1 on in a list."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    missing = found.get("missing") if isinstance(found, dict) else None
    if isinstance(missing, list) and len(missing) == 1:
        missing = missing[0]
    return missing if isinstance(missing, str) else None


def _rewritten(endpoint: ManagementEndpoint, seen: str) -> PathsRewritten:
    return PathsRewritten(
        f"something between here and the broker at {endpoint.url} rewrites paths",
        why=f"asked for {PROBE!r} in one segment of a path, {seen}; a vhost or an object with a `/` in its name would"
        " be taken for another one, or for none",
        fix=_FIX,
    )
