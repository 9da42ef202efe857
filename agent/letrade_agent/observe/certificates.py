"""When certificates end: those in files and the broker's own. A file is read again when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from letrade_topo.reading import CannotRead, Trust, read_file
from letrade_topo.tls_files import LARGEST_BYTES

_UNREADABLE: Final = (ValueError, x509.InvalidVersion, UnsupportedAlgorithm)
"""What cryptography raises for a certificate, by its version and by what is wrong with it."""


class CertificateFiles:
    """PEM files of certificates. They are looked at beside the event loop: a disk that hangs holds up no message.

    Args:
        paths: by what they are for.
        look_seconds: between two looks.

    Attributes:
        ends: when the first certificate in each ends, in seconds since the epoch; without those that cannot be read.
    """

    def __init__(self, paths: Mapping[str, Path], look_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._files = {role: _CertificateFile(path) for role, path in paths.items()}
        self.ends: Mapping[str, float] = self._look()

    async def keep_looking(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.look()

    async def look(self) -> None:
        """Once; a file is read again when it has changed."""
        self.ends = await asyncio.to_thread(self._look)

    def _look(self) -> dict[str, float]:
        found = {role: file.end() for role, file in self._files.items()}
        return {role: end for role, end in found.items() if end is not None}


class _CertificateFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._end: float | None = None

    def end(self) -> float | None:
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns)
            if stamp != self._stamp:
                certificates = x509.load_pem_x509_certificates(
                    read_file(self._path, trust=Trust.SHOWN, most=LARGEST_BYTES)
                )
                self._end = min((end_of(certificate) for certificate in certificates), default=None)
                self._stamp = stamp
        except (OSError, CannotRead, *_UNREADABLE):
            return None
        return self._end


def end_of_der(certificate: bytes | None) -> float | None:
    """When a certificate in DER ends; None for none, and for what is no certificate."""
    try:
        return None if certificate is None else end_of(x509.load_der_x509_certificate(certificate))
    except _UNREADABLE:
        return None


def end_of(certificate: x509.Certificate) -> float:
    """Seconds since the epoch."""
    return certificate.not_valid_after_utc.timestamp()
