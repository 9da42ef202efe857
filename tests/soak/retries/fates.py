"""What is to become of a message, by its number alone: so everybody who sees one knows it. No imports of ours."""

from __future__ import annotations

import json
from enum import Enum

REJECTED_ONE_IN = 10


class Fate(Enum):
    """What its service does with it."""

    TAKEN = "taken"
    TAKEN_LATER = "taken at the first retry"
    NEVER_TAKEN = "never taken"


def fate_of(number: int) -> Fate:
    """A tenth is rejected; of these every second one for good."""
    tenth, digit = divmod(number, REJECTED_ONE_IN)
    if digit != REJECTED_ONE_IN - 1:
        return Fate.TAKEN
    return Fate.NEVER_TAKEN if tenth % 2 else Fate.TAKEN_LATER


def is_taken(number: int, attempt: int) -> bool:
    """Whether its service accepts this delivery."""
    fate = fate_of(number)
    return fate is Fate.TAKEN or (fate is Fate.TAKEN_LATER and attempt > 0)


def identity(body: bytes) -> tuple[int, str]:
    """The number of a message, and its id: a number that was published twice has two."""
    envelope = json.loads(body)
    return int(envelope["payload"]["number"]), str(envelope["message_id"])
