"""What deserves a look in a topology that was exported: comments, each beside its entry. Pure.

Most of it is what `validate` says. What a broker of some version does not have any more is no rule of a topology, which
knows no version: `plan` refuses it there; who takes over an old broker is told in good time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, TypeAlias

from letrade_topo.model.messages import Json
from letrade_topo.model.rules import Problem
from letrade_topo.model.settings import POLICY_SETTINGS, QUEUE_ARGUMENTS, Versions
from letrade_topo.model.topology import Topology

Path: TypeAlias = tuple[str | int, ...]

ENTRY_DEPTH: Final = 2
"""Steps of a path to an entry: its section, and its name or number."""
_LAZY: Final = "lazy"


def remarks_of(problems: Iterable[Problem], *others: Iterable[tuple[Path, str]]) -> Mapping[Path, list[str]]:
    """Lines of comment, by the path of the entry that they are about.

    Args:
        problems: what the rules say.
        others: further remarks: a title, a colon, and the rest.
    """
    remarks: dict[Path, list[str]] = defaultdict(list)
    for path, text in chain(map(_of_rule, problems), *others):
        if text not in remarks[path]:
            remarks[path].append(text)
    return remarks


def _of_rule(problem: Problem) -> tuple[Path, str]:
    """Where a section is not there at all, the remark stands beside the entry that wants it."""
    path = problem.otherwise if len(problem.path) < ENTRY_DEPTH and problem.otherwise else problem.path
    text = f"{problem.summary[:1].upper()}{problem.summary[1:]}: {problem.why} {problem.fix}"
    return path[:ENTRY_DEPTH], text.strip()


def remarks_on_age(topology: Topology) -> Iterator[tuple[Path, str]]:
    """Settings that newer brokers refuse or ignore."""
    for policy in topology.policies.values():
        for key, value in policy.definition.items():
            if (setting := POLICY_SETTINGS.get(key)) is not None:
                text = _refused(key, setting.versions) or _ignored(key, value)
                if text:
                    yield ("policies", policy.name), text
    for queue in topology.queues.values():
        for key, value in queue.arguments.items():
            if (argument := QUEUE_ARGUMENTS.get(key)) is not None:
                narrower = argument.narrower.get(str(value))
                text = _refused(key, narrower or argument.types.get(queue.type)) or _ignored(key, value)
                if text:
                    yield ("queues", queue.name), text


def _refused(key: str, versions: Versions | None) -> str:
    if versions is None or versions.until is None:
        return ""
    until = ".".join(map(str, versions.until))
    return f"Setting of older brokers: RabbitMQ {until} and newer refuse {key!r}. Remove it before the upgrade."


def _ignored(key: str, value: Json) -> str:
    if key.removeprefix("x-") != "queue-mode" or value != _LAZY:
        return ""
    return (
        "Lazy mode: RabbitMQ 3.12 and newer keep every classic queue like that, and read the setting no more. "
        "Remove it there."
    )


def remarks_on_vhosts(topology: Topology, homes: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Bindings that leave from an exchange of another vhost.

    Args:
        topology: of one vhost.
        homes: the exchanges of all vhosts, each with a vhost that has one of that name.
    """
    for index, binding in enumerate(topology.bindings):
        if binding.source in homes and binding.source not in topology.exchanges:
            yield (
                ("bindings", index),
                f"Exchange of another vhost: {homes[binding.source]!r} has {binding.source!r}, and a binding stays "
                "within its vhost. Publish here as well, or move messages over with a shovel.",
            )
