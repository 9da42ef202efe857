"""TLS from files: authorities, a certificate and its private key, read as all files that decide something.

OpenSSL takes names of files and reads whatever is there. So what was read and judged is given to it by a name that
nobody else has: a file in memory.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from letrade_topo.reading import Trust, read_file

LARGEST_BYTES: Final = 4 * 2**20
"""The authorities of a whole system take a quarter of a mebibyte."""


def load_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    """Trust the authorities in a PEM file.

    Raises:
        CannotRead: it cannot be read, or others can change it.
        ssl.SSLError: it holds no certificate in PEM form.
    """
    with _in_memory(ca_file, Trust.DECIDES) as name:
        context.load_verify_locations(name)


def trusting(ca_file: Path) -> ssl.SSLContext:
    """A context that verifies servers by the authorities in a PEM file, and by no others.

    Raises:
        CannotRead, ssl.SSLError: as of `load_authorities`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, ca_file)
    return context


def load_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Show a certificate.

    Args:
        context: that shows it.
        cert_file: a PEM file with it, and without `key_file` its private key.
        key_file: a PEM file with its private key.

    Raises:
        CannotRead: one cannot be read, others can change it, or others can read the private key.
        ssl.SSLError: they are not in PEM form, or do not belong together.
        ValueError: the private key has a passphrase.
    """
    with ExitStack() as stack:
        trust = Trust.SECRET if key_file is None else Trust.DECIDES
        certificate = stack.enter_context(_in_memory(cert_file, trust))
        key = None if key_file is None else stack.enter_context(_in_memory(key_file, Trust.SECRET))
        context.load_cert_chain(certificate, key, password=_no_passphrase)


def _no_passphrase() -> str:
    """A key that needs a passphrase is refused instead of asked for on a terminal."""
    raise ValueError("the private key has a passphrase")


@contextmanager
def _in_memory(path: Path, trust: Trust) -> Iterator[str]:
    """The name of a file in memory with what is in a file."""
    content = read_file(path, trust=trust, most=LARGEST_BYTES)
    descriptor = os.memfd_create("letrade-topo", os.MFD_CLOEXEC)
    try:
        with open(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
