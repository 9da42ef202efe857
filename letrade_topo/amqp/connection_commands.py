"""Commands of the class connection: handshake, tuning, close, and what the broker says on channel 0."""

from __future__ import annotations

from dataclasses import dataclass, field

from .command import Command
from .header_table import HeaderTable
from .methods import BY_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Command):
    """The server's greeting: versions, properties, what logins it takes."""

    method = BY_NAME["connection.start"]
    version_major: int = 0
    version_minor: int = 9
    server_properties: HeaderTable
    mechanisms: bytes
    locales: bytes = b"en_US"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOk(Command):
    """The client's properties and its login. Never to be printed: `response` holds the password."""

    method = BY_NAME["connection.start-ok"]
    client_properties: HeaderTable
    mechanism: bytes
    response: bytes = field(repr=False)
    locale: bytes = b"en_US"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secure(Command):
    """A further question of the login."""

    method = BY_NAME["connection.secure"]
    challenge: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureOk(Command):
    """The answer to it."""

    method = BY_NAME["connection.secure-ok"]
    response: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tune(Command):
    """The limits the server offers; heartbeat in seconds."""

    method = BY_NAME["connection.tune"]
    channel_max: int
    frame_max: int
    heartbeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOk(Command):
    """The limits the client settles on; heartbeat in seconds."""

    method = BY_NAME["connection.tune-ok"]
    channel_max: int
    frame_max: int
    heartbeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Command):
    """The client chooses its virtual host."""

    method = BY_NAME["connection.open"]
    virtual_host: bytes
    capabilities: bytes = b""
    insist: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOk(Command):
    """The connection is open."""

    method = BY_NAME["connection.open-ok"]
    known_hosts: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClose(Command):
    """One side ends the connection and says why."""

    method = BY_NAME["connection.close"]
    reply_code: int
    reply_text: bytes
    class_id: int = 0
    method_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCloseOk(Command):
    """The answer to it, the last frame of a connection."""

    method = BY_NAME["connection.close-ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked(Command):
    """The broker takes no publishes for a while."""

    method = BY_NAME["connection.blocked"]
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblocked(Command):
    """It takes them again."""

    method = BY_NAME["connection.unblocked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSecret(Command):
    """The client renews its password or token."""

    method = BY_NAME["connection.update-secret"]
    new_secret: bytes = field(repr=False)
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSecretOk(Command):
    """The answer to it."""

    method = BY_NAME["connection.update-secret-ok"]


CONNECTION_COMMANDS: tuple[type[Command], ...] = (
    Start,
    StartOk,
    Secure,
    SecureOk,
    Tune,
    TuneOk,
    Open,
    OpenOk,
    ConnectionClose,
    ConnectionCloseOk,
    Blocked,
    Unblocked,
    UpdateSecret,
    UpdateSecretOk,
)
