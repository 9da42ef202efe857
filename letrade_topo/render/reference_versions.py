"""The reference page of RabbitMQ's versions, from the table of capabilities and what its fields say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields

from letrade_topo.broker.capabilities import TABLE, Capabilities

_HEAD = """\
# Versions of RabbitMQ

<!-- Generated from the code by script/reference: edit letrade_topo/broker/capabilities.py, not this page. -->

RabbitMQ 3.10 and newer. The tests run on 3.10, 4.0 and the newest that Debian packages; each column of the first table
is shown there by a real broker of each of the three. What a version cannot take is left out of the plan and said, where
it means the same, or refused by `plan` before anything is written.

## What the tool makes of the differences

A row holds until the next one; a version newer than the last row is taken for that.
"""

_TAIL = """
## What else differs

- **What is given back with `nack` or `recover`** does not count towards the delivery limit any more from 4.3 on; the
  agent gives back with `reject`, which does.
- **Topic permissions** need their exchange from 4.3.2 on, or `plan` refuses them; `validate` warns of one on an
  exchange that is not declared. Where they go with their exchange,
  [nobody gets in meanwhile](../explanation/ownership-and-guards.md#order).
- **Who may not see a vhost** is answered 404 from 4.2.9 and 4.3.3 on: a missing right, never an empty vhost.
- **Frames**: from 4.1 on a client that asks for less than 8,192 bytes is turned away. The agent takes 4,096, and has a
  size of its own towards the broker. No version looks at the size when it notes on a message where it died (`x-death`):
  the content header may be larger than was agreed then, and the agent reads it.
- **`x-acquired-count`** comes beside `x-delivery-count` from 4.3 on: how often a message was taken, and how often that
  failed. A service sees what the broker says; a publisher's own copies of both are stripped by its agent.
- **Global prefetch** is taken for one of each consumer from 4.3 on; before, a quorum queue ends the connection.
- **Transient queues**: whether queues that are neither durable nor exclusive may be declared is said by the broker's
  list of deprecated features, and by `plan` where they may not.
- **Metadata** are in Khepri alone from 4.3 on. An upgrade to 4.3 begins at 4.2, with all feature flags enabled.
"""


def page() -> str:
    """The page as Markdown."""
    names = [field.name for field in fields(Capabilities) if field.name != "series"]
    meanings = _meanings()
    lines = [_HEAD, f"| from | {' | '.join(f'[{_title(name)}](#{_anchor(name)})' for name in names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for since, row in TABLE:
        version = ".".join(str(number) for number in since)
        lines.append(f"| {version} | {' | '.join(_cell(getattr(row, name)) for name in names)} |")
    for name in names:
        lines += ["", f"### {_title(name)}", "", meanings[name]]
    return "\n".join([*lines, _TAIL.rstrip(), ""])


def _meanings() -> dict[str, str]:
    """What the docstring says of each field, as one sentence."""
    text = inspect.getdoc(Capabilities) or ""
    found = {name: re.sub(r"\s+", " ", words).strip() for name, words in _entries(text)}
    return {name: f"{words[0].upper()}{words[1:].rstrip('.')}." for name, words in found.items()}


def _entries(text: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n    (?=\w+: )", text.partition("Args:")[2]):
        name, _, words = entry.strip().partition(": ")
        if words:
            yield name, words


def _title(name: str) -> str:
    return name.replace("_", " ")


def _anchor(name: str) -> str:
    return name.replace("_", "-")


def _cell(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False | None:
            return "–"
        case int(number):
            return f"{number:,}"
        case _:
            return str(value)
