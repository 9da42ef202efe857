"""Every name on the broker that the topology implies, spelled here and nowhere else."""

from __future__ import annotations

import re

from letrade_topo.model.routing import escape

LONGEST_NAME_BYTES = 255
"""AMQP short string (AMQP 0-9-1, 4.2.5.3)."""

LONGEST_KEY_BYTES = 250
"""Leaves room for `.dead` within the 255 bytes of a routing key."""

RESERVED_PREFIX = "amq."
DEFAULT_EXCHANGE_RESOURCE = "amq.default"
"""How permissions spell the default exchange, whose own name is empty."""

DEAD_KEY_SUFFIX = ".dead"
REJECTED_SUFFIX = ".rejected"
DELAY_QUEUES_EXPRESSION = r".*\.retry\.[0-9]+"
"""Unanchored expression of the names that `retry_queue` makes."""
_DELAY_QUEUE = re.compile(DELAY_QUEUES_EXPRESSION)
DERIVED_QUEUES_EXPRESSION = r".*\.(?:rejected|retry\.[0-9]+|(?:reply|sub)\..+)"
"""Unanchored expression of the names of queues that follow from other queues, or that services make at run time."""
RETRY_KEYS_EXPRESSION = r"\.(?:rejected|retry\.\d+)"
"""Unanchored expression of what follows a queue's name in its keys on the retry exchange."""

ARGUMENT_QUEUE_TYPE = "x-queue-type"


UNREACHABLE_NAMES = frozenset({".", ".."})
"""RabbitMQ's HTTP server drops these from paths (cowboy_router:split_path), encoded or not: what has such a name can
be made by other ways, and never be read or deleted."""

_MISREAD_KEYS = frozenset({"null", "undefined"})


def why_never_unbound(routing_key: str, *, has_arguments: bool) -> str | None:
    """Why the management API could never delete, or not even list, a binding; None for nearly every key.

    Seen on RabbitMQ 3.10.8, 4.0.5 and 4.3.6 (rabbit_mgmt_format: pack_binding_props, quote_binding).
    """
    if routing_key in UNREACHABLE_NAMES and not has_arguments:
        return f"The management API drops {routing_key!r} from its paths, so such a binding could never be deleted."
    if routing_key in _MISREAD_KEYS:
        return f"The management API takes the key {routing_key!r} for none, so such a binding could never be deleted."
    if has_arguments and "~" in routing_key and not routing_key.endswith("~"):
        return (
            "RabbitMQ breaks down over a binding with arguments and a `~` within its key: nothing of the vhost could "
            "be listed any more."
        )
    return None


def rejected_queue(queue: str) -> str:
    """Where messages that `queue` gave up wait for the router; also their key on the retry exchange."""
    return f"{queue}{REJECTED_SUFFIX}"


def retry_queue(queue: str, attempt: int) -> str:
    """The delay queue before `attempt` (from 1); also its key on the retry exchange."""
    return f"{queue}.retry.{attempt}"


MIGRATING_SUFFIX = ".migrating"
"""Of the queue that receives while another one is migrated; with it the names of all that a migration needs begin."""
LONGEST_MIGRATING_SUFFIX = f"{MIGRATING_SUFFIX}.empty"


def side_queue(queue: str) -> str:
    """The queue that receives while `queue` is migrated, there from the first step to the last; and the exchange before
    both, which lets messages through to `queue` as long as that is bound to it, and to the side queue otherwise."""
    return f"{queue}{MIGRATING_SUFFIX}"


def side_exchange(queue: str) -> str:
    """The alternate exchange of a migration, before the side queue."""
    return f"{queue}{MIGRATING_SUFFIX}.side"


def kept_queue(queue: str) -> str:
    """The queue, and the exchange before it, in which a migration keeps what `queue` held."""
    return f"{queue}{MIGRATING_SUFFIX}.kept"


def return_exchange(queue: str) -> str:
    """The exchange through which a migration brings messages back to `queue`, each with its own routing key."""
    return f"{queue}{MIGRATING_SUFFIX}.back"


def empty_exchange(queue: str) -> str:
    """The exchange to which a migration of `queue` binds what it has found empty and is about to delete."""
    return f"{queue}{LONGEST_MIGRATING_SUFFIX}"


def is_delay_queue(name: str) -> bool:
    """Whether a name looks like one that `retry_queue` makes."""
    return _DELAY_QUEUE.fullmatch(name) is not None


def run_time_queues_expression(service: str) -> str:
    """Unanchored expression of the queues that instances of a service make for themselves."""
    return rf"{escape(service)}\.(?:reply|sub)\..+"


def run_time_beginnings(service: str) -> tuple[str, str]:
    """What the names of those queues begin with."""
    return f"{service}.reply.", f"{service}.sub."


def namespace(service: str) -> str:
    """What the names of a service's queues begin with, by convention."""
    return f"{service}."


def lock_queue(topology: str) -> str:
    """The queue whose lease keeps two runs of the tool apart."""
    return f"letrade-topo.lock.{topology}"


def leader_queue(topology: str) -> str:
    """The queue whose lease says which of several controllers leads. A topology's name has no dot."""
    return f"{lock_queue(topology)}.watch"


def ownership_record(topology: str, vhost: str) -> str:
    """The global parameter that says what the tool made. A topology's name has no dot, so this is unambiguous."""
    return f"letrade-topo.{topology}.{vhost}"


def parts_of_record(name: str) -> tuple[str, str]:
    """The topology and the vhost of the ownership record that has this name."""
    topology, _, vhost = name.removeprefix(OWNERSHIP_RECORD_PREFIX).partition(".")
    return topology, vhost


OWNERSHIP_RECORD_PREFIX = "letrade-topo."
INTERNAL_PREFIX = "internal"
"""Of global parameters that the broker keeps for itself: it leaves them out of definitions (rabbit_definitions)."""
LOCK_QUEUE_PREFIX = "letrade-topo.lock."
VHOST_RECORD_PREFIX = "letrade-topo.record."


def vhost_record(topology: str, number: int) -> str:
    """The exchange that holds the record where it is kept in the vhost."""
    return f"{VHOST_RECORD_PREFIX}{topology}.{number}"


def shared_policy(topology: str, role: str, number: int) -> str:
    """The policy of all queues of one role; `number` is 0 but where one pattern cannot name them all."""
    return f"{topology}.{role}" if number == 0 else f"{topology}.{role}.{number}"


def is_derived_policy(topology: str, name: str) -> bool:
    """Whether a policy's name is one of those above; no declared policy may have one."""
    return name.startswith(tuple(f"{topology}.{role}" for role in ("consumer", "waiting", "queue.")))


def queue_policy(topology: str, queue: str) -> str:
    """The policy of the queues that share limits of their own, by the first of them."""
    return f"{topology}.queue.{queue}"
