"""The broker's reasons, in every shape that 3.10 and 4.0 were seen to give them."""

from __future__ import annotations

import json

import pytest

from letrade_topo.management.answers import LONGEST_REASON, Answer


def reason(body: str) -> str:
    """The reason of an answer with this body."""
    return Answer(400, "application/json", body.encode()).reason


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"error":"bad_request","reason":"inequivalent arg \'x\'"}', "inequivalent arg 'x'"),
        ('{"error":"bad_request","reason":"[{&lt;&lt;\\"nope\\"&gt;&gt;,1}] are not"}', '[{<<"nope">>,1}] are not'),
        ('{"error":"bad_request","reason":["no_such_user","bob"]}', "no_such_user: bob"),
        (
            json.dumps({"reason": ["amqp_error", "precondition_failed", [ord(c) for c in "invalid arg"], "none"]}),
            "precondition_failed: invalid arg",
        ),
        ('{"error":"not_found"}', "not_found"),
        ('{"reason":{"a":1}}', '{"a": 1}'),
        ('{"reason":[1,"x"]}', '[1, "x"]'),
        ('"text"', '"text"'),
        ("", ""),
        (
            "<html><style>p{}</style><body><h1>503</h1> Service&nbsp;Unavailable</body></html>",
            "503 Service Unavailable",
        ),
    ],
)
def test_a_reason_is_readable(body: str, expected: str) -> None:
    """Erlang's lists of characters, HTML escapes and foreign pages all become words."""
    assert reason(body) == expected


def test_a_reason_has_an_end() -> None:
    """A page of another product does not flood the terminal."""
    assert len(reason("x" * 100_000)) == LONGEST_REASON


def test_bytes_that_are_no_text_are_no_fault() -> None:
    """An answer that is not UTF-8 still gives a reason."""
    assert Answer(500, "text/plain", b"\xff\xfe broken").reason.endswith("broken")
