"""A node's files and its environment, as functions of its description.

Every path in them is one that the node sees: the enclosure translates. No secret is in any of them
but the hash of the administrator's password.
"""

from __future__ import annotations

import base64
import hashlib
import json

from letrade_topo.node.enclosure import Enclosure
from letrade_topo.node.settings import (
    ADMINISTRATOR,
    LOOPBACK,
    Listener,
    NodeFolder,
    NodeSettings,
    Ports,
)

# Loopback only; without it the distribution listens on all interfaces.
_DISTRIBUTION = f"-kernel inet_dist_use_interface {{{LOOPBACK.replace('.', ',')}}}"
# Idle schedulers spin for a while by default, which starves a small machine with several nodes.
_NO_BUSY_WAIT = "+sbwt none +sbwtdcpu none +sbwtdio none"
# rabbitmqctl asks one thing and ends: with a scheduler for each processor it needs a quarter more time for it.
_ONE_SCHEDULER = "+S 1:1"
# As many ports for rabbitmqctl as its own default range has: that many may run at once.
_CLI_PORTS = 11


def render_configuration(settings: NodeSettings, ports: Ports, enclosure: Enclosure) -> str:
    """rabbitmq.conf."""
    folder = NodeFolder(settings.folder)
    lines = [
        *_amqp_lines(ports, folder, enclosure),
        *_management_lines(settings, ports, folder, enclosure),
        f"load_definitions = {enclosure.inside(folder.definitions)}",
        # Else each line of the log is on the standard output as well.
        "log.console = false",
        "log.file.level = info",
        # A disk with less than the default free would stop all publishers of a throw-away broker.
        "disk_free_limit.absolute = 50MB",
        *settings.extra_configuration,
    ]
    return "\n".join(lines) + "\n"


def _amqp_lines(ports: Ports, folder: NodeFolder, enclosure: Enclosure) -> list[str]:
    lines = []
    plain = ports.listeners.get(Listener.AMQP)
    lines.append(f"listeners.tcp.1 = {LOOPBACK}:{plain}" if plain else "listeners.tcp = none")
    if tls := ports.listeners.get(Listener.AMQPS):
        lines += [
            f"listeners.ssl.1 = {LOOPBACK}:{tls}",
            *_tls_lines("ssl_options", folder, enclosure),
            # Both logins work: by certificate (EXTERNAL) and, without one, by password (PLAIN).
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = EXTERNAL",
            "auth_mechanisms.2 = PLAIN",
        ]
    else:
        lines.append("auth_mechanisms.1 = PLAIN")
    return lines


def _management_lines(settings: NodeSettings, ports: Ports, folder: NodeFolder, enclosure: Enclosure) -> list[str]:
    lines = []
    if plain := ports.listeners.get(Listener.HTTP):
        lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {plain}"]
    if tls := ports.listeners.get(Listener.HTTPS):
        lines += [
            f"management.ssl.ip = {LOOPBACK}",
            f"management.ssl.port = {tls}",
            *_tls_lines("management.ssl", folder, enclosure),
        ]
    if settings.path_prefix:
        lines.append(f"management.path_prefix = {settings.path_prefix}")
    return lines


def _tls_lines(prefix: str, folder: NodeFolder, enclosure: Enclosure) -> list[str]:
    return [
        f"{prefix}.cacertfile = {enclosure.inside(folder.tls / 'ca.pem')}",
        f"{prefix}.certfile = {enclosure.inside(folder.tls / 'server.pem')}",
        f"{prefix}.keyfile = {enclosure.inside(folder.tls / 'server.key')}",
    ]


def render_enabled_plugins(settings: NodeSettings) -> str:
    """The plugins, an Erlang term: without the dot at its end the node dies late in its start."""
    plugins = ["rabbitmq_management"] if settings.has_management else []
    if Listener.AMQPS in settings.listeners:
        plugins.append("rabbitmq_auth_mechanism_ssl")
    return f"[{','.join(dict.fromkeys((*plugins, *settings.plugins)))}].\n"


def render_definitions(password: str, salt: bytes) -> str:
    """The administrator and the vhost `/`, loaded at each start.

    With definitions to load, RabbitMQ makes neither its default vhost nor the user guest.

    Args:
        password: the administrator's; only its salted hash is in the result.
        salt: four random bytes.
    """
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    definitions = {
        "users": [
            {
                "name": ADMINISTRATOR,
                "password_hash": password_hash(password, salt),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"],
            }
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": ADMINISTRATOR, "vhost": "/", **everything}],
    }
    return json.dumps(definitions, indent=2) + "\n"


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's salted SHA-256 (https://www.rabbitmq.com/docs/passwords#computing-password-hash)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def render_environment(settings: NodeSettings, ports: Ports, enclosure: Enclosure) -> dict[str, str]:
    """The whole environment of the node and of rabbitmqctl: nothing else gets through."""
    folder = NodeFolder(settings.folder)

    def inside(name: str) -> str:
        return str(enclosure.inside(folder.path / name))

    config, schema = folder.generated
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(enclosure.inside(folder.home)),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(ports.epmd),
        # Their default is the working folder.
        "ERL_CRASH_DUMP": str(enclosure.inside(folder.log / "erl_crash.dump")),
        "RABBITMQ_NODENAME": f"{settings.name}@localhost",
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        # These two point at nothing, else the ones in /etc/rabbitmq are read.
        "RABBITMQ_CONF_ENV_FILE": inside("none"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": inside("none.config"),
        "RABBITMQ_CONFIG_FILE": str(enclosure.inside(folder.configuration)),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(enclosure.inside(folder.enabled_plugins)),
        "RABBITMQ_MNESIA_BASE": str(enclosure.inside(folder.data)),
        "RABBITMQ_LOG_BASE": str(enclosure.inside(folder.log)),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(enclosure.inside(config)),
        "RABBITMQ_SCHEMA_DIR": str(enclosure.inside(schema)),
        "RABBITMQ_PID_FILE": inside("pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_DISTRIBUTION} {_NO_BUSY_WAIT}",
        "RABBITMQ_CTL_ERL_ARGS": f"{_DISTRIBUTION} {_NO_BUSY_WAIT} {_ONE_SCHEDULER}",
        "RABBITMQ_CTL_DIST_PORT_MIN": str(ports.cli),
        "RABBITMQ_CTL_DIST_PORT_MAX": str(ports.cli + _CLI_PORTS - 1),
    }
