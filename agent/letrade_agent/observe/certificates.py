"""When certificates end: those in files and the broker's own. A file is read again when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from letrade_topo.reading import CannotRead, Trust, read_file
from letrade_topo.tls_files import LARGEST_BYTES

_UNREADABLE: Final = (ValueError, x509.InvalidVersion, UnsupportedAlgorithm)
"""What cryptography raises for a certificate, by its version and by what is wrong with it."""


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
                certificates = x509.load_pem_x509_certificates(
                    read_file(self._path, trust=Trust.SHOWN, most=LARGEST_BYTES)
                )
                self._ends = min((end_of(certificate) for certificate in certificates), default=None)
                self._stamp = stamp
        except (OSError, CannotRead, *_UNREADABLE):
            return None
        return self._ends


def end_of_der(certificate: bytes | None) -> float | None:
    """When a certificate in DER ends; None for none, and for what is no certificate."""
    try:
        return None if certificate is None else end_of(x509.load_der_x509_certificate(certificate))
    except _UNREADABLE:
        return None


def end_of(certificate: x509.Certificate) -> float:
    """Seconds since the epoch."""
    return certificate.not_valid_after_utc.timestamp()
