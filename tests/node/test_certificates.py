"""Throw-away certificates, checked by OpenSSL's own handshake."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from letrade_topo.node.certificates import RENEWAL, VALIDITY, CertificateFolder, Credential
from letrade_topo.node.errors import NodeError

NOW = datetime.datetime.now(datetime.UTC)


def handshake(folder: CertificateFolder, client: Credential, server_name: str) -> str:
    """Shake hands in memory, both sides verifying strictly; the client's common name as the server sees it."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder.server.certificate, folder.server.key)
    server_context.load_verify_locations(folder.ca_file)
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cafile=str(folder.ca_file))
    client_context.load_cert_chain(client.certificate, client.key)
    for context in (server_context, client_context):
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python's default from 3.13 on
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    other = client_context.wrap_bio(to_client, to_server, server_hostname=server_name)
    waiting = [other, server]
    for _ in range(10):
        for each in list(waiting):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(each)
    assert not waiting
    der = server.getpeercert(binary_form=True)
    assert der is not None
    (name,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    """An authority with one client."""
    folder = CertificateFolder(tmp_path / "tls")
    folder.ensure(["core_engine"], now=NOW)
    return folder


@pytest.mark.parametrize("server_name", ["localhost", "127.0.0.1", "::1"])
def test_server_and_client_verify_each_other(folder: CertificateFolder, server_name: str) -> None:
    """The server is good for every name of loopback, and a client is called by its service."""
    assert handshake(folder, folder.client("core_engine"), server_name) == "core_engine"


def test_another_name_is_refused(folder: CertificateFolder) -> None:
    """The server's certificate is good for no other host."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, folder.client("core_engine"), "rabbitmq.example")


def test_a_server_is_no_client(folder: CertificateFolder) -> None:
    """The server's certificate does not log in."""
    with pytest.raises(ssl.SSLError):
        handshake(folder, folder.server, "localhost")


def test_another_authoritys_client_is_refused(folder: CertificateFolder, tmp_path: Path) -> None:
    """A client of another folder does not log in here."""
    other = CertificateFolder(tmp_path / "other")
    other.ensure(["core_engine"], now=NOW)

    with pytest.raises(ssl.SSLError):
        handshake(folder, other.client("core_engine"), "localhost")


def test_keys_are_private(folder: CertificateFolder) -> None:
    """Only their owner may read keys, and enter the folder."""
    keys = list(folder.folder.rglob("*.key"))

    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700


def test_a_further_client_joins_the_same_authority(folder: CertificateFolder) -> None:
    """What was made before stays as it is when a client is added later."""
    before = {path: path.read_bytes() for path in folder.folder.rglob("*") if path.is_file()}

    folder.ensure(["strategy"], now=NOW)

    assert {path: path.read_bytes() for path in before} == before
    assert handshake(folder, folder.client("strategy"), "localhost") == "strategy"


def test_validity_is_short_and_begins_in_the_past(folder: CertificateFolder) -> None:
    """Thirty days, from five minutes ago: another machine's clock may be behind."""
    certificate = x509.load_pem_x509_certificate(folder.server.certificate.read_bytes())

    assert certificate.not_valid_before_utc == (NOW - datetime.timedelta(minutes=5)).replace(microsecond=0)
    assert certificate.not_valid_after_utc == (NOW + VALIDITY).replace(microsecond=0)


def test_everything_is_renewed_when_the_authority_ends(folder: CertificateFolder) -> None:
    """A day before the end all is due; then authority, server and known clients are made anew."""
    later = NOW + VALIDITY - RENEWAL + datetime.timedelta(minutes=1)
    before = {path: path.read_bytes() for path in folder.folder.rglob("*") if path.is_file()}
    assert not folder.is_due(NOW)
    assert folder.is_due(later)

    folder.ensure([], now=later)

    assert all(path.read_bytes() != content for path, content in before.items())
    assert not folder.is_due(later)


@pytest.mark.parametrize("damage", [b"", b"not PEM", None])
def test_what_is_damaged_is_made_anew(folder: CertificateFolder, damage: bytes | None) -> None:
    """A client's certificate that is cut off, overwritten, or lost is replaced."""
    client = folder.client("core_engine")
    if damage is None:
        client.key.unlink()
    else:
        client.certificate.write_bytes(damage)

    folder.ensure([], now=NOW)

    assert handshake(folder, client, "localhost") == "core_engine"


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "-dash", "x" * 65, "naïve", "a b"])
def test_a_name_that_cannot_be_a_common_name(folder: CertificateFolder, name: str) -> None:
    """Names that are no common name or no plain file name are refused, and nothing is written."""
    before = sorted(folder.folder.rglob("*"))

    with pytest.raises(NodeError) as caught:
        folder.ensure([name], now=NOW)

    assert repr(name) in caught.value.what
    assert sorted(folder.folder.rglob("*")) == before
