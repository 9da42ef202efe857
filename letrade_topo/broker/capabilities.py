"""What each RabbitMQ version can do, as a literal table: what is not in it is not guessed.

A row holds from its version on, until the next one. Sources are RabbitMQ's release notes and
documentation of that version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from letrade_topo.errors import TopoError

Version = tuple[int, int, int]


class UnsupportedVersion(TopoError):
    """The broker is older than what this tool knows, or does not say how old it is."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do.

    Args:
        series: the row of the table, for people: `3.10`.
        unlimited_delivery_limit: a policy's `delivery-limit: -1` is understood (4.0 release notes).
        default_delivery_limit: of a quorum queue without one; None for no limit (4.0 release notes).
        quorum_priority_levels: how many message priorities a quorum queue tells apart (4.0 and 4.3
            release notes, "Message Priorities").
        policy_queue_types: policies may apply to `quorum_queues`, `classic_queues`, `streams` (3.12).
        delayed_retry: quorum queues can delay returned messages themselves, by policy (4.3.0; the
            policy keys were refused until 4.3.1).
        vhost_deletion_protection: a vhost can be protected from deletion (4.0).
        max_binding_body_bytes: longest body of a single binding over HTTP; None for the general limit
            (4.1: rabbit_mgmt_wm_bindings, HTTP_BODY_SIZE_LIMIT).
        transient_queues: non-durable queues that are not exclusive may be declared (4.3: denied).
        max_multi_wildcards: how many `#` a topic binding key may have; None for any number (4.3.5).
        definitions_etag: `GET /api/definitions` carries an ETag (4.3.5).
    """

    series: str
    unlimited_delivery_limit: bool = False
    default_delivery_limit: int | None = None
    quorum_priority_levels: int = 0
    policy_queue_types: bool = False
    delayed_retry: bool = False
    vhost_deletion_protection: bool = False
    max_binding_body_bytes: int | None = None
    transient_queues: bool = True
    max_multi_wildcards: int | None = None
    definitions_etag: bool = False


_3_10 = Capabilities("3.10")
_3_11 = replace(_3_10, series="3.11")
_3_12 = replace(_3_11, series="3.12", policy_queue_types=True)
_3_13 = replace(_3_12, series="3.13")
_4_0 = replace(
    _3_13,
    series="4.0",
    unlimited_delivery_limit=True,
    default_delivery_limit=20,
    quorum_priority_levels=2,
    vhost_deletion_protection=True,
)
_4_1 = replace(_4_0, series="4.1", max_binding_body_bytes=5_000)
_4_2 = replace(_4_1, series="4.2")
_4_3 = replace(_4_2, series="4.3", quorum_priority_levels=32, transient_queues=False)
_4_3_1 = replace(_4_3, delayed_retry=True)
_4_3_5 = replace(_4_3_1, max_multi_wildcards=2, definitions_etag=True)

TABLE: tuple[tuple[Version, Capabilities], ...] = (
    ((3, 10, 0), _3_10),
    ((3, 11, 0), _3_11),
    ((3, 12, 0), _3_12),
    ((3, 13, 0), _3_13),
    ((4, 0, 0), _4_0),
    ((4, 1, 0), _4_1),
    ((4, 2, 0), _4_2),
    ((4, 3, 0), _4_3),
    ((4, 3, 1), _4_3_1),
    ((4, 3, 5), _4_3_5),
)
"""From which version on a row holds; ascending."""

_VERSION = re.compile(r"(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?")


def for_version(version: str) -> Capabilities:
    """The capabilities of a broker.

    Args:
        version: as the broker says it; what follows the numbers (`-rc.1`, `+deb`) does not matter. A
            version newer than the table has the newest row: RabbitMQ keeps what it can do within a major
            version, and what a new one drops is then said by the broker itself.

    Raises:
        UnsupportedVersion: older than 3.10, or no version.
    """
    found = _VERSION.match(version)
    if found is None:
        raise UnsupportedVersion(
            f"the broker's version {version!r} cannot be read",
            why="it does not begin with two numbers, as 3.10 does",
            fix="check that --management leads to a RabbitMQ broker",
        )
    wanted = int(found["major"]), int(found["minor"]), int(found["patch"] or 0)
    rows = [row for since, row in TABLE if since <= wanted]
    if not rows:
        raise UnsupportedVersion(
            f"RabbitMQ {version} is too old",
            why="quorum queues can dead-letter at least once only from 3.10 on, and without it messages are lost",
            fix="upgrade the broker to 3.10 or newer",
        )
    return rows[-1]
