"""How any part of the agent says what happened: a level, an event in few words, and its particulars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Log: TypeAlias = Callable[[str, str, Mapping[str, object]], None]
"""Level (`debug`, `info`, `warning`, `error`), event, particulars. Never a body, a token or a password."""
