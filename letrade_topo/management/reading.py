"""Reading live state: a bounded number of listings, side by side, whatever the number of objects.

Knows how to ask and whom to ask first; what the items mean is in `parsing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from letrade_topo.broker.objects import Address, BrokerObject, Vhost
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.management import parsing
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, NoManagementApi, NotFound
from letrade_topo.management.refusals import Caller
from letrade_topo.model.names import OWNERSHIP_RECORD_PREFIX

LISTINGS_AT_ONCE = 4
"""Few enough to leave the broker's cores to its messages."""

STATISTICS_DELAY_SECONDS = 6.0
"""How long after a publish or a consume `read_queue_counts` surely shows it.

Two intervals of 5 s are behind it, side by side: `quorum_tick_interval` (messages of quorum queues) and
`collect_statistics_interval` (consumers); a broker where somebody lengthened them is slower.
"""

_STATISTICS_DISABLED = "Stats in management UI are disabled"
"""The reason of a 400 where `management_agent.disable_metrics_collector` is set."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What a queue holds, and who consumes from it.

    None means that the broker does not say: a guard must treat it as "some".

    Args:
        messages: ready and unacknowledged.
        consumers: of all connections.
    """

    messages: int | None
    consumers: int | None


def read_state(client: ManagementClient, vhost: str) -> LiveState:
    """Read all that is in scope of a vhost, in 13 calls.

    A vhost that does not exist gives a state without objects of a vhost. Every queue has
    `x-queue-type` among its arguments. Numbers of messages are as old as `read_queue_counts` says.

    Raises:
        MissingRight: says what this user may not read. Needed are the tag `administrator` and some
            permission in the vhost.
        ManagementError: the broker does not answer, or not as it should.
    """
    caller = client.whoami()  # first and alone: what is wrong with the login is then said once
    listings = _read_listings(client, vhost)
    try:
        return _state(listings, vhost, caller)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoManagementApi(
            "a listing of the management API has an unknown shape",
            why=f"{type(error).__name__}: {error}",
            fix="this version of RabbitMQ may be newer than this tool: please report it",
        ) from error


def read_queue_counts(client: ManagementClient, vhost: str) -> Mapping[str, QueueCounts]:
    """Messages and consumers of every queue of a vhost, in two calls; empty when there is no such vhost.

    How old they may be, measured on 3.10.8 and 4.0.5 with 8 to 10 events of each kind at random moments:

        classic, messages after publish or purge    at once (the queue itself is asked)
        quorum, messages after publish or purge     up to 4.8 s (the queue's tick, every 5 s)
        either, a new consumer                      up to 5.0 s (statistics, every 5 s)
        either, a consumer that has gone            at once

    (The counts of the ordinary listing, with statistics, were up to 10 s old, and missing for as long after
    a declaration: they are not used.) So a count that is read STATISTICS_DELAY_SECONDS after the last way
    into a queue was closed is right; at any other moment it is a hint.

    Raises:
        ManagementError: the broker does not answer, or does not allow it.
    """
    with _SideBySide() as read:
        totals = read.in_vhost(client.queue_totals, vhost)
        consumers = read.in_vhost(client.consumers, vhost)
        consuming: Counter[str] | None
        try:
            consuming = Counter(item["queue"]["name"] for item in consumers.result())
        except BrokerRefused as refused:
            if _STATISTICS_DISABLED not in refused.reason:
                raise
            consuming = None
        return {
            item["name"]: QueueCounts(item.get("messages"), None if consuming is None else consuming[item["name"]])
            for item in totals.result()
        }


@dataclass(frozen=True, slots=True)
class _Listings:
    """What the calls gave, unparsed; of a vhost that does not exist, nothing."""

    overview: JsonObject
    users: Sequence[JsonObject]
    global_parameters: Sequence[JsonObject]
    vhost: Sequence[JsonObject]
    exchanges: Sequence[JsonObject]
    queues: Sequence[JsonObject]
    bindings: Sequence[JsonObject]
    policies: Sequence[JsonObject]
    operator_policies: Sequence[JsonObject]
    permissions: Sequence[JsonObject]
    topic_permissions: Sequence[JsonObject]
    vhost_limits: Sequence[JsonObject]


