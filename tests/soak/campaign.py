"""One topology in a vhost of its own, beside somebody else's objects, applied and disturbed again and again."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.topology import letrade_like
from letrade_topo.apply.lock import LEASE_SECONDS, POLL_SECONDS
from letrade_topo.model import names
from tests.brokers import RunningBroker
from tests.tool import LONGEST_RUN_SECONDS, Tool, ToolAnswer, ended

FOREIGN = "somebody.else"
APPLY = ("apply", "--yes", "--allow", "delete-many")
FEWEST_OBJECTS = 100
VHOST_SECTIONS = ("exchanges", "queues", "bindings", "policies", "permissions", "topic_permissions")


@dataclass(frozen=True, slots=True)
class Trace:
    """What a killed run left on the broker.

    Args:
        held_lock: its lock was still there.
        pending: how many objects it had said that it would make or change.
    """

    held_lock: bool
    pending: int


@dataclass(frozen=True, slots=True)
class Phases:
    """How long an apply takes, in seconds.

    Args:
        reading: until it says what it will write.
        writing: from then on, reading back included.
    """

    reading: float
    writing: float

    @property
    def whole(self) -> float:
        """Both."""
        return self.reading + self.writing


class Campaign:
    """A topology, its file, and what must never be touched.

    Args:
        broker: where.
        folder: for files.
        name: of topology and vhost; nothing else on the broker has it.
        objects: how many, expanded.
    """

    def __init__(self, broker: RunningBroker, folder: Path, name: str, objects: int) -> None:
        self.broker, self.name = broker, name
        self.objects = max(objects, FEWEST_OBJECTS)
        self.tool = Tool.at(broker, folder)
        self._folder = folder
        self._foreign = self._make_foreign()

    def write(self, variant: str = "") -> Path:
        """Write a file; those of two variants share half of their queues, and differ in users' permissions.

        Ownership is shared, so that somebody else's objects are no drift.
        """
        file = self._folder / f"{self.name}{variant and f'-{variant}'}.yaml"
        prefix = f"{variant}_" if variant else ""
        text = letrade_like(self.objects, self.broker.version, name=self.name, prefix=prefix)
        file.write_text(text.replace("ownership: exclusive", "ownership: shared"), encoding="utf-8")
        return file

    def apply(self, file: Path) -> float:
        """Apply without disturbance; seconds."""
        begin = time.monotonic()
        self.tool.run(*APPLY, str(file)).check(0)
        return time.monotonic() - begin

    def phases(self, file: Path) -> Phases:
        """Apply without disturbance, and tell reading from writing."""
        begin = time.monotonic()
        process = self.start(file)
        self.wait_for_intent(process)
        intended = time.monotonic()
        ended(process).check(0)
        return Phases(intended - begin, time.monotonic() - intended)

    def wait_for_intent(self, process: subprocess.Popen[str]) -> None:
        """Until a run has said on the broker what it will write, or has ended."""
        deadline = time.monotonic() + LONGEST_RUN_SECONDS
        while process.poll() is None and not self.trace().pending:
            assert time.monotonic() < deadline, "no run has begun to write"

    def start(self, file: Path) -> subprocess.Popen[str]:
        """Start an apply and do not wait."""
        return self.tool.start(*APPLY, str(file))

    def differs(self, file: Path) -> bool:
        """Whether drift finds anything."""
        answer = self.tool.run("drift", str(file))
        assert answer.code in {0, 2}, f"{answer.out}\n{answer.err}"
        return answer.code == 2

    def trace(self) -> Trace:
        """What the broker knows of a run at work, or of one that died."""
        lock = self._get(f"/api/queues/{self.name}/{names.lock_queue(self.name)}")
        return Trace(lock is not None, len(self.record().get("pending", ())))

    def record(self) -> dict[str, Any]:
        """The ownership record; empty before the first run."""
        found = self._get(f"/api/global-parameters/{names.ownership_record(self.name, self.name)}")
        value: dict[str, Any] = found["value"] if found else {}
        return value

    def finish(self, file: Path) -> float:
        """The next apply finishes, without help, and then nothing differs; seconds of that apply."""
        self.check_foreign()
        seconds = self.apply(file)
        self.check_settled()
        assert not self.differs(file), "drift after the apply that should have finished"
        return seconds

    def check_settled(self) -> None:
        """No run is at work or left half-done, and nothing of somebody else was touched."""
        deadline = time.monotonic() + 2 * LEASE_SECONDS  # twice: the broker may have been late
        trace = self.trace()
        while trace.held_lock and time.monotonic() < deadline:  # a release that the broker did not answer in time
            time.sleep(POLL_SECONDS)
            trace = self.trace()
        assert trace == Trace(held_lock=False, pending=0), f"left behind: {trace}"
        self.check_foreign()

    def check_foreign(self) -> None:
        """Every object of somebody else is as it was."""
        now = self._export()
        for section, items in self._foreign.items():
            for item in items:
                assert item in now[section], f"somebody else's {section} changed: {item}"

    def follow(self, broker: RunningBroker) -> None:
        """The broker may listen on other ports after a restart."""
        self.tool = Tool.at(broker, self._folder)

    def end(self) -> None:
        """Take everything away."""
        users = [user["name"] for user in self._export()["users"] if user["name"].startswith(f"{self.name}")]
        self.broker.api("DELETE", f"/api/vhosts/{self.name}")
        self.broker.api("POST", "/api/users/bulk-delete", json={"users": [*users, self._foreign_user]})
        record = quote(names.ownership_record(self.name, self.name), safe="")
        self.broker.api("DELETE", f"/api/global-parameters/{record}")

    @property
    def _foreign_user(self) -> str:
        return f"{self.name}.{FOREIGN}"

    def _make_foreign(self) -> dict[str, list[Any]]:
        vhost, user = self.name, self._foreign_user
        rights = {"configure": "", "write": ".*", "read": ".*"}
        policy = {"pattern": "^somebody", "definition": {"max-length": 5}, "apply-to": "queues"}
        for method, path, body in (
            ("PUT", f"/api/vhosts/{vhost}", {}),
            ("PUT", f"/api/users/{user}", {"password": "somebody", "tags": ""}),
            ("PUT", f"/api/permissions/{vhost}/{user}", rights),
            ("PUT", f"/api/exchanges/{vhost}/{FOREIGN}", {"type": "topic", "durable": True}),
            ("PUT", f"/api/topic-permissions/{vhost}/{user}", {"exchange": FOREIGN, "write": "a", "read": "a"}),
            ("PUT", f"/api/policies/{vhost}/{FOREIGN}", policy),
            ("PUT", f"/api/queues/{vhost}/{FOREIGN}", {"durable": True}),
            ("POST", f"/api/bindings/{vhost}/e/{FOREIGN}/q/{FOREIGN}", {"routing_key": "a"}),
        ):
            answer = self.broker.api(method, path, json=body)
            assert answer.ok, answer.text
        return {section: [item for item in items if FOREIGN in str(item)] for section, items in self._export().items()}

    def _export(self) -> dict[str, list[Any]]:
        exported = self.broker.api("GET", "/api/definitions").json()
        found = {name: [one for one in exported[name] if one["vhost"] == self.name] for name in VHOST_SECTIONS}
        return {**found, "users": exported["users"]}

    def _get(self, path: str) -> Any:
        answer = self.broker.api("GET", path)
        if answer.status_code == 404:
            return None
        assert answer.ok, answer.text
        return answer.json()


def last_stage(answer: ToolAnswer) -> str:
    """Where a killed run was: its last line of progress."""
    lines = [line for line in answer.err.splitlines() if "/" in line or line.endswith("…")]
    return lines[-1] if lines else "before the first write"
