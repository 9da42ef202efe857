"""Reloading topology and keys: what counts as a change, what is kept when the new one is bad."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from letrade_agent.config import Settings, UpstreamNode
from letrade_agent.state import AgentState, InForce, ReloadSource
from letrade_agent.watch.sources import load
from letrade_agent.watch.watcher import Watcher, watched_files

from letrade_topo.errors import TopoError
from letrade_topo.keys.making import make_keys
from letrade_topo.keys.rotation import Timing, rotate_keys
from letrade_topo.load.fingerprint import Fingerprint
from letrade_topo.model.security import JwtAlgorithm
from tests.agent.looking import threads_that_look
from tests.topologies import Document, orders, write

pytestmark = pytest.mark.wide


@dataclass
class WatchedFiles:
    """A topology file, a key folder, and a watcher that nobody but the test drives."""

    folder: Path
    settings: Settings
    state: AgentState
    switched: list[InForce] = field(default_factory=list)
    logged: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    refuses: str = ""

    def __post_init__(self) -> None:
        self.watcher = Watcher(self.settings, self.state, self._switch, self._log, watched_files(self.settings))

    def _switch(self, in_force: InForce) -> None:
        if self.refuses:
            raise TopoError(self.refuses)
        self.switched.append(in_force)

    def _log(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        self.logged.append((level, event, fields))

    def look(self, times: int = 2) -> None:
        """So many polls, without the waiting between."""

        async def looks() -> None:
            for _ in range(times):
                await self.watcher.look()

        asyncio.run(looks())

    def write(self, document: Document) -> None:
        """Replace the topology file."""
        write(self.settings.topology, document)

    def rotate(self) -> str:
        """Give the shop's signing key a successor; its kid."""
        assert self.settings.keys is not None
        rotated = rotate_keys(
            self.settings.keys, ["shop"], algorithm=None, now=int(time.time()), timing=Timing(0, 60, None)
        )
        return next(key.kid for key in rotated.successors if key.use.value == "sig")


@pytest.fixture
def world(tmp_path: Path) -> WatchedFiles:
    """The shop's agent, before any change."""
    keys = tmp_path / "keys"
    make_keys(
        keys,
        ["shop", "clerk"],
        ["move"],
        algorithm=JwtAlgorithm.ES256,
        now=int(time.time()) - 10,
        valid_for_seconds=None,
    )
    topology = write(tmp_path / "topology.yaml", orders())
    settings = Settings("shop", topology, (UpstreamNode.parse("amqps://localhost"),), keys=keys)
    return WatchedFiles(tmp_path, settings, AgentState("shop", time.time(), load(settings)))


def test_nothing_changed(world: WatchedFiles) -> None:
    """Files that stay as they are are read once, at the start."""
    world.look(5)

    assert world.switched == []
    assert world.logged == []


def test_new_topology(world: WatchedFiles) -> None:
    """A good new file is in force after two looks, is counted and logged with its hash."""
    before = world.state.in_force.topology_sha
    world.write(orders(limits={"message_size": "1KiB"}))
    world.look(1)
    assert world.switched == [], "a file that may still be written is not read"
    world.look(1)

    assert world.state.in_force.topology.limits.message_size.bytes == 1024
    assert world.state.in_force.topology_sha != before
    assert world.switched == [world.state.in_force]
    assert world.state.reloads[ReloadSource.CONFIG].ok == 1
    assert [event for _, event, _ in world.logged] == ["config_reloaded"]