def _read_listings(client: ManagementClient, vhost: str) -> _Listings:
    with _SideBySide() as read:
        # The longest first.
        queues = read.in_vhost(client.queues, vhost)
        bindings = read.in_vhost(client.bindings, vhost)
        exchanges = read.in_vhost(client.exchanges, vhost)
        users = read.in_cluster(client.users)
        overview = read.in_cluster(lambda: [client.overview()])
        found = read.in_vhost(lambda name: [client.vhost(name)], vhost)
        global_parameters = read.in_cluster(client.global_parameters)
        policies = read.in_vhost(client.policies, vhost)
        operator_policies = read.in_vhost(client.operator_policies, vhost)
        permissions = read.in_vhost(client.permissions, vhost)
        topic_permissions = read.in_vhost(client.topic_permissions, vhost)
        vhost_limits = read.in_vhost(client.vhost_limits, vhost)
        return _Listings(
            overview=overview.result()[0],
            users=users.result(),
            global_parameters=global_parameters.result(),
            vhost=found.result(),
            exchanges=exchanges.result(),
            queues=queues.result(),
            bindings=bindings.result(),
            policies=policies.result(),
            operator_policies=operator_policies.result(),
            permissions=permissions.result(),
            topic_permissions=topic_permissions.result(),
            vhost_limits=vhost_limits.result(),
        )


def _state(listings: _Listings, vhost: str, caller: Caller) -> LiveState:
    things: list[BrokerObject] = [*parsing.users(listings.users)]
    queues = list(parsing.queues(listings.queues, listings.operator_policies))
    if listings.vhost:
        things += [
            Vhost(vhost),
            *parsing.exchanges(listings.exchanges),
            *(queue for queue, _ in queues),
            *parsing.bindings(listings.bindings),
            *parsing.policies(listings.policies),
            *parsing.permissions(listings.permissions),
            *parsing.topic_permissions(listings.topic_permissions),
            *parsing.vhost_limits(listings.vhost_limits),
        ]
    objects: dict[Address, BrokerObject] = {thing.address: thing for thing in things}
    records = {item["name"]: item["value"] for item in listings.global_parameters}
    return LiveState(
        broker=_broker(listings.overview, caller),
        vhost=vhost,
        objects=objects,
        queues={queue.name: status for queue, status in queues},
        records={name: value for name, value in records.items() if name.startswith(OWNERSHIP_RECORD_PREFIX)},
        operator_policies=tuple(listings.operator_policies),
    )


def _broker(overview: JsonObject, caller: Caller) -> BrokerInfo:
    listeners = overview.get("listeners")
    return BrokerInfo(
        version=overview["rabbitmq_version"],
        cluster=overview.get("cluster_name") or "",
        username=caller.name,
        user_tags=caller.tags,
        listeners=None if listeners is None else tuple(parsing.listeners(listeners)),
    )


class _SideBySide:
    """Starts readings on a few threads; when one fails, those not yet begun are given up."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(LISTINGS_AT_ONCE, thread_name_prefix="reading")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=error is None, cancel_futures=True)

    def in_cluster(self, read: Callable[[], Sequence[JsonObject]]) -> Future[Sequence[JsonObject]]:
        """Start a listing of the whole cluster."""
        return self._pool.submit(read)

    def in_vhost(self, read: Callable[[str], Sequence[JsonObject]], vhost: str) -> Future[Sequence[JsonObject]]:
        """Start a listing of a vhost; empty when the vhost does not exist."""
        return self._pool.submit(_unless_missing, read, vhost)


def _unless_missing(read: Callable[[str], Sequence[JsonObject]], vhost: str) -> Sequence[JsonObject]:
    try:
        return read(vhost)
    except NotFound:
        return ()
