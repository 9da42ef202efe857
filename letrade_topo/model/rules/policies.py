"""Policies of the topology's own, what drift ignores, and limits of the whole."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from letrade_topo.model.rules.logins import why_no_expression
from letrade_topo.model.rules.problem import Breach, Rule, Severity, did_you_mean, rule
from letrade_topo.model.topology import PolicyTarget, Topology

POLICY_KEYS = frozenset(
    {
        "alternate-exchange",
        "consumer-disconnected-timeout",
        "consumer-timeout",
        "dead-letter-exchange",
        "dead-letter-routing-key",
        "dead-letter-strategy",
        "delayed-retry-max",
        "delayed-retry-min",
        "delayed-retry-type",
        "delivery-limit",
        "expires",
        "federation-upstream",
        "federation-upstream-pattern",
        "federation-upstream-set",
        "ha-mode",
        "ha-params",
        "ha-promote-on-failure",
        "ha-promote-on-shutdown",
        "ha-sync-batch-size",
        "ha-sync-mode",
        "initial-cluster-size",
        "max-age",
        "max-in-memory-bytes",
        "max-in-memory-length",
        "max-length",
        "max-length-bytes",
        "member-placement-tag",
        "message-ttl",
        "overflow",
        "queue-leader-locator",
        "queue-master-locator",
        "queue-mode",
        "queue-version",
        "routing-key",
        "shards-per-node",
        "stream-filter-size-bytes",
        "stream-max-segment-size-bytes",
        "target-group-size",
    }
)
"""What RabbitMQ 3.10 to 4.3 and its own plugins read (rabbit_policies, policy_validator)."""

ADDRESS_KINDS = (
    "vhost",
    "vhost-limit",
    "user",
    "user-limit",
    "exchange",
    "policy",
    "queue",
    "binding",
    "topic-permission",
    "permission",
    "operator-policy",
    "listener",
)
"""How addresses begin: of broker objects, and of what `drift` finds besides."""

LARGEST_MESSAGE_BYTES = 512 * 2**20
DEFAULT_MESSAGE_BYTES = 16 * 2**20
"""RabbitMQ's hard limit, and its default from 4.0 on (`max_message_size` in rabbitmq.conf)."""


@rule(
    "policy-pattern",
    "pattern that is no regular expression",
    "The broker refuses a policy whose pattern does not compile.",
)
def policy_pattern(topology: Topology) -> Iterator[Breach]:
    """Patterns that do not compile."""
    for name, policy in topology.policies.items():
        if (reason := why_no_expression(policy.pattern)) is not None:
            yield Breach(("policies", name, "pattern"), reason, "Correct it, or escape what is literal.")


@rule(
    "policy-not-anchored",
    "policy that covers more than it seems to",
    "RabbitMQ searches for a policy's pattern anywhere in a name: `orders` also covers `all-orders-archive`.",
    severity=Severity.WARNING,
)
def policy_not_anchored(topology: Topology) -> Iterator[Breach]:
    """Patterns without ^."""
    for name, policy in topology.policies.items():
        if policy.pattern not in ("", ".*") and not policy.pattern.startswith(("^", r"\A")):
            why = f"{policy.pattern!r} matches anywhere in a name."
            yield Breach(("policies", name, "pattern"), why, f"Write ^{policy.pattern}, or .* for everything.")


@rule("policy-empty", "policy that says nothing", "The broker refuses a policy without a definition.")
def policy_empty(topology: Topology) -> Iterator[Breach]:
    """Policies with an empty definition."""
    for name, policy in topology.policies.items():
        if not policy.definition:
            yield Breach(
                ("policies", name, "definition"), "It would change nothing.", "Add a setting, or remove the policy."
            )


@rule(
    "policy-key",
    "policy setting that the broker does not know",
    "RabbitMQ refuses a policy with a setting that neither it nor one of its plugins knows.",
    severity=Severity.WARNING,
)
def policy_key(topology: Topology) -> Iterator[Breach]:
    """Unknown keys in definitions."""
    for name, policy in topology.policies.items():
        for key in policy.definition:
            if key not in POLICY_KEYS:
                path = ("policies", name, "definition", key)
                fix = did_you_mean(key, POLICY_KEYS, "Remove it, unless a plugin of the broker reads it.")
                yield Breach(path, f"{key!r} is no setting of RabbitMQ 3.10 to 4.3.", fix, at_key=True)


