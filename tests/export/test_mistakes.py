"""What other people's definitions files do wrong: the export says so beside the entry, with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import pytest

from letrade_topo.export.definitions import read_definitions
from letrade_topo.export.exporting import export_vhosts
from tests.export.corpus import Case, definitions


class Mistake(NamedTuple):
    """One of them.

    Args:
        case: with it.
        entry: the line that the comment stands above.
        said: what is wrong, in the comment.
        fix: what to do, in the same comment.
    """

    case: Case
    entry: str
    said: str
    fix: str


def _policy(pattern: str = "^q$", apply_to: str = "queues", **definition: Any) -> Case:
    named = {key.replace("_", "-"): value for key, value in definition.items()}
    return {"queues": {"q": {}}, "policies": {"p": (pattern, apply_to, named)}}


def _permission(pattern: str) -> Case:
    return {"users": {"app": {}}, "permissions": {"app": ("", pattern, "")}}


def _hash(text: str, **more: Any) -> Case:
    return {"users": {"app": {"password_hash": text, **more}}, "permissions": {"app": ("", "", ".*")}}


def _arguments(**arguments: Any) -> Case:
    named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return {"exchanges": {"x": "fanout"}, "queues": {"q": named}, "bindings": [("x", "q")]}


MISTAKES: Final[Mapping[str, Mistake]] = {
    "a dead-letter exchange without a binding": Mistake(
        {"exchanges": {"dlx": "fanout"}, "queues": {"q": {"x-dead-letter-exchange": "dlx"}}},
        "  q: {type: classic",
        "dead letters would be lost",
        "Bind a queue to that exchange",
    ),
    "a dead-letter exchange that is not there": Mistake(
        {"queues": {"q": {"x-dead-letter-exchange": "gone"}}},
        "  q: {type: classic",
        "'gone' is not under `exchanges`",
        "Declare it under `exchanges`",
    ),
    "an alternate exchange that is not there": Mistake(
        {"exchanges": {"x": ("topic", {"arguments": {"alternate-exchange": "gone"}})}},
        "  x: {arguments",
        "what is sent there is lost",
        "Declare it, bind a queue to it",
    ),
    "a policy with x-queue-type": Mistake(
        _policy(x_queue_type="quorum"), "  p:", "no setting of a policy", "Write `type` at the queues"
    ),
    "a policy with max-priority": Mistake(
        _policy(max_priority=5), "  p:", "no setting of a policy", "Write `max_priority` at the queues"
    ),
    "a policy with x-max-in-memory-length": Mistake(
        _policy(x_max_in_memory_length=5), "  p:", "no setting of a policy", "Write 'max-in-memory-length'"
    ),
    "priorities on a quorum queue": Mistake(
        _arguments(queue_type="quorum", max_priority=5), "  q:", "would refuse the queue", "a queue of their own"
    ),
    "a delivery limit on a classic queue": Mistake(
        _arguments(delivery_limit=5), "  q:", "A classic queue refuses 'x-delivery-limit'", "make it a quorum queue"
    ),
    "a policy for streams on a classic queue": Mistake(
        _policy(max_age="7D", max_length=5), "  p:", "none of the policy is in force", "a policy of its own"
    ),
    "lazy mode by policy": Mistake(
        _policy(queue_mode="lazy"), "  p:", "RabbitMQ 3.12 and newer keep every classic queue like that", "Remove it"
    ),
    "lazy mode by argument": Mistake(
        _arguments(queue_mode="lazy"), "  q:", "3.12 and newer keep every classic queue like that", "Remove it"
    ),
    "mirrored queues": Mistake(
        _policy(ha_mode="all"), "  p:", "RabbitMQ 4.0 and newer refuse 'ha-mode'", "Remove it before the upgrade"
    ),
    "a policy that is not anchored": Mistake(
        _policy("q", max_length=5), "  p:", "'q' also matches within a longer name", "Write ^q$"
    ),
    "a policy that matches nothing": Mistake(
        _policy("^nobody$", max_length=5), "  p:", "No queue or exchange", "Correct the pattern"
    ),
    "a permission with an unbound alternative": Mistake(
        _permission(r"amq\.default|orders"), "  v-app:", "also matches within", r"Write ^(?:amq\.default|orders)$"
    ),
    "a permission that is anchored by halves": Mistake(
        _permission("^orders|audit$"), "  v-app:", "also matches within a longer name", "Write ^(?:orders|audit)$"
    ),
    "a permission that is a glob": Mistake(
        _permission("tx-retry-*"), "  v-app:", "A * alone repeats the character before it", "any text is .*"
    ),
    "two catch-all policies of one priority": Mistake(
        {"queues": {"q": {}}, "policies": {"a": (".*", "all", {"max-length": 5}), "b": ("", "all", {"max-length": 6})}},
        "  b:",
        "which of them is in force is open",
        "Give it the priority -1, or narrow its pattern",
    ),
    "a topic permission on the default exchange": Mistake(
        {"users": {"app": {}}, "topic_permissions": [("app", "", ".*", ".*")]},
        "  v-app:",
        "The default exchange is a direct exchange",
        "Remove it",
    ),
    "a hash that is a placeholder": Mistake(
        _hash("CHANGEME"), "  v-app:", "Hash that no password has", "Write `password: {env: NAME}`"
    ),
    "a hash that is a plain password": Mistake(
        _hash("pass-word!"), "  v-app:", "is not base64, a placeholder or the password itself", "change it"
    ),
    "a hash that is empty": Mistake(_hash(""), "  v-app:", "It has no password", "Add `password: {env: NAME}`"),
    "a hash of old": Mistake(
        _hash("GEqVbxBfBYf0uA61FlNqfA0vKaU=", hashing_algorithm="rabbit_password_hashing_md5"),
        "  v-app:",
        "MD5, as before RabbitMQ 3.6, is quick to guess",
        "Give the user a password anew",
    ),
    "a password in plain text": Mistake(
        _hash("", password="in plain text"), "  v-app:", "the file had it for everybody to read", "Change it"
    ),
    "a binding from an exchange that is not in the file": Mistake(
        {"queues": {"q": {}}, "bindings": [("gone", "q", "k")]},
        "  - {source: gone",
        "'gone'",
        "Declare it under `exchanges`",
    ),
    "a binding to a queue that is not in the file": Mistake(
        {"exchanges": {"x": "topic"}, "bindings": [("x", "gone", "k")]},
        "  - {source: x",
        "'gone' is not under `queues`",
        "Declare it under `queues`",
    ),
    "a binding from an exchange of another vhost": Mistake(
        {"queues": {"q": {}}, "bindings": [("there", "q", "k")], "second": {"exchanges": {"there": "topic"}}},
        "  - {source: there",
        "'v-second' has 'there', and a binding stays within its vhost",
        "with a shovel",
    ),
    "x-queue-type on an exchange": Mistake(
        {"exchanges": {"x": ("topic", {"arguments": {"x-queue-type": "quorum"}})}},
        "  x: {arguments",
        "an exchange does nothing with it",
        "Write it at the queue",
    ),
    "an argument without x-": Mistake(
        {"queues": {"q": {"expires": 5}}}, "  q:", "reads 'expires'", "Did you mean 'x-expires'?"
    ),
    "an exchange and a queue of one name": Mistake(
        {"exchanges": {"same": "fanout"}, "queues": {"same": {}}, "bindings": [("same", "same")]},
        "  same: {type: classic",
        "a permission for one is a permission for the other",
        "Rename the queue",
    ),
    "a name with a space at its end": Mistake(
        {"exchanges": {"orders ": "topic"}}, "  'orders ': {}", "a space at its beginning or end", "Remove it"
    ),
    "retries by hand": Mistake(
        {
            "exchanges": {"again": "direct"},
            "queues": {
                "work": {"x-dead-letter-exchange": "again", "x-dead-letter-routing-key": "wait"},
                "wait": {
                    "x-message-ttl": 5_000,
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": "work",
                },
            },
            "bindings": [("again", "wait", "wait")],
        },
        "  work: {type: classic",
        "What fails travels 'work' → again [wait] → 'wait'",
        "Lead one of them elsewhere",
    ),
    "a queue that is lost at a restart": Mistake(
        {"queues": {"q": {"durable": False}}}, "  q:", "gone when the broker restarts", "Remove the line"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_comment_with_its_fix(mistake: Mistake) -> None:
    """Directly above the entry, whatever else is said there."""
    document = json.dumps(definitions(mistake.case, "v")).encode()
    found = read_definitions(document, "definitions.json")

    exported = export_vhosts(found, vhosts=list(found.vhosts))[0]

    comment = comment_above(exported.text, mistake.entry)
    assert mistake.said in comment
    assert mistake.fix in comment


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (
            {"queues": {"q": {}}, "bindings": [("amq.topic", "q", "#")]},
            ["  - {source: amq.topic, queue: q, routing_key: '#'}"],
        ),
        ({"exchanges": {"amq.topic": "topic"}}, []),
        (
            {"exchanges": {"MassTransit:Fault--Order": "fanout", "a b": "topic", "a/b": "direct"}},
            ["  'MassTransit:Fault--Order': {type: fanout}", "  'a b': {}", "  a/b: {type: direct}"],
        ),
        (
            {"exchanges": {"a": "topic", "b": "topic"}, "bindings": [("a", ("exchange", "b"), "#")]},
            ["  a: {}", "  b: {}"],
        ),
    ],
    ids=["bindings from amq.topic", "amq.topic declared", "names of others", "between exchanges"],
)
def test_what_is_unusual_is_no_mistake(case: Case, lines: list[str]) -> None:
    """It is written without a comment."""
    found = read_definitions(json.dumps(definitions(case, "v")).encode(), "definitions.json")

    (exported,) = export_vhosts(found, vhosts=["v"])

    written = exported.text.splitlines()
    for line in lines:
        assert not written[written.index(line) - 1].startswith("  #")
    assert not exported.unsaid
    assert not exported.errors


def test_an_exchange_that_only_the_broker_may_make_is_named() -> None:
    """At the head of the file."""
    case = {"exchanges": {"amq.mine": "topic"}}
    found = read_definitions(json.dumps(definitions(case, "v")).encode(), "definitions.json")

    (exported,) = export_vhosts(found, vhosts=["v"])

    assert (
        "exchange 'amq.mine': names that begin with `amq.` are the broker's own"
        in exported.text.partition("topology:")[0]
    )


def comment_above(text: str, entry: str) -> str:
    """The lines of comment directly above an entry, as one line."""
    lines = text.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith(entry))
    comment: list[str] = []
    while re.match(r" +#", lines[place - 1]):
        place -= 1
        comment.insert(0, lines[place].strip().removeprefix("# "))
    return " ".join(comment)
