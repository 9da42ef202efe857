"""The root of every error that is somebody's fault but ours.

An error names four things: what is wrong, where, why, and what to do about it. Which process exit
code it means is the command line's business, not known here.
"""

from __future__ import annotations


class TopoError(Exception):
    """Something outside the program is wrong, and a person can do something about it.

    Args:
        what: one line, without a full stop: what is wrong, and with which object.
        why: the reason, as far as it is known; a broker's own words go here unchanged.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        return "\n  ".join(part for part in (self.what, self.why, self.fix) if part)
