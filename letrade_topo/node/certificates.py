"""Throw-away certificates: an authority, a server on loopback, clients named after services.

Everything lies as PEM in one folder; keys are readable by their owner only. What is there and still
good is used again, so that a further client joins the same authority later. The clock is passed in.
P-256 throughout: Ed25519 keys fail over TLS 1.2 with Erlang 25 (RabbitMQ 3.10).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from letrade_topo.node.errors import NodeError

VALIDITY = datetime.timedelta(days=30)
# A certificate that ends within a day is due: a node started now shall last for a working day.
RENEWAL = datetime.timedelta(days=1)
# Clocks of containers and virtual machines differ by seconds, sometimes minutes.
_BACKDATED = datetime.timedelta(minutes=5)
# At most 64 characters: the upper bound of a common name (X.520). It becomes a file name as well.
_CLIENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

_SERVER_NAMES = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    def exists(self) -> bool:
        """Whether both files are there."""
        return self.certificate.exists() and self.key.exists()


class CertificateFolder:
    """A folder with an authority and the certificates that it signed.

    Args:
        folder: is made, for its owner only, when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Credential(folder / "ca.pem", folder / "ca.key")
        self.server = Credential(folder / "server.pem", folder / "server.key")

    @property
    def ca_file(self) -> Path:
        """The authority's certificate: what a client must trust."""
        return self.authority.certificate

    def client(self, name: str) -> Credential:
        """Where the certificate of the client `name` lies; `ensure` makes it.

        Raises:
            NodeError: the name cannot be a common name of a certificate.
        """
        if not _CLIENT_NAME.fullmatch(name):
            raise NodeError(
                f"no client certificate can be made for the name {name!r}",
                why="it becomes the common name of the certificate and a file name",
                fix="use 1 to 64 letters, digits, '_', '-' and '.', not beginning with '.' or '-'",
            )
        return Credential(self.folder / "clients" / f"{name}.pem", self.folder / "clients" / f"{name}.key")

    def is_due(self, now: datetime.datetime) -> bool:
        """Whether the authority or the server's certificate is missing or soon no longer valid."""
        return not all(_is_good(c, now) for c in (self.authority, self.server))

    def ensure(self, clients: Sequence[str], *, now: datetime.datetime) -> None:
        """Make what is missing, not valid for another day, or signed by an authority that is gone.

        Args:
            clients: names of clients that shall have a certificate, besides those made before.
            now: the current time, with its time zone.
        """
        wanted = {name: self.client(name) for name in (*clients, *self._known_clients())}
        # One by one: the mode holds for the last folder only.
        for folder in (self.folder, self.folder / "clients"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_good(self.authority, now):
            _make_authority(self.authority, now)
        authority = _load_certificate(self.authority)
        if not _is_good(self.server, now, authority):
            self._sign(self.server, "localhost", ExtendedKeyUsageOID.SERVER_AUTH, now, _SERVER_NAMES)
        for name, credential in wanted.items():
            if not _is_good(credential, now, authority):
                self._sign(credential, name, ExtendedKeyUsageOID.CLIENT_AUTH, now)

    def _known_clients(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "clients").glob("*.pem"))

    def _sign(
        self,
        credential: Credential,
        common_name: str,
        usage: x509.ObjectIdentifier,
        now: datetime.datetime,
        names: Sequence[x509.GeneralName] = (),
    ) -> None:
        authority = _load_certificate(self.authority)
        authority_key = _load_key(self.authority)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(common_name, authority.subject, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _write(credential, key, builder.sign(authority_key, hashes.SHA256()))


def _make_authority(credential: Credential, now: datetime.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "letrade-topo private broker"
    certificate = (
        _builder(name, _name(name), key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(credential, key, certificate)


def _builder(
    common_name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(credential: Credential, now: datetime.datetime, authority: x509.Certificate | None = None) -> bool:
    """Whether it is there, valid for another day, its key fits, and this authority signed it."""
    if not credential.exists():
        return False
    try:
        certificate = _load_certificate(credential)
        key_fits = _load_key(credential).public_key() == certificate.public_key()
    except ValueError:  # cut off or overwritten: as good as missing
        return False
    if not key_fits or not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWAL:
        return False
    return authority is None or _is_signed_by(certificate, authority)


def _is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    # By key, not by name: a renewed authority has the same name and another key.
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return issuer.key_identifier == subject.digest


def _load_certificate(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate.read_bytes())


def _load_key(credential: Credential) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(credential.key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a P-256 key")
    return key


def _write(credential: Credential, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    # The key first: a certificate without its key is remade, as _is_good sees that they do not fit.
    write_private(
        credential.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    credential.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, at no moment otherwise; an old one is replaced."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
