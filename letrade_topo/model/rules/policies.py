"""Policies of the topology's own, what drift ignores, and limits of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from letrade_topo.model.anchors import anchored, is_anchored
from letrade_topo.model.expressions import doubt_about, why_unreadable
from letrade_topo.model.pcre import matcher
from letrade_topo.model.rules.arguments import QUEUE_FIELDS
from letrade_topo.model.rules.problem import Breach, Path, Rule, Severity, did_you_mean, rule
from letrade_topo.model.settings import NO_POLICY_SETTINGS, POLICY_SETTINGS, contradictions
from letrade_topo.model.topology import DeclaredPolicy, QueueLimits, Topology

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
    "parameter",
    "global-parameter",
    "listener",
)
"""How addresses begin: of broker objects, and of what `drift` finds besides."""

LARGEST_MESSAGE_BYTES = 512 * 2**20
DEFAULT_MESSAGE_BYTES = 16 * 2**20
"""RabbitMQ's hard limit, and its default from 4.0 on (`max_message_size` in rabbitmq.conf)."""

MOST_MATCHES = 500_000
"""Of policies against queues, for each change to a policy: two or three seconds."""


@rule(
    "policy-pattern",
    "pattern that is no regular expression",
    "The broker refuses a policy whose pattern does not compile.",
)
def policy_pattern(topology: Topology) -> Iterator[Breach]:
    """Patterns that do not compile."""
    for section, name, policy in _all_policies(topology):
        if (reason := why_unreadable(policy.pattern)) is not None:
            yield Breach((section, name, "pattern"), reason, "Correct it, or escape what is literal.")


def _all_policies(topology: Topology) -> Iterator[tuple[str, str, DeclaredPolicy]]:
    """Policies and operator policies, each with its section and its name."""
    yield from (("policies", name, policy) for name, policy in topology.policies.items())
    yield from (("operator_policies", name, policy) for name, policy in topology.operator_policies.items())


@rule(
    "policy-not-anchored",
    "policy that covers more than it seems to",
    "RabbitMQ searches for a policy's pattern anywhere in a name: `orders` also covers `all-orders-archive`.",
    severity=Severity.WARNING,
)
def policy_not_anchored(topology: Topology) -> Iterator[Breach]:
    """Patterns of which an alternative lacks ^."""
    for section, name, policy in _all_policies(topology):
        pattern = policy.pattern
        if pattern and why_unreadable(pattern) is None and not is_anchored(pattern, at_end=False):
            why = f"{pattern!r} also matches within a longer name."
            yield Breach((section, name, "pattern"), why, f"Write {anchored(pattern)}, or .* for everything.")


@rule(
    "policy-not-judged",
    "pattern that only a broker can read",
    "RabbitMQ's regular expressions (PCRE) know more than can be read here: which queues such a pattern matches, and "
    "whether the policy takes limits away from them, is left to `drift`, which asks the broker.",
    severity=Severity.WARNING,
)
def policy_not_judged(topology: Topology) -> Iterator[Breach]:
    """Patterns that are taken as they are."""
    for name, policy in topology.policies.items():
        is_legal = why_unreadable(policy.pattern) is None and doubt_about(policy.pattern) is None
        if is_legal and matcher(policy.pattern) is None:
            why = f"What {policy.pattern!r} matches cannot be told without a broker."
            yield Breach(("policies", name, "pattern"), why, "Write it more plainly, if it can be.")


@rule("policy-empty", "policy that says nothing", "The broker refuses a policy without a definition.")
def policy_empty(topology: Topology) -> Iterator[Breach]:
    """Policies with an empty definition."""
    for section, name, policy in _all_policies(topology):
        if not policy.definition:
            yield Breach(
                (section, name, "definition"), "It would change nothing.", "Add a setting, or remove the policy."
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
            if key not in POLICY_SETTINGS and not _belongs_to_a_queue(key):
                path = ("policies", name, "definition", key)
                fix = did_you_mean(key, POLICY_SETTINGS, "Remove it, unless a plugin of the broker reads it.")
                yield Breach(path, f"{key!r} is no setting of RabbitMQ 3.10 to 4.3.", fix, at_key=True)


@rule(
    "policy-setting",
    "policy setting that the broker refuses",
    "A policy has settings of its own, spelled without `x-`; each takes values of one kind, and some go only with, or "
    "not with, others. What a queue is declared with (its type, its priorities, whether it is durable) cannot be a "
    "policy. Every version of RabbitMQ refuses the whole policy; what some versions refuse, `plan` says.",
)
def policy_setting(topology: Topology) -> Iterator[Breach]:
    """Settings that every version refuses."""
    for name, policy in topology.policies.items():
        place: Path = ("policies", name, "definition")
        for key, value in policy.definition.items():
            setting = POLICY_SETTINGS.get(key)
            if setting is None:
                if _belongs_to_a_queue(key):
                    yield Breach((*place, key), f"{key!r} is no setting of a policy.", _instead(key), at_key=True)
            elif not setting.values.accepts(value):
                why = f"{key!r} is {setting.values}; this is not."
                yield Breach((*place, key), why, f"Write {setting.values}.")
        for key, why in contradictions(policy.definition):
            fix = "Write both, or neither." if "needs" in why else "Correct or remove it."
            yield Breach((*place, key), f"{why[:1].upper()}{why[1:]}", fix, at_key=True)


def _belongs_to_a_queue(key: str) -> bool:
    return key.startswith("x-") or key in NO_POLICY_SETTINGS


def _instead(key: str) -> str:
    bare = key.removeprefix("x-")
    if bare in POLICY_SETTINGS:
        return f"Write {bare!r}."
    field = QUEUE_FIELDS.get(f"x-{bare}")
    return f"Write `{field}` at the queues that are meant." if field else "Remove it; a queue is declared with it."


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
    needed = _queues_made(topology)
    if limit < needed:
        why = f"The topology makes {needed} queues, run-time queues not counted."
        yield Breach(("limits", "max_queues"), why, f"Write at least {needed}, and some for run-time queues.")


@rule(
    "many-different-limits",
    "so many different limits that each change takes seconds",
    "Queues of the same limits share a policy. For each change to one policy RabbitMQ matches every policy against "
    "every queue of the vhost: 1,000 queues and 200 policies take it about a second (4.3.6), 10,000 queues and 340 "
    "policies so long that it closes the connection without an answer.",
    severity=Severity.WARNING,
)
def many_different_limits(topology: Topology) -> Iterator[Breach]:
    """More different sets of limits than a broker matches against the queues in a few seconds."""
    kinds = {queue.limits for queue in topology.queues.values()} - {QueueLimits()}
    queues = _queues_made(topology)
    if len(kinds) * queues > MOST_MATCHES:
        why = f"There are {len(kinds):,} different sets of limits, each a policy, and {queues:,} queues."
        yield Breach(("queues",), why, "Let queues share limits: round them.", at_key=True)


def _queues_made(topology: Topology) -> int:
    """All queues that follow from a topology, its lock among them."""
    made = 1 + topology.has_dead_letters  # the lock, and the dead letters
    for queue in topology.queues.values():
        made += 1 + queue.has_rejected_queue
        made += queue.retry.max_retries if queue.retry and queue.has_rejected_queue else 0
    return made


RULES: tuple[Rule, ...] = (
    policy_pattern,
    policy_not_anchored,
    policy_not_judged,
    policy_empty,
    policy_key,
    policy_setting,
    ignore_pattern,
    message_size,
    message_size_default,
    max_queues,
    many_different_limits,
)
