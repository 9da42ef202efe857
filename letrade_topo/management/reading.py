"""Reading live state: a bounded number of listings, side by side, whatever the number of objects.

Knows how to ask and whom to ask first; what the items mean is in `parsing`.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from letrade_topo.broker.objects import Address, BrokerObject, Kind
from letrade_topo.broker.reach import LoginReach, Width
from letrade_topo.broker.records import places_of
from letrade_topo.broker.state import BrokerInfo, LiveState
from letrade_topo.management import parsing
from letrade_topo.management.answers import JsonObject
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, MissingRight, NoManagementApi, NotFound
from letrade_topo.management.refusals import Caller
from letrade_topo.model.names import OWNERSHIP_RECORD_PREFIX
from letrade_topo.model.pcre import matcher

LISTINGS_AT_ONCE = 4
"""Few enough to leave the broker's cores to its messages."""

STATISTICS_DELAY_SECONDS = 6.0
"""How long after a publish or a consume `read_queue_counts` surely shows it.

Two intervals of 5 s are behind it, side by side: `quorum_tick_interval` (messages of quorum queues) and
`collect_statistics_interval` (consumers); a broker where somebody lengthened them is slower.
"""

SLOW_STATISTICS_DELAY_SECONDS = 12.0
"""The same where consumers are only known from the statistics of queues: up to 8.1 s were seen."""

_STATISTICS_DISABLED = "Stats in management UI are disabled"
"""The reason of a 400 where `management_agent.disable_metrics_collector` is set."""


def statistics_delay_seconds(reach: LoginReach) -> float:
    """How long after a publish or a consume `read_queue_counts` surely shows it to this login."""
    return STATISTICS_DELAY_SECONDS if reach.sees_monitoring else SLOW_STATISTICS_DELAY_SECONDS


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
    """Read all that the user reaches of a vhost: at most 16 calls, and some for each pattern that Python cannot read.

    A vhost that does not exist gives a state without objects of a vhost, to who could make it. Every queue has
    `x-queue-type` among its arguments. Numbers of messages are as old as `read_queue_counts` says.

    Raises:
        MissingRight: says what this user may not read. Needed are some management tag and some permission in the vhost.
        BrokerError: the broker does not answer, or not as it should.
    """
    caller, reach = client.whoami(), client.reach()  # first and alone: what is wrong with the login is then said once
    client.check_paths()
    listings = _read_listings(client, vhost, reach)
    if not listings.vhost and reach.width is Width.VHOST:
        raise _no_vhost(caller, vhost)
    try:
        matched = _read_matches(client, vhost, [*listings.policies, *listings.operator_policies])
        return _state(listings, vhost, caller, reach, matched)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoManagementApi(
            "a listing of the management API has an unknown shape",
            why=f"{type(error).__name__}: {error}",
            fix="this version of RabbitMQ may be newer than this tool: please report it",
        ) from error


def read_queue_counts(client: ManagementClient, vhost: str) -> Mapping[str, QueueCounts]:
    """Messages and consumers of every queue of a vhost, in two calls; empty when there is no such vhost.

    A user who neither monitors nor administrates is shown its own consumers alone. Then those of all come out of the
    broker's statistics, which were up to 8.1 s old and say nothing of a queue that is new.

    How old they may be, measured on 3.10.8 and 4.0.5 with 8 to 10 events of each kind at random moments:

        classic, messages after publish or purge    at once (the queue itself is asked)
        quorum, messages after publish or purge     up to 4.8 s (the queue's tick, every 5 s)
        either, a new consumer                      up to 5.0 s (statistics, every 5 s)
        either, a consumer that has gone            at once

    (The counts of the ordinary listing, with statistics, were up to 10 s old, and missing for as long after
    a declaration: they are not used.) So a count that is read STATISTICS_DELAY_SECONDS after the last way
    into a queue was closed is right; at any other moment it is a hint.

    Raises:
        BrokerError: the broker does not answer, or does not allow it.
    """
    with _SideBySide(client) as read:
        totals = read.in_vhost(client.queue_totals, vhost)
        if not client.reach().sees_monitoring:
            known = {
                item["name"]: item.get("consumers") for item in read.in_vhost(client.consumer_counts, vhost).result()
            }
            return {
                item["name"]: QueueCounts(item.get("messages"), known.get(item["name"])) for item in totals.result()
            }
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
    nodes: Sequence[JsonObject]
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
    parameters: Sequence[JsonObject]


def _read_listings(client: ManagementClient, vhost: str, reach: LoginReach) -> _Listings:
    with _SideBySide(client) as read:

        def if_seen(is_seen: bool, start: Callable[[], Future[Sequence[JsonObject]]]) -> Future[Sequence[JsonObject]]:
            return start() if is_seen else _nothing()

        def seen(kind: Kind, start: Callable[[], Future[Sequence[JsonObject]]]) -> Future[Sequence[JsonObject]]:
            return if_seen(reach.reads(kind), start)

        # The longest first.
        queues = read.in_vhost(client.queues, vhost)
        bindings = read.in_vhost(client.bindings, vhost)
        exchanges = read.in_vhost(client.exchanges, vhost)
        users = seen(Kind.USER, lambda: read.in_cluster(client.users))
        overview = read.in_cluster(lambda: [client.overview()])
        nodes = if_seen(reach.sees_monitoring, lambda: read.in_cluster(client.nodes))
        if reach.writes(Kind.VHOST):
            found = read.in_vhost(lambda name: [client.vhost(name)], vhost)
        else:
            found = read.in_cluster(lambda: [item for item in client.vhosts() if item.get("name") == vhost])
        global_parameters = if_seen(reach.sees_cluster_record, lambda: read.in_cluster(client.global_parameters))
        parameters = seen(Kind.PARAMETER, lambda: read.in_cluster(client.parameters))
        policies = read.in_vhost(client.policies, vhost)
        operator_policies = read.in_vhost(client.operator_policies, vhost)
        permissions = seen(Kind.PERMISSION, lambda: read.in_vhost(client.permissions, vhost))
        topic_permissions = seen(Kind.TOPIC_PERMISSION, lambda: read.in_vhost(client.topic_permissions, vhost))
        vhost_limits = read.in_vhost(client.vhost_limits, vhost)
        return _Listings(
            overview=overview.result()[0],
            nodes=nodes.result(),
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
            parameters=parameters.result(),
        )


