"""Services and users: who publishes, who consumes, and with which login."""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.model.messages import EnvelopeMode
from letrade_topo.model.routing import KeyTemplate
from letrade_topo.model.security import PasswordHash, SecretReference


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """RabbitMQ's per-user limits; None leaves one unlimited."""

    max_connections: int | None = None
    max_channels: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service; its user, permissions and topic permissions follow from what it publishes and consumes.

    Args:
        name: the issuer of its tokens, the common name of its certificate, the prefix of its run-time queues.
        publishes: names of message types.
        consumes: names of message types.
        patterns: subscription patterns beyond the types, for run-time queues.
        user: the broker user, by default the service's name.
        password: where its password is read; without it, and with client certificates, it has none.
        direct_reply_to: allow RabbitMQ's direct reply-to. It needs write permission on the default
            exchange, which reaches every queue of the vhost.
        envelope: of what it publishes, if it differs from the exchange's: `require` refuses a body that lacks a
            member, `complete` has the agent put in `message_id`, `timestamp` and `source`.
        limits: connection limits of the user.
        description: for people.
    """

    name: str
    publishes: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    patterns: tuple[KeyTemplate, ...] = ()
    user: str = ""
    password: SecretReference | None = None
    direct_reply_to: bool = False
    envelope: EnvelopeMode | None = None
    limits: ConnectionLimits = ConnectionLimits()
    description: str = ""


@dataclass(frozen=True, slots=True)
class TopicRule:
    """A topic permission as written: regular expressions on routing keys of one exchange."""

    exchange: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class DeclaredUser:
    """A broker user that is not a service: a person, a monitoring system.

    Args:
        name: the user name.
        tags: management tags, for example `monitoring`.
        password: where its password is read, or `unmanaged`: what it is on the broker is somebody else's business.
            Without it, it has none.
        password_hash: where the hash of its password is read, as the broker stores it, instead of the password; of an
            unmanaged one for the moment in which the user is made.
        is_password_unmanaged: its password is never read and never changed.
        configure: regular expression of resource names, empty for none.
        write: likewise.
        read: likewise.
        topic_permissions: rules for topic exchanges.
        limits: connection limits.
    """

    name: str
    tags: tuple[str, ...] = ()
    password: SecretReference | None = None
    password_hash: PasswordHash | None = None
    is_password_unmanaged: bool = False
    configure: str = ""
    write: str = ""
    read: str = ""
    topic_permissions: tuple[TopicRule, ...] = ()
    limits: ConnectionLimits = ConnectionLimits()
