"""The file of a Unix socket: its mode, what it replaces and what it does not, whose it is, and who may speak."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from letrade_agent.config import InvalidSetting, SocketPath
from letrade_agent.proxy.unix_socket import UnixSocket
from letrade_agent.transport.peer import peer_of

OTHER = 65532
"""A user that is not this one."""
_CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else takes root")


@contextmanager
def listening(path: Path, group: str | None = None) -> Iterator[UnixSocket]:
    """A socket that listens."""
    made = UnixSocket(SocketPath(path, group))
    made.socket.listen()
    try:
        yield made
    finally:
        made.socket.close()


@contextmanager
def visitor(made: UnixSocket, *identity: str) -> Iterator[socket.socket]:
    """A connection of another process, which runs as setpriv says."""
    command = ["setpriv", *identity, "/usr/bin/python3", "-c", _CONNECT, str(made.place.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/") as process:
        made.socket.settimeout(60)
        accepted, _ = made.socket.accept()
        with accepted:
            yield accepted
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody can look into."""
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == os.geteuid() and Path(tempfile.gettempdir()) in each.parents:
            each.chmod(0o755)
    return tmp_path


def test_mode_and_end(tmp_path: Path) -> None:
    """The owner's alone, or a group's; the file goes with the listener, and nothing else is left in the folder."""
    with listening(tmp_path / "a.sock") as made:
        assert stat.S_IMODE(os.lstat(made.place.path).st_mode) == 0o600
        made.remove()
        made.remove()
    with listening(tmp_path / "b.sock", str(os.getegid())) as made:
        assert stat.S_IMODE(os.lstat(made.place.path).st_mode) == 0o660
        made.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    """It was killed, and removed nothing."""
    with listening(tmp_path / "a.sock"):
        pass
    assert (tmp_path / "a.sock").exists()
    with listening(tmp_path / "a.sock") as made, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(made.place.path))


def test_a_living_one_is_not(tmp_path: Path) -> None:
    """Two agents of one path: the second says so and the first goes on."""
    with listening(tmp_path / "a.sock") as first:
        with pytest.raises(OSError, match="another process listens there"):
            UnixSocket(SocketPath(tmp_path / "a.sock"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(first.place.path))


def test_what_another_put_there_is_not_removed(tmp_path: Path) -> None:
    """The path is the same, the file is not."""
    with listening(tmp_path / "a.sock") as old:
        old.socket.close()
        with listening(tmp_path / "a.sock") as new:
            old.remove()
            assert new.place.path.exists()


@pytest.mark.parametrize("kind", ["a symbolic link", "no socket"])
def test_other_files_stay(kind: str, tmp_path: Path) -> None:
    """A link is not followed: it could lead anywhere, to another's socket as well."""
    path, other = tmp_path / "a.sock", tmp_path / "other"
    with listening(other):
        if kind == "no socket":
            path.write_text("mine", encoding="utf-8")
        else:
            path.symlink_to(other)
        with pytest.raises(InvalidSetting, match=kind):
            UnixSocket(SocketPath(path))
        assert path.is_symlink() or path.read_text(encoding="utf-8") == "mine"


def test_no_such_group(tmp_path: Path) -> None:
    """Before anything is made."""
    with pytest.raises(InvalidSetting, match="no group of this machine"):
        UnixSocket(SocketPath(tmp_path / "a.sock", "nobody-has-this-name"))
    assert list(tmp_path.iterdir()) == []


def test_the_own_user_may_speak(tmp_path: Path) -> None:
    """And is named."""
    with listening(tmp_path / "a.sock") as made, visitor(made) as accepted:
        peer = peer_of(accepted)
        assert (peer.uid, peer.gid) == (os.geteuid(), os.getegid())
        assert made.judge(accepted).refusal == ""
        assert f"process {peer.pid}" in made.judge(accepted).peer


@root_only
def test_another_user_may_not(folder: Path) -> None:
    """The mode keeps it out; where that has been changed, the kernel's word does."""
    with listening(folder / "a.sock") as made:
        someone = [
            "setpriv",
            f"--reuid={OTHER}",
            f"--regid={OTHER}",
            "--clear-groups",
            "/usr/bin/python3",
            "-c",
            _CONNECT,
        ]
        done = subprocess.run([*someone, str(made.place.path)], cwd="/", capture_output=True, text=True, check=False)
        assert "PermissionError" in done.stderr
        made.place.path.chmod(0o666)
        with visitor(made, f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups") as accepted:
            refusal = made.judge(accepted).refusal
        assert refusal.startswith(f"uid {OTHER}, gid {OTHER}, process ")
        assert refusal.endswith("only uid 0 may speak with this service's signature")


@root_only
@pytest.mark.parametrize("identity", [("--regid=4242", "--clear-groups"), (f"--regid={OTHER}", "--groups=4242,4243")])
def test_the_group_may(identity: tuple[str, ...], folder: Path) -> None:
    """As its group or as one of several; who is in none of them may not, whatever the mode is."""
    with listening(folder / "a.sock", "4242") as made:
        with visitor(made, f"--reuid={OTHER}", *identity) as accepted:
            assert made.judge(accepted).refusal == ""
        made.place.path.chmod(0o666)
        with visitor(made, f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups") as accepted:
            assert "only uid 0 and group 4242 may" in made.judge(accepted).refusal
