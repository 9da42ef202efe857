"""Every name on the broker that the topology implies, spelled here and nowhere else."""

from __future__ import annotations

from letrade_topo.model.routing import escape

LONGEST_NAME_BYTES = 255
"""AMQP short string (AMQP 0-9-1, 4.2.5.3)."""

LONGEST_KEY_BYTES = 250
"""Leaves room for `.dead` within the 255 bytes of a routing key."""

RESERVED_PREFIX = "amq."
DEFAULT_EXCHANGE_RESOURCE = "amq.default"
"""How permissions spell the default exchange, whose own name is empty."""

DEAD_KEY_SUFFIX = ".dead"
ARGUMENT_QUEUE_TYPE = "x-queue-type"


def rejected_queue(queue: str) -> str:
    """Where messages that `queue` gave up wait for the router; also their key on the retry exchange."""
    return f"{queue}.rejected"


def retry_queue(queue: str, attempt: int) -> str:
    """The delay queue before `attempt` (from 1); also its key on the retry exchange."""
    return f"{queue}.retry.{attempt}"


def run_time_queues_expression(service: str) -> str:
    """Unanchored expression of the queues that instances of a service make for themselves."""
    return rf"{escape(service)}\.(?:reply|sub)\..+"


def lock_queue(topology: str) -> str:
    """The queue whose lease keeps two runs of the tool apart."""
    return f"letrade-topo.lock.{topology}"


def leader_queue(topology: str) -> str:
    """The queue whose lease says which of several controllers leads. A topology's name has no dot."""
    return f"{lock_queue(topology)}.watch"


def ownership_record(topology: str, vhost: str) -> str:
    """The global parameter that says what the tool made. A topology's name has no dot, so this is unambiguous."""
    return f"letrade-topo.{topology}.{vhost}"


OWNERSHIP_RECORD_PREFIX = "letrade-topo."
LOCK_QUEUE_PREFIX = "letrade-topo.lock."


def shared_policy(topology: str, role: str, bucket: int) -> str:
    """The policy of all queues of one role that have no limits of their own; large topologies need several."""
    return f"{topology}.{role}" if bucket == 0 else f"{topology}.{role}.{bucket}"


def queue_policy(topology: str, queue: str) -> str:
    """The policy of one queue that has limits of its own."""
    return f"{topology}.queue.{queue}"
