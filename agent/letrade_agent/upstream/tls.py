"""TLS towards the broker: 1.2 or newer, verified, with the host name; certificates are read again when they change."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from letrade_agent.log import Log
from letrade_topo.reading import CannotRead
from letrade_topo.tls_files import load_certificate, trusting


class TlsContexts:
    """The context for the next connection. A rotated certificate is used from the next connection on.

    Args:
        ca_file: authorities of the broker; None: the system's.
        cert_file, key_file: client certificate, both or none.
        log: told when changed files cannot be used; the former ones stay.
    """

    def __init__(self, ca_file: Path | None, cert_file: Path | None, key_file: Path | None, log: Log) -> None:
        self._ca_file, self._cert_file, self._key_file = ca_file, cert_file, key_file
        self._log = log
        self._context: ssl.SSLContext | None = None
        self._read: tuple[tuple[int, int] | None, ...] = ()

    async def get(self) -> ssl.SSLContext:
        """The context. Files are looked at, and read when they have changed, in a thread.

        Raises:
            CannotRead, OSError (with ssl.SSLError), ValueError: files cannot be read or used, and there are no former
                ones.
        """
        found = await asyncio.to_thread(self._stamps)
        if self._context is None or found != self._read:
            try:
                self._context = await asyncio.to_thread(self._make)
            except (CannotRead, OSError, ValueError) as error:
                if self._context is None:
                    raise
                particulars = {"problem": str(error), "kept": "the certificates read before"}
                self._log("error", "certificates_unusable", particulars)
            self._read = found
        return self._context

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in (self._ca_file, self._cert_file, self._key_file))

    def _make(self) -> ssl.SSLContext:
        context = ssl.create_default_context() if self._ca_file is None else trusting(self._ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._cert_file is not None:
            load_certificate(context, self._cert_file, self._key_file)
        return context


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes with a file's content or permissions: a Kubernetes volume puts another file in place."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_ctime_ns)
