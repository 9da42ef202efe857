"""What every page of measurements has: the machine, tables, whether an aim was met."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path


def measured_on(date: datetime.date, rabbitmq: Iterable[str]) -> str:
    """When and on which machine, as a sentence."""
    return (
        f"Measured on {date:%-d %B %Y}: {_processor()}, {os.cpu_count()} cores, {_memory_gigabytes():.0f} GB, "
        f"{_system()}, Python {platform.python_version()}, RabbitMQ {' and '.join(rabbitmq)}."
    )


def yes_or_no(met: bool) -> str:
    """Whether an aim was met; a miss catches the eye."""
    return "yes" if met else "**no**"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform(terse=True)
