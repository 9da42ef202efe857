"""Files that a person names are written whole or not at all, and what a name leads to stays what it is."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from letrade_topo.files import CannotWrite, write, write_new

OLD = b"what was there before"
NEW = b"n" * 200_000


def only(folder: Path) -> list[str]:
    """What is in a folder, by name."""
    return sorted(item.name for item in folder.iterdir())


@pytest.mark.parametrize("before", [None, 0o600, 0o644, 0o666, 0o400])
def test_a_regular_file_is_replaced_and_private(tmp_path: Path, before: int | None) -> None:
    """0600 whatever it was, in one step: who has the old one open still reads the old one."""
    path = tmp_path / "plan.json"
    if before is not None:
        path.write_bytes(OLD)
        path.chmod(before)
        reader = path.open("rb")

    write(path, NEW)

    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert only(tmp_path) == ["plan.json"]
    if before is not None:
        with reader:
            assert reader.read() == OLD


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, absolute: bool, dangling: bool) -> None:
    """Also through several links, and to a file that is not there yet: it is made where they lead."""
    kept = tmp_path / "kept"
    kept.mkdir()
    real = kept / "plan.json"
    if not dangling:
        real.write_bytes(OLD)
    (tmp_path / "second").symlink_to(real if absolute else Path("kept/plan.json"))
    (tmp_path / "first").symlink_to(tmp_path / "second" if absolute else Path("second"))

    write(tmp_path / "first", NEW)

    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert real.read_bytes() == NEW
    assert not real.is_symlink()
    assert only(kept) == ["plan.json"]


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    """Whoever waits at its other end gets it, and it stays a pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()

    write(path, NEW)

    reader.join(30)
    assert read == [NEW]
    assert stat.S_ISFIFO(path.lstat().st_mode)
    assert only(tmp_path) == ["pipe"]


def test_a_device_is_written_through(tmp_path: Path) -> None:
    """As itself, and where a link leads to it."""
    before = os.stat("/dev/null")
    (tmp_path / "sink").symlink_to("/dev/null")

    write(Path("/dev/null"), NEW)
    write(tmp_path / "sink", NEW)

    assert os.stat("/dev/null").st_rdev == before.st_rdev
    assert (tmp_path / "sink").is_symlink()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("into_a_file", [True, False])
def test_a_stream_of_the_process_is_written_where_it_stands(tmp_path: Path, name: str, into_a_file: bool) -> None:
    """Behind what was printed before, also where the shell led it into a file, which is not replaced."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    program = (
        "import sys; from pathlib import Path; from letrade_topo.files import write\n"
        f"print('before', flush=True); write(Path({name!r}), b'written\\n'); print('after')"
    )
    out = tmp_path / "out"
    with out.open("wb") as file:
        inode = os.fstat(file.fileno()).st_ino
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=file if into_a_file else subprocess.PIPE,
            cwd=tmp_path,
            check=True,
            timeout=60,
        )

    assert (out.read_bytes() if into_a_file else done.stdout) == b"before\nwritten\nafter\n"
    assert out.stat().st_ino == inode


def test_a_name_that_is_taken_in_between_is_of_no_use(tmp_path: Path) -> None:
    """A link under the name that older versions wrote to first is left alone, and so is what it leads to."""
    victim = tmp_path / "victim"
    victim.write_bytes(OLD)
    (tmp_path / "plan.json.partial").symlink_to(victim)

    write(tmp_path / "plan.json", NEW)

    assert victim.read_bytes() == OLD
    assert (tmp_path / "plan.json").read_bytes() == NEW


@pytest.mark.parametrize("target", ["file", "link"])
def test_a_full_disk_loses_nothing(tmp_path: Path, target: str) -> None:
    """A write that breaks off is an error with advice; the old file is as it was, and nothing is left beside it."""
    path = tmp_path / "file"
    path.write_bytes(OLD)
    (tmp_path / "link").symlink_to("file")
    names = only(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(CannotWrite) as refused:
            write(tmp_path / target, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    assert "File too large" in str(refused.value)
    assert "make room" in str(refused.value)
    assert path.read_bytes() == OLD
    assert only(tmp_path) == names


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no/such/folder", "No such file"),
        (".", "Is a directory"),
        ("loop", "Too many levels"),
        ("file/below", "Not a directory"),
        ("/dev/full", "No space left"),
        ("/dev/fd/987654", "Bad file descriptor"),
        ("n" * 300, "too long"),
        ("nul\0", "null"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, name: str, why: str) -> None:
    """The name, the system's reason, and no traceback."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(OLD)

    with pytest.raises(CannotWrite) as refused:
        write(tmp_path / name, NEW)

    assert why in str(refused.value)
    assert (tmp_path / "file").read_bytes() == OLD


def test_a_new_file_takes_the_place_of_nothing(tmp_path: Path) -> None:
    """Whatever has the name keeps it, a link that leads nowhere, too."""
    (tmp_path / "dangling").symlink_to("nowhere")

    assert write_new(tmp_path / "new", NEW)
    assert not write_new(tmp_path / "new", OLD)
    assert not write_new(tmp_path / "dangling", OLD)
    assert (tmp_path / "new").read_bytes() == NEW
    assert only(tmp_path) == ["dangling", "new"]
