"""What most entries say alike is said once, and every entry still says what it said."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.export.common_values import lifted

ENTRIES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["classic", "stream"]),
            "overflow": st.sampled_from(["none", "drop-head"]),
            "message_ttl": st.sampled_from(["1h", "5m"]),
            "arguments": st.just({"x-own": 1}),
        },
    ),
    max_size=8,
)


@given(ENTRIES)
def test_nothing_is_said_otherwise(entries: dict[str, dict[str, Any]]) -> None:
    """With what is common, each entry is what it was; a quorum queue says so where most are none."""
    common, own = lifted("queues", entries)

    assert own.keys() == entries.keys()
    for name, entry in entries.items():
        merged = {**common, **own[name]}
        assert merged == (entry if "type" in entry or "type" not in common else {**entry, "type": "quorum"})


def test_what_most_say_is_lifted() -> None:
    """Of queues and exchanges; where a few say it, or one does not say it at all, it stays where it is."""
    classic = {"type": "classic", "overflow": "none"}
    queues = {
        "a": classic,
        "b": classic,
        "c": classic,
        "d": {"overflow": "none"},
        "e": {**classic, "message_ttl": "1h"},
    }
    common, own = lifted("queues", queues)
    assert common == {"type": "classic", "overflow": "none"}
    assert own == {"a": {}, "b": {}, "c": {}, "d": {"type": "quorum"}, "e": {"message_ttl": "1h"}}

    few = {"a": classic, "b": classic}
    assert lifted("queues", few) == ({}, few)
    one_does_not = {"a": classic, "b": classic, "c": classic, "s": {"type": "stream"}}
    assert lifted("queues", one_does_not).common == {"type": "classic"}
    fanouts = {name: {"type": "fanout"} for name in "abc"}
    assert lifted("exchanges", {**fanouts, "d": {}}) == (
        {"type": "fanout"},
        {"a": {}, "b": {}, "c": {}, "d": {"type": "topic"}},
    )
    assert lifted("users", {name: {"tags": ["a"]} for name in "abc"}).common == {}