def _read_matches(client: ManagementClient, vhost: str, policies: Iterable[JsonObject]) -> Mapping[str, frozenset[str]]:
    """What matches the patterns that only the broker can read; nothing of one that it does not answer for."""
    matched: dict[str, frozenset[str]] = {}
    for pattern in dict.fromkeys(item["pattern"] for item in policies):
        if matcher(pattern) is None:
            with contextlib.suppress(BrokerRefused, NotFound):
                found = (client.names_that_match(vhost, kind, pattern) for kind in ("queues", "exchanges"))
                matched[pattern] = frozenset().union(*found)
    return matched


def _nothing() -> Future[Sequence[JsonObject]]:
    found: Future[Sequence[JsonObject]] = Future()
    found.set_result(())
    return found


def _no_vhost(caller: Caller, vhost: str) -> MissingRight:
    needed = f"the vhost {vhost!r} and a permission in it"
    return MissingRight(
        f"there is no vhost {vhost!r}, or user {caller.name!r} may not see it",
        why="with the scope of a vhost the vhost has to be there: making one takes an administrator",
        fix="have an administrator make it, with permissions for this user: "
        f"rabbitmqctl add_vhost {vhost!r}; rabbitmqctl set_permissions -p {vhost!r} {caller.name} '.*' '.*' '.*'",
        user=caller.name,
        tags=caller.tags,
        needed=needed,
    )


def _state(
    listings: _Listings, vhost: str, caller: Caller, reach: LoginReach, matched: Mapping[str, frozenset[str]]
) -> LiveState:
    things: list[BrokerObject] = list(parsing.users(listings.users))
    if reach.reads(Kind.GLOBAL_PARAMETER):
        things += parsing.global_parameters(listings.global_parameters)
    nothing = LiveState(_broker(listings.overview, listings.nodes, caller), vhost, matched=matched, reach=reach)
    queues = list(parsing.queues(listings.queues, listings.operator_policies, nothing.matches))
    if listings.vhost:
        things += [
            parsing.vhost(listings.vhost[0]),
            *parsing.exchanges(listings.exchanges),
            *(queue for queue, _ in queues),
            *parsing.bindings(listings.bindings),
            *parsing.policies(listings.policies),
            *parsing.operator_policies(listings.operator_policies),
            *parsing.parameters(listings.parameters, vhost),
            *parsing.permissions(listings.permissions),
            *parsing.topic_permissions(listings.topic_permissions),
            *parsing.vhost_limits(listings.vhost_limits),
        ]
    objects: dict[Address, BrokerObject] = {thing.address: thing for thing in things}
    records = {
        item["name"]: item["value"]
        for item in listings.global_parameters
        if item["name"].startswith(OWNERSHIP_RECORD_PREFIX)
    }
    places = places_of(vhost, listings.exchanges, records if reach.sees_cluster_record else None)
    return replace(
        nothing,
        objects=objects,
        queues={queue.name: status for queue, status in queues},
        records={name: place.value for name, place in places.items() if place.value is not None},
        record_places=places,
        operator_policies=tuple(listings.operator_policies),
        exchange_policies=dict(parsing.exchange_policies(listings.exchanges)),
        parameters=tuple(parsing.parameters(listings.parameters, vhost)),
        is_traced=any(item.get("tracing") is True for item in listings.vhost),
    )


def _broker(overview: JsonObject, nodes: Sequence[JsonObject], caller: Caller) -> BrokerInfo:
    listeners = overview.get("listeners")
    return BrokerInfo(
        version=overview["rabbitmq_version"],
        cluster=overview.get("cluster_name") or "",
        username=caller.name,
        user_tags=caller.tags,
        listeners=None if listeners is None else tuple(parsing.listeners(listeners)),
        plugins=parsing.plugins(nodes),
        exchange_types=parsing.exchange_types(overview.get("exchange_types")),
    )


class _SideBySide:
    """Starts readings on a few threads; when one fails, those not yet begun are given up."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client
        self._asking = threading.Lock()
        self._is_there: bool | None = None
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
        """Start a listing of a vhost; empty when the vhost does not exist, which takes more than a 404."""
        return self._pool.submit(self._unless_missing, read, vhost)

    def _unless_missing(self, read: Callable[[str], Sequence[JsonObject]], vhost: str) -> Sequence[JsonObject]:
        try:
            return read(vhost)
        except NotFound:
            with self._asking:
                if self._is_there is None:
                    self._is_there = self._client.has_vhost(vhost)
            if self._is_there:
                return read(vhost)  # somebody may have made it in between; otherwise the broker says so again
            return ()
