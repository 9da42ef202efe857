"""Every limit of an agent in one value, with its reason: what is waited for, kept, and taken at once.

They are passed in where they hold; `docs/reference/agent-limits.md` is generated from here. What the protocol sets
(the octet behind a frame, the longest short string) is no limit, and what an operator sets is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KIBIBYTE: Final = 1024
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Of one socket, a client's or a broker's.

    Attributes:
        high_water_bytes: unsent to one side, at which the other side is no longer read: back-pressure.
        low_water_bytes: unsent to one side, at which the other side is read again.
        inbox_frames: kept while a handshake lasts; more wait in the socket.
        answer_seconds: for the close-ok, before our side of the socket is closed.
        linger_seconds: for all that is unsent at the end, before the socket is closed nevertheless.
    """

    high_water_bytes: int = 256 * _KIBIBYTE
    low_water_bytes: int = 64 * _KIBIBYTE
    inbox_frames: int = 32
    answer_seconds: float = 2.0
    linger_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Of connections to the broker.

    Attributes:
        node_seconds: for one node until its greeting: less than clients give the agent.
        dial_seconds: for all nodes until a greeting.
        login_seconds: from the greeting to open-ok.
        frame_max_bytes: what the agent asks for, RabbitMQ's default; the broker's offer may be lower.
        channel_max: what the agent asks for, RabbitMQ's default; the broker's offer may be lower.
        heartbeat_seconds: what the agent asks for, RabbitMQ's default; the broker's offer may be lower.
        noted_bytes: more than was agreed that a frame of the broker may have. A broker notes on messages where they
            died (`x-death`) and does not look whether that still fits into a frame: without this room such a message
            would end every connection that it comes over.
        first_penalty_seconds: for which a node that failed is tried after all others; doubled with every failure.
        longest_penalty_seconds: of a node. A client that comes back within this time may be refused although the
            broker is there again.
        unacknowledged_seconds: that data may go unacknowledged by the broker's host before the connection ends
            (tcp(7), TCP_USER_TIMEOUT).
        keep_alive_seconds: of silence after which the kernel asks whether the broker's host is still there.
        keep_alive_interval_seconds: between two such questions.
        keep_alive_probes: unanswered ones that end the connection.
        count_seconds: for the answers about the depths of queues.
    """

    node_seconds: float = 3.0
    dial_seconds: float = 7.0
    login_seconds: float = 5.0
    frame_max_bytes: int = 131_072
    channel_max: int = 2047
    heartbeat_seconds: int = 60
    noted_bytes: int = 64 * _KIBIBYTE
    first_penalty_seconds: float = 0.1
    longest_penalty_seconds: float = 5.0
    unacknowledged_seconds: float = 20.0
    keep_alive_seconds: int = 15
    keep_alive_interval_seconds: int = 5
    keep_alive_probes: int = 3
    count_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class AwayLimits:
    """Of queues that are away because they are migrated.

    Attributes:
        wait_seconds: for a queue that is being migrated. Set with `--queue-wait`.
        moment_seconds: for a queue of which the broker does not say whether it is being migrated; `apply` lets services
            see it, unless its login may not write permissions.
        settled_seconds: that a queue has to be there which was not seen to be gone: one that is being deleted is there
            for a moment more.
        first_look_seconds: until the broker is asked again; doubled with every look.
        longest_look_seconds: likewise, at most.
        answer_seconds: for one answer, the connection included.
    """

    wait_seconds: float = 600.0
    moment_seconds: float = 5.0
    settled_seconds: float = 0.5
    first_look_seconds: float = 0.05
    longest_look_seconds: float = 1.0
    answer_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class HandOverLimits:
    """Of handing over dead letters and copies for retries.

    Attributes:
        in_flight: copies that are published and not confirmed.
        first_retry_seconds: until a copy that failed is published again; doubled with every failure.
        longest_retry_seconds: likewise, at most.
        longest_redial_seconds: between two attempts to connect; the first ones come sooner.
        overdue_seconds: a confirm that takes longer is worth a line in the log; it is still waited for.
        reopen_seconds: until a channel that the broker closed is opened again: one that cannot even be opened would
            make a loop.
    """

    in_flight: int = 64
    first_retry_seconds: float = 0.5
    longest_retry_seconds: float = 60.0
    longest_redial_seconds: float = 10.0
    overdue_seconds: float = 30.0
    reopen_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class ObjectStoreLimits:
    """Of calls to the object store of claim checks.

    Attributes:
        calls: at once. With the largest body they bound what all connections together hold for the store.
        call_seconds: for one call, the wait for its turn included. A publish that takes longer is refused.
        fetched_bytes: of one connection at once. A larger object is fetched alone; nothing is while the client reads
            too slowly.
        stored_bytes: publishes of one connection that are being stored, and what waits behind them, above which it is
            not read, until half of it is left.
        first_retry_seconds: until an object of a store that is away is asked for again; doubled with every failure.
        longest_retry_seconds: likewise, at most.
        sweep_seconds: about so long between two looks for what is past its retention.
    """

    calls: int = 4
    call_seconds: float = 30.0
    fetched_bytes: int = 32 * _MEBIBYTE
    stored_bytes: int = 32 * _MEBIBYTE
    first_retry_seconds: float = 0.5
    longest_retry_seconds: float = 30.0
    sweep_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Of one relayed connection.

    Attributes:
        prefetch: for a client that consumes with acknowledgement and sets none: what is unacknowledged has to be
            bounded. A client's own `basic.qos` takes its place.
        drain_seconds: that the end of a drain waits for the broker's confirms.
        close_seconds: that a close-ok is awaited.
        hand_over_seconds: that a close waits upstream for hand-overs that are under way. Closed before, they would
            come again.
        get_attempts: that a `basic.get` is repeated while what it brings must not be shown.
        get_seconds: likewise, for how long.
        hold_seconds: that a delivery is kept unacknowledged while keys, the topology or the object store may be on
            their way, before it counts as refused.
        idle_seconds: a consumer with room that gets nothing for so long has got all that there was.
        cancelled_consumers: of a channel that are remembered, for deliveries that are still on their way.
        settle_first_seconds: that a consumer whose queue is back waits until what it had of it before is settled, so
            that it has no more than its prefetch. Some settle only when they have more.
    """

    prefetch: int = 50
    drain_seconds: float = 2.0
    close_seconds: float = 10.0
    hand_over_seconds: float = 2.0
    get_attempts: int = 100
    get_seconds: float = 0.2
    hold_seconds: float = 60.0
    idle_seconds: float = 2.0
    cancelled_consumers: int = 256
    settle_first_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Of the router of rejected messages.

    Attributes:
        prefetch: messages of one queue that are unacknowledged at once.
        first_reopen_seconds: until a queue that cannot be consumed is tried again; doubled with every failure.
        longest_reopen_seconds: likewise, at most.
        first_redial_seconds: until the router connects again; doubled with every failure.
        longest_redial_seconds: likewise, at most.
        finish_seconds: for the confirms of what is under way when it stops.
    """

    prefetch: int = 64
    first_reopen_seconds: float = 0.5
    longest_reopen_seconds: float = 10.0
    first_redial_seconds: float = 0.5
    longest_redial_seconds: float = 10.0
    finish_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Of clients until they are logged in.

    Attributes:
        handshake_seconds: from connecting to open-ok; half a frame and then silence ends here.
        handshakes: at once. A further one takes the place of the one that has come least far, and of several such of
            the one that has taken longest: who logs in gets in, however many only connect. Where all of them have
            just come or spoken, or wait for the broker, it waits outside, in order.
        clients_turn_seconds: for a client to go on with its login while others wait outside.
        logged_in_clients_turn_seconds: likewise, when its connection to the broker is made.
        look_again_seconds: for whether a client has not, while others wait outside.
        logins_a_second: at the broker, for clients. Each costs it and the agent milliseconds, in which whoever is
            connected already waits.
        logins_at_once: of these are under way. More only wait for one another at the broker, until they give up.
        backlog: connections that the kernel keeps until they are accepted.
        accepted_a_turn: of the event loop, beside the other sockets' work.
        greeting_seconds: that the first client may have to wait for the broker's properties; without them it sees the
            agent's own.
    """

    handshake_seconds: float = 10.0
    handshakes: int = 100
    clients_turn_seconds: float = 0.2
    logged_in_clients_turn_seconds: float = 1.0
    look_again_seconds: float = 0.1
    logins_a_second: int = 50
    logins_at_once: int = 10
    backlog: int = 1024
    accepted_a_turn: int = 2
    greeting_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class StopLimits:
    """Of stopping, after the drain time-out (`--drain-timeout`): together less than five seconds.

    Those are what the grace time of a pod leaves by default.

    Attributes:
        closing_seconds: for the broker's answers to what was published last, and for the closing.
        settle_seconds: between two looks whether connections have ended.
        door_seconds: for who is in the middle of the login, to be told.
        hand_over_seconds: for the confirms of dead letters.
        abort_seconds: for sockets to close.
        traces_seconds: for the last spans, where messages are traced.
    """

    closing_seconds: float = 3.0
    settle_seconds: float = 0.05
    door_seconds: float = 0.5
    hand_over_seconds: float = 0.5
    abort_seconds: float = 0.5
    traces_seconds: float = 0.4


