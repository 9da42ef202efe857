"""What comes back from the management API, made readable: JSON shapes and the broker's reasons."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]
"""One object of an answer, not yet looked at."""

LONGEST_REASON = 2_000
"""Characters; a broken definition can come back whole."""

_MARKUP = re.compile(r"<(style|script|title)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
# Erlang's terms around the words, in errors of POST /api/definitions (3.10).
_NOISE = frozenset({"amqp_error", "none"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    content_type: str
    body: bytes
    location: str = ""
    tag: str = ""

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON."""
        return self.content_type.partition(";")[0].strip().casefold() == "application/json"

    @property
    def reason(self) -> str:
        """The broker's own words, or the text of whatever else answered; empty if there are none."""
        return _reason(self.body)[:LONGEST_REASON]


def _reason(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
    if not isinstance(parsed, dict):
        return text.strip()
    return _words(parsed.get("reason") or parsed.get("error") or "")


def _words(reason: object) -> str:
    match reason:
        case str():
            # The broker escapes for its own web pages: <<"x">> comes as &lt;&lt;"x"&gt;&gt;.
            return html.unescape(reason).strip()
        case [int(), *_]:
            return _characters(reason)
        case list():
            words = (_words(part) for part in reason)
            return ": ".join(word for word in words if word and word not in _NOISE)
        case _:
            return json.dumps(reason)


def _characters(codes: Sequence[object]) -> str:
    # An Erlang string is a list of characters, and comes as one in errors of 3.10.
    try:
        return "".join(map(chr, codes))  # type: ignore[arg-type]  # whatever else is in it raises
    except (TypeError, ValueError, OverflowError):
        return json.dumps(codes)
