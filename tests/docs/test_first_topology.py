"""`docs/tutorial/first-topology.md`, followed word by word.

In one shell, as the page says: its files are saved, its lines changed, its commands run in their order, and each has to
answer what the page shows: but for numbers, ids, paths, ports and patience; a line `…` of the page stands for any
lines. With LETRADE_WRITE_PAGE=1 the answers are written into the page, but for those that it cuts.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from letrade_topo.node.errors import RabbitMQMissing
from letrade_topo.node.installation import find_installation
from tests.brokers import root_folder
from tests.ports import free_ports

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-topology.md"
PORTS = ("5672", "5673", "9464", "9465")
PATIENCE = ("inactivity_timeout=3", "inactivity_timeout=9")
"""How long the kitchen waits for an order: three seconds are too short where the machine does nothing for some."""
SHOWN_FOLDER = "/home/you/pizzeria"
CUT = "…"
EXIT_CODES = {
    "letrade-topo validate": [65, 0],
    "letrade-topo plan --brief": [2],
    "letrade-topo plan": [2],
    "letrade-topo drift": [2, 0],
}
"""Of the commands that do not end with 0, time after time."""
_STEP = re.compile(
    r"as\s`(?P<file>[\w.]+)`:\n\n```\w+\n(?P<content>.*?)```"
    r"|last line to:\n\n```yaml\n(?P<line>.*?)```"
    r"|```console\n(?P<console>.*?)```",
    re.DOTALL,
)
_LOOSE = (
    (re.compile(r"[\w-]+:\d{8}-[\w-]+"), "KID"),
    (re.compile(r"~[0-9a-f]{16}"), "ID"),
    (re.compile(r"letrade@\S+"), "NODE"),
    (re.compile(r"\d[\d,.:TZ-]*"), "0"),
)


class ReaderShell:
    """One bash that stays, as a reader's terminal does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str) -> tuple[str, int]:
        """What a command says, to whichever stream, and its exit code.

        It has nothing to read: the rabbitmqctl of RabbitMQ 3.10 swallows what is typed ahead of it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = f"-- {uuid.uuid4()}"
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '%s %d\\n' '{end}' $?\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            text, found, code = line.partition(end)
            said.append(text)
            if found:
                return "".join(said), int(code)
        raise AssertionError(f"the shell ended over: {command}\n{''.join(said)}")


@contextmanager
def _shell(folder: Path, environment: dict[str, str]) -> Iterator[ReaderShell]:
    process = subprocess.Popen(
        ["/bin/bash"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # what it starts in the background ends with it
    )
    try:
        with process:
            yield ReaderShell(process)
    finally:
        with suppress(ProcessLookupError):  # the page has cleaned up
            os.killpg(process.pid, signal.SIGKILL)
        subprocess.run(
            [sys.executable, "-m", "letrade_topo", "broker", "stop", "--delete"],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )


def _environment(version: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **inherited}
    try:
        here = find_installation().version
    except RabbitMQMissing:
        here = ""
    return found if here.startswith(f"{version}.") else found | {"LETRADE_TOPO_BROKER_ROOT": str(root_folder(version))}


def test_the_page_word_by_word(one_broker_version: str, tmp_path: Path) -> None:
    """A newcomer's whole way: a mistake found, a broker, a change, drift, a message signed, one refused, one forged."""
    page = PAGE.read_text(encoding="utf-8")
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    codes = {command: iter(found) for command, found in EXIT_CODES.items()}
    written, end = [], 0
    with _shell(tmp_path, _environment(one_broker_version)) as shell:
        for step in _STEP.finditer(page):
            if step["file"]:
                content = step["content"].replace(*PATIENCE)
                (tmp_path / step["file"]).write_text(_at(ports, content), encoding="utf-8")
            elif step["line"]:
                kept = (tmp_path / "topology.yaml").read_text(encoding="utf-8").splitlines(keepends=True)[:-1]
                (tmp_path / "topology.yaml").write_text("".join(kept) + step["line"], encoding="utf-8")
            else:
                written.append(page[end : step.start("console")])
                end = step.end("console")
                for command, shown in _commands(step["console"]):
                    said, code = shell.run(_at(ports, command))
                    said = said.replace(str(tmp_path), SHOWN_FOLDER)
                    assert code == next(codes.get(command, iter([0]))), f"$ {command}\n{said}"
                    if os.environ.get("LETRADE_WRITE_PAGE"):
                        written.append(f"$ {command}\n{shown if CUT in shown.splitlines() else said}")
                    else:
                        assert _matches(_loose(said), _loose(shown)), f"$ {command}\n{said}"
    if os.environ.get("LETRADE_WRITE_PAGE"):
        PAGE.write_text("".join([*written, page[end:]]), encoding="utf-8")
    assert [command for command, left in codes.items() if next(left, None) is not None] == []


def _at(ports: dict[str, str], text: str) -> str:
    return re.sub("|".join(rf"(?<=127\.0\.0\.1:){port}" for port in ports), lambda found: ports[found[0]], text)


def _commands(block: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _loose(text: str) -> list[str]:
    for pattern, instead in _LOOSE:
        text = pattern.sub(instead, text)
    return [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]


def _matches(said: list[str], shown: list[str]) -> bool:
    pattern = "".join(r"(?:.*\n)*" if line == CUT else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None