def test_files_are_looked_at_beside_the_event_loop(world: WatchedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs holds up no message: neither to look nor to read is done in the loop's thread."""
    world.write(orders(limits={"message_size": "1KiB"}))
    world.rotate()
    threads = threads_that_look(monkeypatch, world.folder)
    world.look(2)

    assert {event for _, event, _ in world.logged} == {"config_reloaded", "keys_reloaded"}
    assert all(threads.values()), "the files were looked at, and read"
    assert threading.get_ident() not in threads["stat"] | threads["open"]


def test_file_that_goes_on_changing(world: WatchedFiles) -> None:
    """As long as every look finds something else, nothing is read."""
    for size in range(1, 6):
        world.write(orders(limits={"message_size": f"{size}KiB"}))
        world.look(1)
    assert world.switched == []

    world.look(1)
    assert world.state.in_force.topology.limits.message_size.bytes == 5 * 1024


@pytest.mark.parametrize(
    "content",
    [
        b"topology: [",
        b"\xff\xfe\x00",
        b"",
        b"topology: 1\nname: x\n",
    ],
)
def test_bad_topology_keeps_the_old_one(world: WatchedFiles, content: bytes) -> None:
    """A broken file is logged once, with its place, and the old one stays until a good one comes."""
    old = world.state.in_force
    world.settings.topology.write_bytes(content)
    world.look(4)

    assert world.state.in_force is old
    assert world.switched == []
    reloads = world.state.reloads[ReloadSource.CONFIG]
    assert (reloads.ok, reloads.failed) == (0, 1)
    [(level, event, fields)] = world.logged
    assert (level, event) == ("error", "config_reload_failed")
    assert f"{world.settings.topology}" in fields["problem"]

    world.write(orders(limits={"message_size": "1KiB"}))
    world.look()
    assert (reloads.ok, reloads.problem) == (1, "")


def test_bad_topology_names_line_and_column(world: WatchedFiles) -> None:
    """The reason in the log is that of `validate`: file, line, column."""
    document = orders()
    document["queues"]["clerk.orders"]["service"] = "nobody"
    world.write(document)
    world.look()

    problem = world.logged[0][2]["problem"]
    line = 1 + next(
        number for number, text in enumerate(world.settings.topology.read_text().splitlines()) if "nobody" in text
    )
    assert f"{world.settings.topology}:{line}:" in problem


def test_file_that_went_away(world: WatchedFiles) -> None:
    """A deleted topology is a bad one."""
    world.settings.topology.unlink()
    world.look()

    assert world.state.reloads[ReloadSource.CONFIG].failed == 1
    assert world.switched == []


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"vhost": "elsewhere"}, "virtual host"),
        ({"services": {"clerk": {"consumes": ["order.placed", "order.{id}.changed"]}}}, "shop"),
    ],
)
def test_successor_that_needs_a_restart(world: WatchedFiles, changed: Document, why: str) -> None:
    """What open connections stand on, and the service itself, cannot change below them."""
    world.write(orders(**changed))
    world.look()

    assert world.state.reloads[ReloadSource.CONFIG].failed == 1
    assert why in world.state.reloads[ReloadSource.CONFIG].problem


def test_new_user_needs_a_restart(world: WatchedFiles) -> None:
    """The user of the service is who the open connections are logged in as."""
    document = orders()
    document["services"]["shop"]["user"] = "somebody"
    world.write(document)
    world.look()

    assert "restart" in world.state.reloads[ReloadSource.CONFIG].problem


def test_filters_that_cannot_be_made(world: WatchedFiles) -> None:
    """What the switch refuses was not switched to."""
    old, world.refuses = world.state.in_force, "no such filters"
    world.write(orders(limits={"message_size": "1KiB"}))
    world.look()

    assert world.state.in_force is old
    assert world.state.reloads[ReloadSource.CONFIG].problem == "no such filters"


def test_rotated_keys(world: WatchedFiles) -> None:
    """A rotation is in force after two looks; the old key still verifies."""
    old = world.state.in_force.keys
    kid = world.rotate()
    world.look()

    keys = world.state.in_force.keys
    assert keys is not None
    assert old is not None
    assert world.state.reloads[ReloadSource.KEYS].ok == 1
    current = keys.signing_key(time.time())
    assert current is not None
    assert current.kid == kid
    assert set(old.public) < set(keys.public)
    assert world.logged[-1][1] == "keys_reloaded"


