"""Files that decide something: what is no file, has no end, or could have been written by anybody, is not read."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from letrade_topo.reading import CannotRead, Trouble, Trust, open_to_everybody, read_file

ROOT = Path(__file__).parents[1]
MOST = 1000
STRANGER = 12_345
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away, and mount")


def trouble(path: Path, trust: Trust = Trust.DECIDES) -> Trouble:
    """What is wrong with a file."""
    with pytest.raises(CannotRead) as caught:
        read_file(path, trust=trust, most=MOST)
    assert str(path) in str(caught.value)
    return caught.value.trouble


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is all right."""
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("trust", Trust)
def test_a_file(file: Path, trust: Trust) -> None:
    """Of this user, for this user alone, through a link, too."""
    link = file.with_name("link")
    link.symlink_to("file")
    assert read_file(file, trust=trust, most=7) == b"content"
    assert read_file(link, trust=trust, most=7) == b"content"


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link to a device", "link to a pipe", "endless"])
def test_what_is_no_file(tmp_path: Path, kind: str, trust: Trust) -> None:
    """It is refused at once: a pipe would wait for a writer, a device may have no end."""
    path = tmp_path / "file"
    match kind:
        case "pipe":
            os.mkfifo(path, 0o600)
        case "socket":
            os.chdir(tmp_path)  # a socket's name has 108 bytes at most
            with socket.socket(socket.AF_UNIX) as unix:
                unix.bind(path.name)
            os.chdir(ROOT)
        case "device":
            path = Path("/dev/null")
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "link to a pipe":
            os.mkfifo(tmp_path / "pipe", 0o600)
            path.symlink_to("pipe")
        case "endless":
            path.symlink_to(path)
    expected = Trouble.UNREADABLE if kind == "endless" else Trouble.NO_FILE
    assert trouble(path, trust) is expected


def test_what_cannot_be_read(file: Path) -> None:
    """Each with what is wrong."""
    assert trouble(file.with_name("other")) is Trouble.MISSING
    assert trouble(file.parent) is Trouble.FOLDER
    assert trouble(file / "below") is Trouble.UNREADABLE
    file.write_bytes(bytes(MOST))
    assert len(read_file(file, trust=Trust.DECIDES, most=MOST)) == MOST
    file.write_bytes(bytes(MOST + 1))
    assert trouble(file) is Trouble.TOO_BIG


def test_a_file_that_grows_while_it_is_read() -> None:
    """Its size says nothing: files of /proc have none."""
    with pytest.raises(CannotRead) as caught:
        read_file(Path("/proc/self/maps"), trust=Trust.SHOWN, most=100)
    assert caught.value.trouble is Trouble.TOO_BIG


def open_up(who: str, file: Path) -> None:
    """Let somebody else change a file, or what is on the way to it."""
    match who:
        case "everybody":
            file.chmod(0o666)
        case "a group":
            os.chown(file, -1, STRANGER)
            file.chmod(0o660)
        case "the folder":
            file.parent.chmod(0o777)
        case "the folder, a group":
            os.chown(file.parent, -1, STRANGER)
            file.parent.chmod(0o775)
        case "a folder above":
            file.parents[1].chmod(0o777)


@is_root
@pytest.mark.parametrize("who", ["everybody", "a group", "the folder", "the folder, a group", "a folder above"])
@pytest.mark.parametrize("through", ["itself", "a link", "a link to its folder"])
def test_what_others_can_change(file: Path, who: str, through: str) -> None:
    """The file, or a folder on the way to it, from where it is named or from where a link leads."""
    elsewhere = file.parents[1] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(file)
    (elsewhere / "folder").symlink_to(file.parent)
    path = {"itself": file, "a link": elsewhere / "link", "a link to its folder": elsewhere / "folder" / "file"}[
        through
    ]
    open_up(who, file)

    assert trouble(path) is Trouble.OPEN_TO_OTHERS
    assert trouble(path, Trust.SECRET) is Trouble.OPEN_TO_OTHERS
    assert read_file(path, trust=Trust.SHOWN, most=MOST) == b"content"


@is_root
def test_a_link_that_others_can_exchange(file: Path) -> None:
    """What it leads to is all right, and who can write to its folder can have it lead elsewhere."""
    shared = file.parents[1] / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "link").symlink_to(file)
    assert trouble(shared / "link") is Trouble.OPEN_TO_OTHERS
    shared.chmod(0o1777)
    assert read_file(shared / "link", trust=Trust.DECIDES, most=MOST) == b"content"


