"""Finding RabbitMQ, and saying what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.node.enclosure import enclose
from letrade_topo.node.errors import NodeError, RabbitMQMissing
from letrade_topo.node.installation import Installation, find_installation
from tests.brokers import installation_of, is_of


def test_an_empty_root_folder(tmp_path: Path) -> None:
    """A root folder without RabbitMQ is named, with the script that makes one."""
    with pytest.raises(RabbitMQMissing) as caught:
        find_installation(tmp_path)

    assert str(tmp_path) in caught.value.what
    assert f"script/rabbitmq-root trixie {tmp_path}" in caught.value.fix


def test_the_package_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine has no RabbitMQ, the package to install is named."""
    monkeypatch.setattr("letrade_topo.node.installation._installed_version", lambda _base: None)

    with pytest.raises(RabbitMQMissing) as caught:
        find_installation()

    assert "apt-get install --no-install-recommends rabbitmq-server" in caught.value.fix


def test_the_version_is_read_without_starting_anything(broker_version: str) -> None:
    """The version of an installation is that of its package."""
    assert is_of(broker_version, installation_of(broker_version).version)


def test_a_folder_whose_name_rabbitmq_cannot_take(tmp_path: Path) -> None:
    """Letters beyond ASCII are refused before anything starts, but for a root folder, which hides them."""
    folder = tmp_path / "브로커"

    with pytest.raises(NodeError) as caught:
        enclose(Installation("3.10.8"), folder)

    assert str(folder) in caught.value.what
    assert str(enclose(Installation("4.0.5", tmp_path), folder).inside(folder)) == "/mnt"
