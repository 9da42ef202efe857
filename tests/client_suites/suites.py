"""Where the suites come from, and how each is run. What a broker is they learn from their environment.

Both are in the versions that the project's own tests use: aio-pika's source distribution by pip, amqp091-go's module by
Go's module proxy. What they take for granted about their broker's place is rewritten in a copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.client_suites.outcomes import Outcome, of_go, said_by_go

ROOT: Final = Path(__file__).resolve().parents[2]
_HERE: Final = Path(__file__).resolve().parent
_LOCK: Final = ROOT / "requirements.lock"
_GO_PROGRAM: Final = ROOT / "tests" / "interop" / "go"
_GO_MODULE: Final = "github.com/rabbitmq/amqp091-go"

Environment = Mapping[str, str]
"""AMQP_URL for plain AMQP, AMQPS_PORT, MANAGEMENT_PORT of plain HTTP, and RABBITMQ_RABBITMQCTL_PATH."""

Runner = Callable[[Environment, Collection[str]], dict[str, Outcome]]
"""Runs a suite, or the tests of these names alone."""


class CannotRun(Exception):
    """A suite cannot be had or run here; says why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one library.

    Args:
        name: of the library.
        version: of the library.
        made: makes its folder below this one if it is not there, and gives what runs it; raises CannotRun.
    """

    name: str
    version: str
    made: Callable[[Path], Runner]


def suites() -> dict[str, Suite]:
    """All of them, by name."""
    all_of_them = Suite("aio-pika", version("aio-pika"), _aio_pika), Suite("amqp091-go", _go_version(), _amqp091_go)
    return {suite.name: suite for suite in all_of_them}


def _aio_pika(folder: Path) -> Runner:
    number = version("aio-pika")
    source = folder / f"aio_pika-{number}"
    python = folder / "venv" / "bin" / "python"
    # This environment's own pip, which takes the hashes of constraints; a new environment's does not.
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(python)]
    locked = ["--require-hashes", "--constraint", str(_LOCK)]
    if not source.is_dir():
        _run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(python.parent.parent)])
        _run([*pip, "install", *locked, "--only-binary=:all:", "--group", f"{ROOT / 'pyproject.toml'}:client-suites"])
        from_source = ["--no-deps", "--no-binary=aio-pika", "--dest", str(folder)]
        _run([*pip, "download", *locked, *from_source, f"aio-pika=={number}"])
        _run(["tar", "--extract", f"--file={source}.tar.gz", f"--directory={folder}"])
    for name in ("docker_client.py", "recorder.py"):
        shutil.copyfile(_HERE / name, source / "tests" / name)
    # What test_amqp.py asks, once more over TLS, which an agent's clients do not speak.
    tls_again = "--ignore=tests/test_amqps.py"
    plugins = ["-p", "tests.recorder", "-p", "no:cacheprovider"]
    options = [*plugins, tls_again, "--timeout=60", "-q", "--tb=native", "-o", "log_cli=false"]

    def run(environment: Environment, names: Collection[str]) -> dict[str, Outcome]:
        record = folder / "aio-pika.json"
        record.unlink(missing_ok=True)
        command = [str(python), "-m", "pytest", *options, *(names or ["tests"])]
        _tried(command, source, {**environment, "RECORD": str(record)})
        if not record.is_file():
            raise CannotRun(f"{source.name}: nothing was run, for the reason above")
        outcomes = json.loads(record.read_text(encoding="utf-8"))
        return {name: Outcome(outcome) for name, outcome in outcomes.items()}

    return run


def _go_version() -> str:
    required = re.search(rf"{_GO_MODULE} v(\S+)", (_GO_PROGRAM / "go.mod").read_text(encoding="utf-8"))
    assert required is not None
    return required[1]


def _amqp091_go(folder: Path) -> Runner:
    if shutil.which("go") is None:
        raise CannotRun("amqp091-go's tests need Go, which is not here: install it, or name the other suite alone")
    found = _run(["go", "mod", "download", "-json", _GO_MODULE], cwd=_GO_PROGRAM)
    module = Path(json.loads(found)["Dir"])
    source = folder / module.name

    def run(environment: Environment, names: Collection[str]) -> dict[str, Outcome]:
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(module, source, copy_function=shutil.copyfile)
        for path in (source, *source.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only
        _tell_where_management_is(source, environment["MANAGEMENT_PORT"])
        go_test = ["go", "test", "-count=1", "-tags=integration", "-timeout=20m"]
        listed = [name for name in _run([*go_test, "-list=.", "."], cwd=source).split() if name.startswith("Test")]
        waiting = {name.partition("/")[0] for name in names} or set(listed)
        outcomes: dict[str, Outcome] = {}
        while waiting:  # a test that hangs takes those behind it along: they have their turn without it
            command = [*go_test, "-json", f"-run=^({'|'.join(sorted(waiting))})$", "."]
            ended = of_go(_tried(command, source, environment, shown=said_by_go).splitlines())
            if not ended:
                raise CannotRun(f"{source.name}: nothing was run, for the reason above")
            outcomes |= ended
            waiting -= set(ended)
        return outcomes

    return run


def _tell_where_management_is(source: Path, port: str) -> None:
    """It asks for its own connections there, whose names at the broker end with the agent's."""
    _replace(source / "recovery_test.go", '"15672"', f'"{port}"')
    asking = source / "internal" / "utils" / "http.go"
    _replace(asking, "localhost:15672", f"localhost:{port}")
    name = "conn.ClientProperties.ConnectionName"
    _replace(asking, f"{name} == name", f'{name} == name || strings.HasPrefix({name}, name+" via ")')
    _replace(asking, '"net/http"', '"net/http"\n\t"strings"')


def _replace(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    if before not in text:
        raise CannotRun(f"{file} has no {before}: another version? See {Path(__file__).name}")
    file.write_text(text.replace(before, after), encoding="utf-8")


def _run(command: list[str], cwd: Path | None = None) -> str:
    ended = subprocess.run(command, cwd=cwd, check=False, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise CannotRun(f"this failed, for the reason above: {' '.join(command)}")
    return ended.stdout


def _tried(command: list[str], cwd: Path, environment: Environment, shown: Callable[[str], str] = str) -> str:
    """What a suite printed, tests may have failed; what is `shown` of a line goes to our standard error at once."""
    lines = []
    with subprocess.Popen(
        command, cwd=cwd, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as suite:
        assert suite.stdout is not None
        for line in suite.stdout:
            lines.append(line)
            sys.stderr.write(shown(line))
    return "".join(lines)
