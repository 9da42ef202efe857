"""Lets Jobs and pods of tests end, as the Job controller and a kubelet would say it: nothing runs here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.helm.helm import Manifest
from tests.soak.kubernetes.api_server import KubeApiServer

_LOOK_SECONDS = 0.1
_END_SECONDS = 60


@dataclass(slots=True)
class JobEnds:
    """Ends every Job that is not over, well or not.

    Args:
        server: where they are.
        fails: whether they fail from now on.
        ended: names of those that it ended, with the `resourceVersion` that they had then.
    """

    server: KubeApiServer
    fails: bool = False
    ended: list[tuple[str, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Go on until it is told to stop."""
        while not self._stop.wait(_LOOK_SECONDS):
            for job in self.server.ask("GET", "/apis/batch/v1/jobs").check()["items"]:
                if not job.get("status", {}).get("conditions"):
                    self._end(job)
            for pod in self.server.ask("GET", "/api/v1/pods").check()["items"]:
                if "helm.sh/hook" in pod["metadata"].get("annotations", {}) and pod["status"]["phase"] == "Pending":
                    path = self.server.path_of({**pod, "apiVersion": "v1", "kind": "Pod"}, "")
                    status = {"status": {"phase": "Failed" if self.fails else "Succeeded"}}
                    self.server.ask("PATCH", f"{path}/status", body=status, of="merge-patch+json").check(200, 404)

    def stop(self) -> None:
        """No more from now on."""
        self._stop.set()

    def _end(self, job: Manifest) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        first, last = ("FailureTarget", "Failed") if self.fails else ("SuccessCriteriaMet", "Complete")
        status: Manifest = {
            "startTime": now,
            "failed" if self.fails else "succeeded": 1,
            "conditions": [
                {"type": one, "status": "True", "reason": "Rehearsed", "message": "", "lastTransitionTime": now}
                for one in (first, last)
            ],
        }
        if not self.fails:
            status["completionTime"] = now
        path = self.server.path_of({**job, "apiVersion": "batch/v1", "kind": "Job"}, "")
        answer = self.server.ask("PATCH", f"{path}/status", body={"status": status}, of="merge-patch+json")
        if answer.code == 404:  # Helm deleted it in between
            return
        found = answer.check()
        self.ended.append((job["metadata"]["name"], int(found["metadata"]["resourceVersion"])))


@contextmanager
def jobs_end(server: KubeApiServer) -> Iterator[JobEnds]:
    """Jobs end while the block runs."""
    ends = JobEnds(server)
    thread = threading.Thread(target=ends.run, name="jobs-end", daemon=True)
    thread.start()
    try:
        yield ends
    finally:
        ends.stop()
        thread.join(_END_SECONDS)
