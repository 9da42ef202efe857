"""What each RabbitMQ version can do, as a literal table: what is not in it is not guessed.

A row holds from its version on, until the next one. Sources are RabbitMQ's release notes, its documentation and its
source of that version. What a setting of the broker may change is not in it: which deprecated features it denies says
the broker itself.
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
        vhost_deletion_protection: a vhost can be protected from deletion (4.0.6).
        max_binding_body_bytes: longest body of a single binding over HTTP; None for the general limit
            (4.0.4: rabbit_mgmt_wm_bindings, HTTP_BODY_SIZE_LIMIT).
        max_pattern_bytes: longest regular expression of a permission, topic permission, policy or operator policy,
            in UTF-8; None for any length (4.2.8 and 4.3.2: rabbit_re).
        leaders_checked: the broker names quorum queues without a leader (4.1.0: the health check
            `quorum-queues-without-elected-leaders`).
        topic_permissions_may_go: an exchange may take its topic permissions along when it is deleted (Khepri: possible
            from 4.0, the default from 4.2, the only store from 4.3).
        max_multi_wildcards: how many `#` a topic binding key may have; None for any number (4.3.5).
        definitions_etag: `GET /api/definitions` carries an ETag (4.3.5), which `watch` asks for in place of all
            listings while nothing has changed.
        header_numbers_typed: to a headers exchange 1 and 1.0 are two values (3.13: rabbit_exchange_type_headers).
        hides_queues: who has no right on a queue's name is not told whether it is there (4.2.7, 4.3.1: a passive
            declare is refused).
    """

    series: str
    unlimited_delivery_limit: bool = False
    default_delivery_limit: int | None = None
    quorum_priority_levels: int = 0
    policy_queue_types: bool = False
    delayed_retry: bool = False
    vhost_deletion_protection: bool = False
    max_binding_body_bytes: int | None = None
    max_pattern_bytes: int | None = None
    leaders_checked: bool = False
    topic_permissions_may_go: bool = False
    max_multi_wildcards: int | None = None
    definitions_etag: bool = False
    header_numbers_typed: bool = False
    hides_queues: bool = False


_3_10 = Capabilities("3.10")
_3_11 = replace(_3_10, series="3.11")
_3_12 = replace(_3_11, series="3.12", policy_queue_types=True)
_3_13 = replace(_3_12, series="3.13", header_numbers_typed=True)
_4_0 = replace(
    _3_13,
    series="4.0",
    unlimited_delivery_limit=True,
    default_delivery_limit=20,
    quorum_priority_levels=2,
    topic_permissions_may_go=True,
)
_4_0_4 = replace(_4_0, max_binding_body_bytes=5_000)
_4_0_6 = replace(_4_0_4, vhost_deletion_protection=True)
_4_1 = replace(_4_0_6, series="4.1", leaders_checked=True)
_4_2 = replace(_4_1, series="4.2")
_4_2_7 = replace(_4_2, hides_queues=True)
_4_2_8 = replace(_4_2_7, max_pattern_bytes=1_024)
_4_3 = replace(_4_2, series="4.3", quorum_priority_levels=32)
_4_3_1 = replace(_4_3, delayed_retry=True, hides_queues=True)
_4_3_2 = replace(_4_3_1, max_pattern_bytes=1_024)
_4_3_5 = replace(_4_3_2, max_multi_wildcards=2, definitions_etag=True)
_4_4 = replace(_4_3_5, series="4.4")

TABLE: tuple[tuple[Version, Capabilities], ...] = (
    ((3, 10, 0), _3_10),
    ((3, 11, 0), _3_11),
    ((3, 12, 0), _3_12),
    ((3, 13, 0), _3_13),
    ((4, 0, 0), _4_0),
    ((4, 0, 4), _4_0_4),
    ((4, 0, 6), _4_0_6),
    ((4, 1, 0), _4_1),
    ((4, 2, 0), _4_2),
    ((4, 2, 7), _4_2_7),
    ((4, 2, 8), _4_2_8),
    ((4, 3, 0), _4_3),
    ((4, 3, 1), _4_3_1),
    ((4, 3, 2), _4_3_2),
    ((4, 3, 5), _4_3_5),
    ((4, 4, 0), _4_4),
)
"""From which version on a row holds; ascending."""

NEWEST = "4.3.6"
"""The newest RabbitMQ that this was tried with."""

_VERSION = re.compile(r"(?P<major>[0-9]+)\.(?P<minor>[0-9]+)(?:\.(?P<patch>[0-9]+))?")


def numbers_of(version: str) -> Version:
    """The three numbers of a version.

    Args:
        version: as the broker says it; what follows the numbers (`-rc.1`, `+deb`) does not matter.

    Raises:
        UnsupportedVersion: it is no version.
    """
    found = _VERSION.match(version)
    if found is None:
        raise UnsupportedVersion(
            f"the broker's version {version!r} cannot be read",
            why="it does not begin with two numbers, as 3.10 does",
            fix="check that --management leads to a RabbitMQ broker",
        )
    return int(found["major"]), int(found["minor"]), int(found["patch"] or 0)


def for_version(version: str) -> Capabilities:
    """The capabilities of a broker.

    Args:
        version: as the broker says it. One that is newer than the table has the newest row: RabbitMQ keeps what
            it can do within a major version, and what a new one drops is then said by the broker itself.

    Raises:
        UnsupportedVersion: older than 3.10, or no version.
    """
    wanted = numbers_of(version)
    rows = [row for since, row in TABLE if since <= wanted]
    if not rows:
        raise UnsupportedVersion(
            f"RabbitMQ {version} is too old",
            why="quorum queues can dead-letter at least once only from 3.10 on, and without it messages are lost",
            fix="upgrade the broker to 3.10 or newer",
        )
    return rows[-1]