@pytest.mark.parametrize("content", [b"garbage", b"{}", b'{"keys": [{}]}', b'{"keys": []}'])
def test_bad_keys_keep_the_old_ones(world: WatchedFiles, content: bytes) -> None:
    """A JWKS that turns into garbage changes nothing but the log and the count."""
    old = world.state.in_force
    (world.folder / "keys" / "public" / "jwks.json").write_bytes(content)
    world.look(3)

    assert world.state.in_force is old
    assert world.state.reloads[ReloadSource.KEYS].failed == 1
    assert world.state.reloads[ReloadSource.KEYS].problem


def test_private_key_that_others_can_read(world: WatchedFiles) -> None:
    """New permissions are a change, although the content is the same; put right, it is taken again."""
    key = world.folder / "keys" / "shop" / "signing.jwk"
    key.chmod(0o644)
    world.look()
    assert "others can read" in world.state.reloads[ReloadSource.KEYS].problem

    key.chmod(0o600)
    world.look()
    assert world.state.reloads[ReloadSource.KEYS].problem == ""


def test_no_key_in_log_or_problem(world: WatchedFiles) -> None:
    """Whatever is wrong with a private key, none of it is told."""
    key = world.folder / "keys" / "shop" / "signing.jwk"
    secret = key.read_text()
    key.write_text(secret.replace('"d"', '"D"'))
    world.look()

    private = secret.partition('"d"')[2].split('"')[1]
    assert private
    assert world.state.reloads[ReloadSource.KEYS].failed == 1
    assert private not in str(world.logged)


def test_kubernetes_volume_flips(tmp_path: Path) -> None:
    """A mounted volume is replaced by turning `..data`; no file that is named in the settings changes itself."""

    def revision(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "topology.yaml").write_text(text)
        turned = tmp_path / "..data_tmp"
        turned.symlink_to(name)
        turned.replace(tmp_path / "..data")

    revision("..2026_1", "first")
    file = tmp_path / "topology.yaml"
    file.symlink_to("..data/topology.yaml")
    fingerprint = Fingerprint(lambda: [file])
    first = fingerprint.at_start
    assert fingerprint.take() == first

    revision("..2026_2", "second")
    second = fingerprint.take()
    assert second != first

    revision("..2026_3", "second")
    assert fingerprint.take() == second, "the same content in a new revision is no change"


def test_change_within_one_tick_of_the_clock(tmp_path: Path) -> None:
    """A file that is overwritten in place, with the same size and the same times, is noticed while it is young."""
    file = tmp_path / "file"
    file.write_text("aaaa")
    fingerprint = Fingerprint(lambda: [file])
    status = file.stat()
    with file.open("r+") as stream:
        stream.write("bbbb")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert fingerprint.take() != fingerprint.at_start


@pytest.mark.parametrize("kind", ["pipe", "device", "open to others", "folder open to others"])
@pytest.mark.parametrize("which", ["jwks.json", "signing.jwk", "topology.yaml"])
def test_what_is_put_in_a_files_place(world: WatchedFiles, which: str, kind: str) -> None:
    """A pipe or a device holds nobody up, and what anybody could have written is not believed: the old one stays."""
    assert world.settings.keys is not None
    path = {
        "jwks.json": world.settings.keys / "public" / "jwks.json",
        "signing.jwk": world.settings.keys / "shop" / "signing.jwk",
        "topology.yaml": world.settings.topology,
    }[which]
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path, 0o600)
        case "device":
            path.symlink_to("/dev/zero")
        case "open to others":
            path.write_bytes(content + b"\n")
            path.chmod(0o666)
        case "folder open to others":
            path.touch(0o600)
            path.write_bytes(content + b"\n")
            path.parent.chmod(0o777)
    world.look(3)
    ((_, event, said),) = world.logged
    assert event == ("config_reload_failed" if which == "topology.yaml" else "keys_reload_failed")
    assert str(path.parent) in said["problem"] or path.name in said["problem"]
    assert ("others can" if "others" in kind else "is not a file") in said["problem"] or which == "topology.yaml"
    assert world.switched == []
