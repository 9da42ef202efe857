"""Topologies with many queues or keys, for the rules about expressions that are made of names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


def digest(number: int) -> str:
    """A name that has nothing in common with others."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:12]


def crowd(
    count: int,
    *,
    queue: Callable[[int], str] | None = None,
    key: Callable[[int], str] | None = None,
    limits: Callable[[int], int] | None = None,
    marker: str = "",
    marker_of_queues: str = "",
) -> str:
    """A topology in which the services `a` and `b` take turns to have a queue and publish a type.

    Args:
        count: of queues of both.
        queue: the name of each; by default it begins with its service.
        key: of the type that is bound to it; by default it begins with whoever publishes it.
        limits: how many messages each may hold, beyond one.
        marker: put before the names of the services.
        marker_of_queues: put before the section.
    """
    services = ("a", "b")
    numbers = range(count)
    keys = {number: key(number) if key else f"{services[number % 2]}.t{number}" for number in numbers}
    names = {number: queue(number) if queue else f"{services[number % 2]}.q{number}" for number in numbers}
    lines = ["exchanges: {x: {}}", "messages:"]
    lines += [f"  '{keys[number]}': {{exchange: x, lifetime: 1s}}" for number in numbers]
    lines.append("services:")
    for turn, service in enumerate(services):
        published = ", ".join(f"'{keys[number]}'" for number in numbers[turn::2])
        lines.append(f"  {marker}{service}:\n    publishes: [{published}]\n    consumes: [{published}]")
    lines.append(f"{marker_of_queues}queues:")
    more = {number: f", max_length: {1 + limits(number)}" if limits else "" for number in numbers}
    lines += [
        f"  '{names[number]}': {{service: {services[number % 2]}, messages: ['{keys[number]}'], "
        f"dead_letter: none{more[number]}}}"
        for number in numbers
    ]
    return "\n".join(lines) + "\n"
