"""The topology in force: what counts as a change, and what is kept when the new one is bad."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from letrade_topo.cli.topology_options import TopologyOptions
from letrade_topo.cli.watch import load
from letrade_topo.errors import TopoError
from letrade_topo.watch.source import TopologySource
from tests.topologies import Document, orders, write

ONE_MORE = orders(exchanges={"orders": {}, "more": {}})


class Mounted:
    """A volume as Kubernetes mounts it: `topology.yaml` leads through `..data` to a folder with a date."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.file = folder / "topology.yaml"
        self.put(orders())
        self.file.symlink_to("..data/topology.yaml")

    def put(self, document: Document | str) -> None:
        """Replace the whole volume at once."""
        self._count += 1
        new = self._folder / f"..2026_{self._count}"
        new.mkdir()
        if isinstance(document, str):
            (new / "topology.yaml").write_text(document, encoding="utf-8")
        else:
            write(new / "topology.yaml", document)
        link = self._folder / "..data_tmp"
        link.symlink_to(new.name)
        link.rename(self._folder / "..data")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    """A volume with a topology."""
    return Mounted(tmp_path)


def source_of(file: Path) -> TopologySource:
    """As the command makes it."""
    options = TopologyOptions(str(file))
    return TopologySource(lambda: load(options), [file])


def test_a_flip_of_the_volume_is_noticed(mounted: Mounted) -> None:
    """At the second look, once; the hash is another."""
    source = source_of(mounted.file)
    before = source.current.sha
    assert not source.look()

    mounted.put(ONE_MORE)

    assert [source.look() for _ in range(4)] == [False, True, False, False]
    assert source.current.sha != before
    assert source.problem == ""


def test_a_broken_file_keeps_the_old_one(mounted: Mounted) -> None:
    """The problem is known, with its place; the next good file clears it, also when it is the old one."""
    source = source_of(mounted.file)
    before = source.current

    mounted.put("topology: 1\nname: [")
    assert [source.look() for _ in range(3)] == [False, True, False]
    assert source.current is before
    assert "topology.yaml:2" in source.problem

    mounted.put(orders())
    assert [source.look() for _ in range(3)] == [False, True, False]
    assert source.problem == ""
    assert source.current.sha == before.sha


def test_a_file_that_is_gone_is_a_problem_too(mounted: Mounted) -> None:
    """As between two mounts."""
    source = source_of(mounted.file)

    mounted.file.unlink()

    assert [source.look(), source.look()] == [False, True]
    assert "no such file" in source.problem


@pytest.mark.parametrize("section", [{"name": "others"}, {"vhost": "others"}])
def test_another_topology_is_refused(mounted: Mounted, section: dict[str, str]) -> None:
    """Lock, labels and ownership are under the old name."""
    source = source_of(mounted.file)

    mounted.put(orders(**section))

    assert [source.look(), source.look()] == [False, True]
    assert "restart the controller" in source.problem


def test_a_password_file_counts(tmp_path: Path) -> None:
    """A new password is a change although the topology's text is the same."""
    secret = tmp_path / "password"
    secret.write_text("one", encoding="utf-8")
    secret.chmod(0o600)
    document = orders(security={"tls": {"client_certificates": False}})
    for service in document["services"].values():
        service["password"] = {"file": str(secret)}
    source = source_of(write(tmp_path / "topology.yaml", document))
    assert not any(source.look() for _ in range(4))

    secret.write_text("two", encoding="utf-8")
    os.utime(secret, (1, 1))

    assert [source.look() for _ in range(3)].count(True) == 1
    assert set(source.current.request.secrets.values()) == {"two"}


def test_a_bad_file_at_the_start(tmp_path: Path) -> None:
    """There is no old one to keep."""
    file = tmp_path / "topology.yaml"
    file.write_text("topology: 2", encoding="utf-8")

    with pytest.raises(TopoError):
        source_of(file)