@is_root
def test_whose_it_is(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Root's, or this user's; or that of whoever owns the folder that the program was started in: a checkout."""
    os.chown(file, STRANGER, -1)
    assert trouble(file) is Trouble.OPEN_TO_OTHERS
    assert trouble(file, Trust.SECRET) is Trouble.OPEN_TO_OTHERS
    checkout = tmp_path_factory.mktemp("checkout")
    os.chown(checkout, STRANGER, -1)
    monkeypatch.chdir(checkout)
    assert read_file(file, trust=Trust.SECRET, most=MOST) == b"content"


@is_root
def test_the_group_of_a_user_alone(file: Path) -> None:
    """With a umask of 002 files are writable for a group that has one member."""
    file.chmod(0o664)
    assert grp.getgrgid(file.stat().st_gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    assert read_file(file, trust=Trust.DECIDES, most=MOST) == b"content"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610, 0o601, 0o660, 0o444, 0o666])
def test_a_secret_that_others_can_read(file: Path, mode: int) -> None:
    """It is refused, with its permissions and what to do."""
    file.chmod(mode)
    with pytest.raises(CannotRead) as caught:
        read_file(file, trust=Trust.SECRET, most=MOST)
    assert f"its permissions are {mode:04o}" in str(caught.value)
    assert f"chmod 600 {file}" in str(caught.value)


AS_ANOTHER = """
import os, sys
from pathlib import Path
from letrade_topo.reading import CannotRead, Trust, read_file
os.setgroups([int(sys.argv[2])])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
try:
    print(read_file(Path(sys.argv[1]), trust=Trust.SECRET, most=1000).decode())
except CannotRead as error:
    print(error.trouble.name)
"""


@is_root
@pytest.mark.parametrize(("mode", "expected"), [(0o440, "content"), (0o640, "content"), (0o444, "OPEN_TO_OTHERS")])
def test_a_secret_that_root_gives_to_a_group(mode: int, expected: str) -> None:
    """As a volume of Kubernetes with `fsGroup`, or a file of a system's service: root's, for the service's group."""
    place = Path("/run") / f"letrade-test-{os.getpid()}"
    place.mkdir(0o755)
    try:
        file = place / "secret"
        file.write_bytes(b"content")
        os.chown(file, 0, STRANGER)
        file.chmod(mode)
        program = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, str(file), str(STRANGER)], capture_output=True, text=True, cwd="/"
        )
        if program.returncode and "Permission denied" in program.stderr:
            pytest.skip("the interpreter of this environment is for root alone")
        assert (program.stdout.strip(), program.stderr) == (expected, "")
    finally:
        shutil.rmtree(place)


MOUNTED = """
import sys
from pathlib import Path
from letrade_topo.reading import CannotRead, Trust, read_file
for trust in (Trust.DECIDES, Trust.SECRET):
    try:
        print(read_file(Path(sys.argv[1]), trust=trust, most=1000).decode())
    except CannotRead as error:
        print(error.trouble.name)
"""


@is_root
def test_a_volume_that_is_mounted_read_only(file: Path) -> None:
    """Kubernetes makes a ConfigMap's folder writable for all, and mounts it so that nobody can write."""
    os.chown(file, STRANGER, -1)
    file.chmod(0o644)
    file.parent.chmod(0o777)
    script = f'mount --bind -o ro "$1" "$1" && exec "{sys.executable}" -c "$2" "$1/file"'
    program = subprocess.run(
        [shutil.which("unshare") or "", "--mount", "sh", "-c", script, "sh", str(file.parent), MOUNTED],
        capture_output=True,
        text=True,
    )
    if "unshare" in program.stderr or "mount:" in program.stderr:
        pytest.skip(f"nothing can be mounted here: {program.stderr}")
    assert program.stdout.split() == ["content", "OPEN_TO_OTHERS"], program.stderr


def test_a_folder_that_everybody_may_change(tmp_path: Path) -> None:
    """By the folder itself, also with the sticky bit; by one on the way to it, or to what a link leads to, without."""
    way = tmp_path / "way"
    folder = way / "folder"
    folder.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert open_to_everybody(folder) is None  # below /tmp, which has the sticky bit
    for mode, exposed in ((0o775, None), (0o1777, folder), (0o777, folder)):
        folder.chmod(mode)
        assert open_to_everybody(folder) == exposed
    folder.chmod(0o755)
    for mode, exposed in ((0o1777, None), (0o777, way)):
        way.chmod(mode)
        assert open_to_everybody(folder) == exposed
        assert open_to_everybody(link) == exposed


@pytest.mark.parametrize("trust", Trust)
def test_a_stream_of_this_process(tmp_path: Path, trust: Trust) -> None:
    """`<(command)` in a shell: for who asks for it, up to the limit, and through a link; else it is no file."""
    for size in (7, MOST + 1):
        reading, writing = os.pipe()
        link = tmp_path / f"link{size}"
        link.symlink_to(f"/dev/fd/{reading}")
        try:
            with open(writing, "wb") as writer:
                writer.write(b"c" * size)
            if size > MOST:
                with pytest.raises(CannotRead) as caught:
                    read_file(link, trust=trust, most=MOST, streams=True)
                assert caught.value.trouble is Trouble.TOO_BIG
            else:
                assert trouble(link, trust) is Trouble.NO_FILE
                assert read_file(link, trust=trust, most=MOST, streams=True) == b"c" * size
        finally:
            os.close(reading)