@rule(
    "policy-over-queue",
    "policy that competes with a queue's limits",
    "RabbitMQ applies one policy to a queue, the one with the highest priority. The limits of the topology's queues "
    "are policies already (priority 1, or 2 for a queue with limits of its own): a further one either has no effect "
    "on them or takes their limits away.",
    severity=Severity.WARNING,
)
def policy_over_queue(topology: Topology) -> Iterator[Breach]:
    """Declared policies that match declared queues."""
    for name, policy in topology.policies.items():
        if policy.apply_to is PolicyTarget.EXCHANGES or why_no_expression(policy.pattern) is not None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expression = re.compile(policy.pattern)
            except re.error:
                continue
        queue = next((queue for queue in topology.queues if expression.search(queue)), None)
        if queue is not None:
            why = f"It matches the queue {queue!r}, among others maybe."
            fix = "Write the limits at the queues themselves, or narrow the pattern."
            yield Breach(("policies", name, "pattern"), why, fix)


@rule(
    "ignore-pattern",
    "not an address",
    "`ignore` lists addresses of broker objects, in which * stands for any text: `queue:federation.*`, "
    "`user:monitoring`.",
)
def ignore_pattern(topology: Topology) -> Iterator[Breach]:
    """Entries of `ignore` that can match nothing."""
    for index, text in enumerate(topology.ignore):
        kind, separator, rest = text.partition(":")
        if not separator or not rest or (kind not in ADDRESS_KINDS and not set(kind) & set("*?[")):
            why = f"{text!r} does not begin with the kind of an object and a colon."
            known = f"Begin with one of {', '.join(f'{kind}:' for kind in ADDRESS_KINDS)}"
            yield Breach(("ignore", index), why, did_you_mean(kind, ADDRESS_KINDS, f"{known}."))


@rule(
    "message-size",
    "unusable limit on messages",
    "RabbitMQ's own hard limit is 512 MiB, and a message has at least a byte.",
)
def message_size(topology: Topology) -> Iterator[Breach]:
    """A message size that is nothing, or more than a broker can."""
    size = topology.limits.message_size
    if not 0 < size.bytes <= LARGEST_MESSAGE_BYTES:
        yield Breach(("limits", "message_size"), f"{size} is not between 1 B and 512 MiB.", "Write another size.")


@rule(
    "message-size-default",
    "messages bigger than the broker accepts by default",
    "RabbitMQ 4.0 and newer refuse messages over 16 MiB unless `max_message_size` in rabbitmq.conf says otherwise.",
    severity=Severity.WARNING,
)
def message_size_default(topology: Topology) -> Iterator[Breach]:
    """A message size over the broker's default."""
    size = topology.limits.message_size
    if DEFAULT_MESSAGE_BYTES < size.bytes <= LARGEST_MESSAGE_BYTES:
        fix = "Raise `max_message_size` in rabbitmq.conf, or send big data by reference."
        yield Breach(("limits", "message_size"), f"{size} is more than the default, 16 MiB.", fix)


@rule(
    "max-queues",
    "more queues than the limit allows",
    "`limits.max_queues` counts every queue of the vhost: the declared ones, what each brings for retries, the dead "
    "letters, the tool's lock, and the run-time queues of services.",
)
def max_queues(topology: Topology) -> Iterator[Breach]:
    """A limit below the number of queues that the topology itself makes."""
    limit = topology.limits.max_queues
    if limit is None or limit < 0:
        return
    needed = 2  # dead letters and the lock
    for queue in topology.queues.values():
        needed += 1 + queue.has_rejected_queue
        needed += queue.retry.max_retries if queue.retry and queue.has_rejected_queue else 0
    if limit < needed:
        why = f"The topology makes {needed} queues, run-time queues not counted."
        yield Breach(("limits", "max_queues"), why, f"Write at least {needed}, and some for run-time queues.")


RULES: tuple[Rule, ...] = (
    policy_pattern,
    policy_not_anchored,
    policy_empty,
    policy_key,
    policy_over_queue,
    ignore_pattern,
    message_size,
    message_size_default,
    max_queues,
)
