"""The command line in processes that begin with its modules loaded: most of what a short run costs is loading them.

A server loads `letrade_topo` once and forks for each run, so a run is a process of its own, with its own environment,
folder, output and exit code, as one that a shell starts. What depends on how an interpreter starts is not tested so.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, NoReturn

import letrade_topo

_MOST_REQUEST_BYTES = 100_000
_FILES = 3
"""That go with a request: the run's stdout and stderr, and the pipe that tells its process id and exit code."""
_OF_SERVICES = ("letrade_topo.__main__", "letrade_topo.bus", "letrade_topo.testing")
"""What no command loads."""


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, limit_seconds: float
) -> tuple[int, str, str]:
    """Run `letrade-topo`, with nothing to read on its stdin.

    Args:
        arguments: without the program's name.
        environment: all of its variables; none that the interpreter reads when it starts.
        folder: where it runs.
        limit_seconds: after which it is killed.

    Returns:
        Exit code (negative: the signal that ended it), stdout, stderr.

    Raises:
        AssertionError: it took longer.
    """
    request = json.dumps([list(arguments), dict(environment), str(folder.resolve())]).encode()
    with ExitStack() as stack:
        out, err = (stack.enter_context(os.fdopen(os.memfd_create(name), "w+b")) for name in ("stdout", "stderr"))
        reader, writer = os.pipe()
        said = stack.enter_context(os.fdopen(reader, "rb"))
        with os.fdopen(writer, "wb"):
            socket.send_fds(_server(), [request], [out.fileno(), err.fileno(), writer])
        pid = int(said.readline())
        is_late = not select.select([said], [], [], limit_seconds)[0]
        if is_late:
            os.kill(pid, signal.SIGKILL)
        code = int(said.readline())
        printed = [_text(file) for file in (out, err)]
    assert not is_late, "\n".join([f"still running after {limit_seconds:g} s", *printed])
    return code, printed[0], printed[1]


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


@cache
def _server() -> socket.socket:
    """It ends when this process does, which has the other end of its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.preloaded", str(theirs.fileno())]
        root = Path(__file__).parent.parent  # wherever the first test that asks has gone
        process = subprocess.Popen(command, cwd=root, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> None:
    for module in pkgutil.walk_packages(letrade_topo.__path__, "letrade_topo."):
        if not module.name.startswith(_OF_SERVICES):
            importlib.import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for a run
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, and for what it runs
    gc.freeze()
    while True:
        request, files, *_ = socket.recv_fds(requests, _MOST_REQUEST_BYTES, _FILES)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _wait_for_a_run(request, *files)
        for file in files:
            os.close(file)


def _wait_for_a_run(request: bytes, out: int, err: int, told: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(request, out, err)
    os.write(told, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # whoever asked has ended
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: bytes, out: int, err: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments, environment, folder = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for source, target in ((out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    main: Callable[[], int] = sys.modules["letrade_topo.cli.main"].main
    sys.argv = ["letrade-topo", *arguments]
    sys.exit(main())


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
