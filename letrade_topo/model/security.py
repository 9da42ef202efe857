"""Where secrets come from, and what the topology demands of TLS and of message tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from letrade_topo.model.units import Duration


class SecretSource(StrEnum):
    """Where a secret is read at run time; the topology never holds the secret itself."""

    ENVIRONMENT = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """The name of an environment variable, or the path of a file, that holds a secret."""

    source: SecretSource
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"


class HashingAlgorithm(StrEnum):
    """How RabbitMQ hashes passwords; its default is SHA-256."""

    SHA256 = "sha256"
    SHA512 = "sha512"
    MD5 = "md5"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """Where the hash of a password is read, as a broker exports it.

    Args:
        reference: leads to `rabbit_password_hashing_sha256:BASE64`, or to the base64 alone.
        algorithm: of a hash that stands alone.
    """

    reference: SecretReference
    algorithm: HashingAlgorithm = HashingAlgorithm.SHA256


class TlsVersion(StrEnum):
    """The protocol versions that may be demanded as the lowest."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What connections to the broker must be.

    Args:
        required: plain-text listeners on the broker are drift, plain-text upstreams are refused.
        minimum_version: the lowest TLS version that is accepted.
        client_certificates: services log in with a client certificate (SASL EXTERNAL, common name =
            user name); a service without a password reference then has no password at all.
    """

    required: bool = True
    minimum_version: TlsVersion = TlsVersion.TLS_1_2
    client_certificates: bool = False


class JwtAlgorithm(StrEnum):
    """Signature algorithms of message tokens (RFC 7518, RFC 8037)."""

    ES256 = "ES256"
    EDDSA = "EdDSA"


class Enforcement(StrEnum):
    """What becomes of a message that fails a check."""

    ENFORCE = "enforce"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class JwtPolicy:
    """How messages are signed and verified.

    Args:
        algorithm: the signature algorithm of new keys.
        leeway: the clock difference that is tolerated.
        mode: for every exchange that does not say otherwise.
        outage_tolerance: how late a retry may come where nobody consumed its queue meanwhile.
        movers: owners of keys who may move the messages of a queue that is migrated; `keys init` makes a key for each.
    """

    algorithm: JwtAlgorithm = JwtAlgorithm.ES256
    leeway: Duration = Duration(5_000)
    mode: Enforcement = Enforcement.ENFORCE
    outage_tolerance: Duration = Duration(7 * 86_400_000)
    movers: tuple[str, ...] = ("move",)


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """TLS and message tokens together."""

    tls: TlsPolicy = TlsPolicy()
    jwt: JwtPolicy = JwtPolicy()
