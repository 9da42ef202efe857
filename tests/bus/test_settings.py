"""Where a bus finds what it needs, without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.bus.errors import ConfigurationError
from letrade_topo.bus.settings import DEFAULT_ADMIN, DEFAULT_URL, read_settings
from tests.topologies import SHIPPED


def test_everything_from_the_environment(tmp_path: Path) -> None:
    """Arguments come first."""
    environment = {
        "LETRADE_SERVICE": "strategy",
        "LETRADE_TOPOLOGY": "/etc/letrade/topology.yaml",
        "LETRADE_URL": "amqp://127.0.0.1:5673",
        "LETRADE_ADMIN": "127.0.0.1:9465",
        "LETRADE_TOPO_VAR_ENVIRONMENT": "production",
    }
    settings = read_settings(environment, tmp_path)
    assert (settings.service, settings.topology) == ("strategy", Path("/etc/letrade/topology.yaml"))
    assert (settings.url, settings.admin) == ("amqp://127.0.0.1:5673", "127.0.0.1:9465")
    assert settings.variables == {"ENVIRONMENT": "production"}
    assert read_settings(environment, tmp_path, service="core_engine").service == "core_engine"


def test_the_nearest_topology_and_the_defaults(tmp_path: Path) -> None:
    """topology.yaml here or above."""
    (tmp_path / "topology.yaml").write_bytes(SHIPPED.read_bytes())
    (tmp_path / "a" / "b").mkdir(parents=True)
    settings = read_settings({"LETRADE_SERVICE": "strategy"}, tmp_path / "a" / "b")
    assert settings.topology == tmp_path / "topology.yaml"
    assert (settings.url, settings.admin) == (DEFAULT_URL, DEFAULT_ADMIN)
    topology, service = settings.load()
    assert (topology.name, service.name) == ("letrade", "strategy")


def test_variables_and_overlays_change_the_topology(tmp_path: Path) -> None:
    """As for the other two programs."""
    overlay = tmp_path / "production.yaml"
    overlay.write_text("vhost: other\n")
    environment = {
        "LETRADE_SERVICE": "strategy",
        "LETRADE_TOPOLOGY": str(SHIPPED),
        "LETRADE_TOPO_VAR_ENVIRONMENT": "production",
        "LETRADE_TOPO_OVERLAY": str(overlay),
    }
    topology, _ = read_settings(environment, tmp_path).load()
    assert (topology.environment, topology.vhost) == ("production", "other")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "LETRADE_SERVICE"),
        ({"LETRADE_SERVICE": "strategy"}, "LETRADE_TOPOLOGY"),
        ({"LETRADE_SERVICE": "s", "LETRADE_TOPOLOGY": "t", "LETRADE_URL": "http://127.0.0.1"}, "amqp://HOST:PORT"),
        ({"LETRADE_SERVICE": "s", "LETRADE_TOPOLOGY": "t", "LETRADE_URL": "amqp://u:secret@h:x"}, "amqp://HOST:PORT"),
    ],
)
def test_what_is_missing_or_wrong_says_what_to_set(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    """Without a secret in the text."""
    with pytest.raises(ConfigurationError) as raised:
        read_settings(environment, tmp_path)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_unknown_service_names_the_nearest(tmp_path: Path) -> None:
    """Of the topology's."""
    settings = read_settings({"LETRADE_SERVICE": "stratgy", "LETRADE_TOPOLOGY": str(SHIPPED)}, tmp_path)
    with pytest.raises(ConfigurationError, match="did you mean 'strategy'"):
        settings.load()


def test_the_vhost_is_the_topologys_unless_the_url_names_one(tmp_path: Path) -> None:
    """And a password in the URL is in no text."""
    settings = read_settings(
        {"LETRADE_SERVICE": "s", "LETRADE_TOPOLOGY": "t", "LETRADE_URL": "amqp://user:secret@127.0.0.1:5672"}, tmp_path
    )
    assert settings.url_of("a/b") == "amqp://user:secret@127.0.0.1:5672/a%2Fb"
    assert settings.vhost_of("a/b") == "a/b"
    assert settings.address == "amqp://127.0.0.1:5672"
    assert "secret" not in repr(settings)
