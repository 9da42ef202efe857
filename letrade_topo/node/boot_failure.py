"""Why a node ended while it started, out of what it wrote to its standard output.

RabbitMQ prints a banner, a reason, the reason again as a supervisor's report of thirty lines, and
that it has written a crash dump. Wanted is the reason.
"""

from __future__ import annotations

import re

_LOG_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+\d\d:\d\d \[(\w+)\] <[\d.]+> ?")
_MARK = "BOOT FAILED"
_REASON = "Error during startup:"
_LINES = 15


def why_it_ended(output: str) -> str:
    """The reason in the node's own words, or else the last lines that it wrote.

    Args:
        output: its standard output and error.
    """
    lines = output.splitlines()
    if _MARK not in output:
        return "\n".join([line for line in lines if line.strip()][-_LINES:])
    return "\n".join((_errors_before_mark(lines) + _reason(lines))[:_LINES])


def port_was_taken(output: str) -> bool:
    """Whether a listener's port was no longer free; epmd says it in words, Erlang by its name."""
    return "eaddrinuse" in output or "ddress already in use" in output


def _errors_before_mark(lines: list[str]) -> list[str]:
    errors = []
    for line in lines:
        if _MARK in line:
            break
        prefix = _LOG_PREFIX.match(line)
        if prefix and prefix[1] == "error" and line[prefix.end() :].strip():
            errors.append(line[prefix.end() :].strip())
    return errors


def _reason(lines: list[str]) -> list[str]:
    """The paragraph that begins with the reason, where it is printed for people: without a prefix."""
    start = next((i for i, line in enumerate(lines) if line.startswith(_REASON)), len(lines))
    paragraph = []
    for line in lines[start:]:
        if not line.strip():
            break
        if not _LOG_PREFIX.match(line):
            paragraph.append(line.rstrip())
    return paragraph
