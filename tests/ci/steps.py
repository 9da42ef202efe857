"""A recipe's shell steps, as its runner would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EXPRESSION = re.compile(r"\$\{\{ *([\w.]+) *\}\}")
_STEP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Ran:
    """How the last step ended, and what all of them printed."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Runner:
    """Where and with what steps run.

    Args:
        folder: the checkout.
        environment: variables of every step.
        contexts: values of GitHub's expressions, by name.
        programs: folders that come before the system's.
    """

    folder: Path
    environment: Mapping[str, str]
    contexts: Mapping[str, str]
    programs: tuple[Path, ...]

    def github(self, workflow: Mapping[str, Any], job: str) -> Ran:
        """The steps of a job until one fails, without those that check out and install."""
        output = ""
        files = {name: self.folder / name.lower() for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_OUTPUT")}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        for step in workflow["jobs"][job]["steps"]:
            if "uses" in step or step["name"] == "Install":
                continue
            given = {**workflow["env"], **step.get("env", {})}
            known = dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text(encoding="utf-8").splitlines())
            variables = {name: self._evaluated(str(value)) for name, value in given.items()} | known
            paths = {name: str(path) for name, path in files.items()}
            ran = self._run(self._evaluated(step["run"]), variables | paths)
            output += ran.output
            if ran.code:
                return Ran(ran.code, output)
        return Ran(0, output)

    def gitlab(self, pipeline: Mapping[str, Any], job: str) -> Ran:
        """The script of a job; all of its parts in one shell, as GitLab's runner does it."""
        base = pipeline[pipeline[job]["extends"]]
        variables = {name: str(value) for name, value in base["variables"].items()}
        return self._run("\n".join(pipeline[job]["script"]), variables)

    def _run(self, script: str, variables: Mapping[str, str]) -> Ran:
        programs = [*map(str, self.programs), str(Path(sys.executable).parent), os.defpath]
        done = subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={"PATH": ":".join(programs), "HOME": str(self.folder), **self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_STEP_SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout)

    def _evaluated(self, text: str) -> str:
        return _EXPRESSION.sub(lambda found: self.contexts[found[1]], text)
