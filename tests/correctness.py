"""What a transparent AMQP 0-9-1 proxy has to get right, row by row, and which tests name each row.

A test names a row by `row 12` (or `rows 12, 14`) in its docstring. The page docs/reference/proxy-correctness.md is
made of this; a row without a test says why not.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).parent
_PLACES: Final = ("agent", "amqp", "interop")
_NAMED = re.compile(r"\brows? (\d+(?:(?:, | and |–)\d+)*)")


class Row(NamedTuple):
    """One thing to get right.

    Attributes:
        text: what.
        untested: why no test names it; "" where tests do.
    """

    text: str
    untested: str = ""


ROWS: Final[Mapping[int, Row]] = {
    1: Row(
        "Protocol header: 0-9-1 and 0-9 are taken; anything else is answered with ours and closed; AMQP 1.0, TLS and"
        " HTTP clients are named in the log"
    ),
    2: Row("The client's open is answered after the broker's; a broker that cannot be reached is told quickly"),
    3: Row("PLAIN and AMQPLAIN from the client, never passed on; EXTERNAL or PLAIN to the broker"),
    4: Row("A refused login is `connection.close` only for a client that can take it; else the socket closes"),
    5: Row("The broker sees the client's properties under the agent's name; the client sees the broker's"),
    6: Row("Two negotiations of limits; the broker's bound the client's; frames of 4,096 bytes work on every broker"),
    7: Row("A wrong frame end, or a frame larger than agreed, is 501"),
    8: Row("Bodies are cut anew for each side; more body than announced is 501; another frame inside is 505"),
    9: Row("A body of length 0 has no frame"),
    10: Row(
        "Contents are whole on their channel and interleave with other channels; a publish that stops half-way is"
        " dropped"
    ),
    11: Row("A content header with a token fits into one frame, or the message is refused or handed over"),
    12: Row("Header tables are spliced, not decoded: floats, nested tables and integer types stay as they came"),
    13: Row("Field types as RabbitMQ has them; an unknown one is a syntax error"),
    14: Row("Short strings are bytes, at most 255; long texts are cut between characters"),
    15: Row("What the broker refuses on publish (immediate, expiration, user_id) is left to the broker"),
    16: Row("The size is judged at the content header; the body is drained and not stored"),
    17: Row("Confirms are counted from the first `confirm.select`, by client and broker each for itself"),
    18: Row("`basic.return` comes before its confirm, in order, with the publisher's own properties"),
    19: Row("A refused mandatory publish is returned and then nacked"),
    20: Row("Transactions are refused: 540"),
    21: Row("Delivery tags are per channel; 0 with `multiple` is all; an unknown tag is 406, not passed on"),
    22: Row(
        "`nack` and `reject` go upstream as what they are; but where the broker does not count a nack towards the"
        " delivery limit (from 4.3 on), what is given back goes by `reject`"
    ),
    23: Row("`basic.get` that meets a bad message gets again; answers keep their order"),
    24: Row("`basic.recover` gives back what the client has, not what is withheld"),
    25: Row("Consumers without acknowledgement: a bad message is handed over, and no ack is sent"),
    26: Row("Direct reply-to shares the upstream channel"),
    27: Row("Server-named consumer tags are learned; a tag is used once"),
    28: Row("A consumer cancelled by the broker: told to clients that can take it"),
    29: Row("The broker's acknowledgement time-out closes the channel: passed on"),
    30: Row(
        "Prefetch is passed on; a client that sets none gets 50; where declares are absorbed, one for the channel"
        " counts for each consumer"
    ),
    31: Row("`channel.flow`: active is answered, inactive is 540"),
    32: Row("`connection.blocked` is passed on to clients that can take it; hand-overs have a connection of their own"),
    33: Row("A lost broker is `connection.close` 320 for its clients"),
    34: Row("Several nodes: shuffled, with back-off; names are resolved anew"),
    35: Row("Heartbeats on both legs, independent of traffic"),
    36: Row("Half-open connections: keepalive, user time-out, a write that stalls"),
    37: Row("Closes that cross are each answered; between close and close-ok all else is thrown away"),
    38: Row("`channel.open-ok` comes from the broker; numbers are the same on both legs"),
    39: Row("`connection.update-secret` is answered by the agent"),
    40: Row("Declares, binds and deletes are policy"),
    41: Row("`no_wait`: no answer, but errors close"),
    42: Row("CC and BCC are refused"),
    43: Row("`access.request` is answered"),
    44: Row("What brokers add or change is not signed"),
    45: Row("Back-pressure in bytes, both ways"),
    46: Row("SIGTERM: clients go on until they have closed or the time is over"),
    47: Row("The port is on loopback, with an optional secret, and signs only what its service may publish"),
    48: Row("Unknown methods are 540; frames on channels that are not open 504"),
    49: Row("The broker's limits on connections reach the client in the broker's words"),
    50: Row("No delay of small packets; a message is one write"),
    51: Row("A consumer whose queue is migrated stays: a pause, and no cancel"),
}


def named_rows() -> Mapping[int, tuple[str, ...]]:
    """For each row the tests that name it, as `file::test`, sorted."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for place in _PLACES:
        for path in sorted((TESTS / place).rglob("test_*.py")):
            _collect(path, found)
    return {row: tuple(sorted(tests)) for row, tests in found.items()}


def _collect(path: Path, found: defaultdict[int, set[str]]) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not node.name.lower().startswith("test"):
            continue
        for match in _NAMED.finditer(ast.get_docstring(node) or ""):
            for number in re.findall(r"\d+", match[1]):
                found[int(number)].add(f"{path.relative_to(TESTS)}::{node.name}")


def page() -> str:
    """The page, in Markdown."""
    tests = named_rows()
    lines = [
        "# What the proxy gets right",
        "",
        "<!-- Written by script/reference: change tests/correctness.py, not this page. -->",
        "",
        "A proxy that refuses single messages and withholds others must keep all the rest of AMQP 0-9-1 as it was.",
        "Each row is one thing to get right, with the tests that name it.",
        "",
        "| | | tests |",
        "| --- | --- | --- |",
    ]
    for number, row in ROWS.items():
        shown = "<br>".join(f"`{name}`" for name in tests.get(number, ())) or row.untested
        lines.append(f"| {number} | {row.text} | {shown} |")
    return "\n".join(lines) + "\n"
