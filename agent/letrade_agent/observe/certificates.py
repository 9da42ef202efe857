"""When certificates end: those in files and the broker's own. A file is read again when it has changed."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509


class CertificateFile:
    """One PEM file of certificates.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._ends: float | None = None

    @property
    def ends(self) -> float | None:
        """When the first of them ends, in seconds since the epoch; None: it cannot be read."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
            if stamp != self._stamp:
                certificates = x509.load_pem_x509_certificates(self._path.read_bytes())
                self._ends = min((end_of(certificate) for certificate in certificates), default=None)
                self._stamp = stamp
        except (OSError, ValueError):
            return None
        return self._ends


def end_of_der(certificate: bytes | None) -> float | None:
    """When a certificate in DER ends; None for none, and for what is no certificate."""
    try:
        return None if certificate is None else end_of(x509.load_der_x509_certificate(certificate))
    except ValueError:
        return None


def end_of(certificate: x509.Certificate) -> float:
    """Seconds since the epoch."""
    return certificate.not_valid_after_utc.timestamp()
