"""The limits of the agent are in one value, with their reasons, and nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from letrade_agent.limits import DEFAULT_LIMITS

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agent/letrade_agent"

LIKE_A_LIMIT = re.compile(r"_SECONDS$|_BYTES$|_LIMIT$|_?MAX_|_?MOST_|_?LARGEST_|_?LONGEST_|PREFETCH")

NOT_OF_THE_AGENT_AS_A_WHOLE = {
    "amqp": "the protocol",
    "cli": "of a command, which is no agent",
    "config.py": "of ports",
    "relay/session.py": "no limit, in a number",
    "observe/page.py": "how a page looks",
    "observe/labels.py": "how many there are of a label",
    "observe/recent.py": "what a page shows",
    "observe/rates.py": "what a page shows",
    "rehearsal.py": "what a page shows",
    "filters": "what is kept of a name or a text, and how long a text may be",
    "back_off.py": "what a float can hold",
    "app.py": "how often it looks at itself",
    "proxy/server.py": "of heartbeats, by the protocol",
    "retry/router.py": "of heartbeats, by the protocol",
    "proxy/listener.py": "the protocol's header",
    "proxy/unix_socket.py": "whether somebody listens at a socket that is there",
    "transport/peer.py": "of one answer of the system",
    "transport/tls_transport.py": "asyncio's own, for which it stands in",
    "transport/leg.py": "the one buffer, made when the module is",
    "observe/admin.py": "of one read",
}
"""Where constants that look like limits may be, and what they are."""


def test_each_has_its_reason() -> None:
    """The reference page has a row for it, with words in it."""
    page = (ROOT / "docs/reference/agent-limits.md").read_text(encoding="utf-8")
    for name in _names("", DEFAULT_LIMITS):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert len(row.split("|")[4].split()) >= 2, row


def test_no_module_has_one_of_its_own() -> None:
    """Whoever looks for a limit finds it in one place."""
    found = {
        f"{path.relative_to(AGENT)}: {name}"
        for path in AGENT.rglob("*.py")
        if path.name != "limits.py" and not _is_left_out(path)
        for name in _numbers(path)
        if LIKE_A_LIMIT.search(name)
    }
    assert found == set()


def test_no_test_patches_one() -> None:
    """They are passed in: a test passes another value."""
    patched = re.compile(r"""monkeypatch\.setattr\([^)]*["'.][A-Z_]{3,}["']""")
    for folder in ("agent", "retry", "interop", "soak"):
        for path in (ROOT / "tests" / folder).rglob("*.py"):
            assert not patched.search(path.read_text(encoding="utf-8")), path


def test_the_page_says_where_it_is_decided() -> None:
    """The table names limits that there are, and files that there are."""
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Where it is decided")[2].partition("\n## ")[0]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")][1:]
    limits = {*_names("", DEFAULT_LIMITS), *(one.name for one in fields(DEFAULT_LIMITS))}
    for values, files in rows:
        assert set(re.findall(r"`([\w.]+)`", values)) <= limits, values
        named = re.findall(r"\]\(\.\./\.\./([\w/]+\.py)\)", files)
        assert named, files
        assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(rows) >= 10


def _names(prefix: str, group: Any) -> Iterator[str]:
    for one in fields(group):
        value = getattr(group, one.name)
        if is_dataclass(value):
            yield from _names(f"{one.name}.", value)
        else:
            yield f"{prefix}{one.name}"


def _is_left_out(path: Path) -> bool:
    name = path.relative_to(AGENT).as_posix()
    return any(name == one or name.startswith(f"{one}/") for one in NOT_OF_THE_AGENT_AS_A_WHOLE)


def _numbers(path: Path) -> Iterator[str]:
    """Names at the module's top to which a number, or a product of numbers, is given."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            constants = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            if constants and all(isinstance(one, int | float) for one in constants):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