@dataclass(frozen=True, slots=True)
class AdminLimits:
    """Of the admin port, which shares the event loop with the relays.

    Attributes:
        request_seconds: for the whole of a request, and for taking the answer.
        idle_seconds: between requests; scrapes come every 15 to 60 seconds.
        connections: a further one takes the place of the one that was silent for longest: a probe always gets through.
        head_bytes: of a request.
        body_bytes: of a request; no page takes one.
        stalled_seconds: an event loop that has not ticked for so long is not alive (`/livez`).
    """

    request_seconds: float = 10.0
    idle_seconds: float = 120.0
    connections: int = 64
    head_bytes: int = 16 * _KIBIBYTE
    body_bytes: int = 64 * _KIBIBYTE
    stalled_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """Of reading files again.

    Attributes:
        poll_seconds: between two looks at topology and keys.
        certificate_seconds: between two looks at when certificates end.
        reading_seconds: for the process that reads a topology.
    """

    poll_seconds: float = 0.5
    certificate_seconds: float = 5.0
    reading_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class RepeatLimits:
    """Of the memory against repeats.

    Attributes:
        tokens: that are remembered, each about 110 bytes. A delivery for which there is no room is held.
        seconds: that a token is remembered for at most, but for retries, whose hops may be good for longer.
    """

    tokens: int = 1_000_000
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """Of tracing messages, where that is on.

    Attributes:
        waiting_bytes: of spans that are not sent yet, with what they refer to. Beyond that they are thrown away and
            counted; no message waits for them.
        request_spans: of one request to the collector.
        every_seconds: spans are sent so often, and no sooner: a thread that works takes the event loop's turn.
        first_retry_seconds: until a request that failed is made again; doubled with every failure.
        longest_retry_seconds: likewise, at most.
        attempts: at one request, after which its spans are thrown away and counted.
        answer_bytes: of a collector's answer that are read.
    """

    waiting_bytes: int = 16 * _MEBIBYTE
    request_spans: int = 512
    every_seconds: float = 1.0
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 16.0
    attempts: int = 5
    answer_bytes: int = 64 * _KIBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one agent. Those that are not in a group say what clients may take: everybody has to be served.

    Attributes:
        connections: of clients, that are open or being made at the broker. Who logs in beyond that is refused (530), as
            RabbitMQ refuses beyond its `connection_max`. Set with `--max-connections`.
        unfinished_bytes: of messages that have begun and not ended, on all channels of a connection, beside the
            largest message that there may be. A client whose channels hold more is closed (506).
        all_unfinished_bytes: of all connections together. Of those, the one that holds most is closed.
        broker_unfinished_bytes: likewise, of what the broker delivers on one connection.
        unread_bytes: answers that a client does not take, above which nothing is read from it, until half is left.
        held_bytes: withheld deliveries of one connection above which the broker is not read, until half is left.
        write_stall_seconds: a client that takes nothing of what is unsent for so long loses its connection.
        spare_bytes: freed since the last time, at which memory goes back to the system; less is soon used again.
        frames_a_turn: of one client, or of the broker for it, that are worked through before others have their turn:
            half a millisecond. A read has hundreds of frames of ordinary messages, and thousands of tiny ones.
        frames_a_turn_alone: likewise, while there is no other connection: fewer and larger batches cost less for a
            message, and who may wait a millisecond more is a login, or a probe.
        ticks_a_turn: connections whose timers are looked at before others have their turn.
    """

    connections: int = 4096
    unfinished_bytes: int = 16 * _MEBIBYTE
    all_unfinished_bytes: int = 64 * _MEBIBYTE
    broker_unfinished_bytes: int = 256 * _MEBIBYTE
    unread_bytes: int = 8 * _MEBIBYTE
    held_bytes: int = 8 * _MEBIBYTE
    write_stall_seconds: float = 300.0
    spare_bytes: int = 16 * _MEBIBYTE
    frames_a_turn: int = 96
    frames_a_turn_alone: int = 192
    ticks_a_turn: int = 10
    door: DoorLimits = DoorLimits()
    relay: RelayLimits = RelayLimits()
    transport: TransportLimits = TransportLimits()
    upstream: UpstreamLimits = UpstreamLimits()
    away: AwayLimits = AwayLimits()
    hand_over: HandOverLimits = HandOverLimits()
    object_store: ObjectStoreLimits = ObjectStoreLimits()
    retry: RetryLimits = RetryLimits()
    repeats: RepeatLimits = RepeatLimits()
    stop: StopLimits = StopLimits()
    admin: AdminLimits = AdminLimits()
    watch: WatchLimits = WatchLimits()
    traces: TraceLimits = TraceLimits()


DEFAULT_LIMITS: Final = Limits()
