"""When certificates end, also of those that cryptography does not read."""

from __future__ import annotations

import asyncio
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from letrade_agent.observe.certificates import CertificateFiles, end_of_der

from tests.agent.looking import threads_that_look

ENDS = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def certificate() -> bytes:
    """One that ends in 2030, in DER."""
    key = generate_private_key(SECP256R1())
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    return builder.not_valid_after(ENDS).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_end(certificate: bytes, tmp_path: Path) -> None:
    """As the certificate says it."""
    path = tmp_path / "cert.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(certificate))

    assert end_of_der(certificate) == CertificateFiles({"ca": path}, 5.0).ends["ca"] == ENDS.timestamp()


def test_files_are_looked_at_beside_the_event_loop(
    certificate: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was replaced is read, neither looked at nor read in the loop's thread."""
    path = tmp_path / "cert.pem"
    path.write_text("")
    files = CertificateFiles({"ca": path}, 5.0)
    assert files.ends == {}
    new = tmp_path / "new.pem"
    new.write_text(ssl.DER_cert_to_PEM_cert(certificate))
    new.replace(path)
    threads = threads_that_look(monkeypatch, tmp_path)

    asyncio.run(files.look())

    assert files.ends == {"ca": ENDS.timestamp()}
    assert threads["stat"]
    assert threads["open"]
    assert threading.get_ident() not in threads["stat"] | threads["open"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),  # version 6: an exception of cryptography's own
        (b"300101000000Z", b"309901000000Z"),  # month 99
        (b"\x30", b"\x31"),
    ],
)
def test_a_certificate_that_cannot_be_read(certificate: bytes, old: bytes, new: bytes, tmp_path: Path) -> None:
    """Nobody knows when it ends, and the page that asks is there all the same."""
    broken = certificate.replace(old, new, 1)
    path = tmp_path / "cert.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(broken))

    assert broken != certificate
    assert end_of_der(broken) is None
    assert CertificateFiles({"ca": path}, 5.0).ends == {}
