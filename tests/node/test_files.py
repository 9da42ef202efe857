"""A node's files and environment, as text."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

from letrade_topo.node.enclosure import Enclosure, enclose
from letrade_topo.node.files import (
    password_hash,
    render_configuration,
    render_definitions,
    render_enabled_plugins,
    render_environment,
)
from letrade_topo.node.installation import Installation
from letrade_topo.node.settings import TLS_ONLY, Listener, NodeSettings, Ports

FOLDER = Path("/srv/node")


def described(root: Path | None = None, **options: Any) -> tuple[NodeSettings, Ports, Enclosure]:
    """A node with known ports."""
    settings = NodeSettings(FOLDER, Installation("3.10.8", root), **options)
    ports = Ports(
        MappingProxyType({each: 1000 + i for i, each in enumerate(sorted(settings.listeners))}), 2001, 2002, 2003
    )
    return settings, ports, enclose(settings.installation, FOLDER)


def configuration(root: Path | None = None, **options: object) -> dict[str, str]:
    """The lines of rabbitmq.conf by their keys."""
    lines = render_configuration(*described(root, **options)).splitlines()
    by_key = dict(line.split(" = ", 1) for line in lines)
    assert len(by_key) == len(lines)
    return by_key


def test_tls_only_is_the_default() -> None:
    """AMQPS and HTTPS on loopback, both logins, and no plain listener."""
    lines = configuration()

    assert NodeSettings(FOLDER, Installation("4.0.5")).listeners == TLS_ONLY
    assert lines["listeners.tcp"] == "none"
    assert lines["listeners.ssl.1"] == "127.0.0.1:1000"
    assert (lines["management.ssl.ip"], lines["management.ssl.port"]) == ("127.0.0.1", "1001")
    assert not [key for key in lines if key.startswith("management.tcp")]
    assert (lines["auth_mechanisms.1"], lines["auth_mechanisms.2"]) == ("EXTERNAL", "PLAIN")
    assert lines["ssl_cert_login_from"] == "common_name"
    assert lines["ssl_options.verify"] == "verify_peer"
    assert lines["ssl_options.fail_if_no_peer_cert"] == "false"


def test_plain_listeners_on_request() -> None:
    """Plain AMQP and HTTP, with a path prefix and further lines; nothing of TLS."""
    lines = configuration(
        listeners=frozenset({Listener.AMQP, Listener.HTTP}),
        path_prefix="/rabbit",
        extra_configuration=("channel_max = 7",),
    )

    assert lines["listeners.tcp.1"] == "127.0.0.1:1000"
    assert (lines["management.tcp.ip"], lines["management.tcp.port"]) == ("127.0.0.1", "1001")
    assert lines["management.path_prefix"] == "/rabbit"
    assert lines["channel_max"] == "7"
    assert not [key for key in lines if "ssl" in key]


def test_paths_are_those_that_the_node_sees() -> None:
    """In a root folder the node's folder is /mnt; on this machine it is where it is."""
    here, inside = configuration(), configuration(Path("/root-folder"))

    assert here["ssl_options.certfile"] == "/srv/node/tls/server.pem"
    assert inside["ssl_options.certfile"] == "/mnt/tls/server.pem"
    assert inside["load_definitions"] == "/mnt/definitions.json"
    environment = render_environment(*described(Path("/root-folder")))
    assert not [value for value in environment.values() if "/srv" in value or "root-folder" in value]


def test_plugins_follow_the_listeners() -> None:
    """An Erlang term that ends with a dot; management only where it listens; no plugin twice."""
    assert render_enabled_plugins(described()[0]) == "[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n"
    only_amqp = described(listeners=frozenset({Listener.AMQP}))[0]
    assert render_enabled_plugins(only_amqp) == "[].\n"
    more = described(plugins=("rabbitmq_prometheus", "rabbitmq_management"))[0]
    assert render_enabled_plugins(more) == "[rabbitmq_management,rabbitmq_auth_mechanism_ssl,rabbitmq_prometheus].\n"


def test_the_password_is_only_a_hash() -> None:
    """Definitions hold the administrator's salted hash, as RabbitMQ computes it, and one vhost."""
    text = render_definitions("s3cret", b"salt")

    assert "s3cret" not in text
    (user,) = json.loads(text)["users"]
    raw = base64.b64decode(user["password_hash"])
    assert raw == b"salt" + hashlib.sha256(b"salts3cret").digest()
    assert json.loads(text)["vhosts"] == [{"name": "/"}]


def test_the_hash_of_rabbitmqs_documentation() -> None:
    """The worked example of rabbitmq.com/docs/passwords."""
    expected = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"

    assert password_hash("test12", bytes.fromhex("908DC60A")) == expected


def test_the_environment_is_closed() -> None:
    """Nothing of this machine's RabbitMQ is read or written: every path is the node's own."""
    environment = render_environment(*described())

    assert environment["HOME"] == "/srv/node/home"
    assert environment["RABBITMQ_CONF_ENV_FILE"] == "/srv/node/none"
    assert environment["ERL_CRASH_DUMP"].startswith("/srv/node/")
    assert environment["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "{127,0,0,1}" in environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert "{127,0,0,1}" in environment["RABBITMQ_CTL_ERL_ARGS"]
    others = {
        name: value
        for name, value in environment.items()
        if value.startswith("/") and not value.startswith("/srv/node/") and name != "PATH"
    }
    assert others == {}
