"""Certificates of the upstream leg: what is done when the files change."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from letrade_agent.upstream.tls import TlsContexts

from letrade_topo.node.certificates import CertificateFolder, Credential
from tests.agent.looking import threads_that_look
from tests.agent.proxy.world import LogLines


@pytest.fixture
def credential(tmp_path: Path) -> Credential:
    """A client certificate of a private authority."""
    folder = CertificateFolder(tmp_path)
    folder.ensure(("shop",), now=datetime.datetime.now(datetime.UTC))
    return folder.client("shop")


def give_passphrase(key_file: Path) -> None:
    """The same key, encrypted."""
    key = load_pem_private_key(key_file.read_bytes(), None)
    new = key_file.with_suffix(".new")
    new.touch(0o600)
    new.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    new.replace(key_file)


def test_rotated_key_with_a_passphrase(credential: Credential) -> None:
    """Nobody is asked for it: the former key stays in use, and the log says why, once."""
    log = LogLines()
    contexts = TlsContexts(None, credential.certificate, credential.key, log)

    async def use() -> None:
        former = await contexts.get()
        give_passphrase(credential.key)

        assert await contexts.get() is former
        assert await contexts.get() is former

    asyncio.run(use())
    assert log.of("certificates_unusable") == [
        {"problem": "the private key has a passphrase", "kept": "the certificates read before"}
    ]


def test_files_are_looked_at_beside_the_event_loop(credential: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs holds up no message."""
    contexts = TlsContexts(None, credential.certificate, credential.key, LogLines())
    threads = threads_that_look(monkeypatch, credential.certificate.parent)

    asyncio.run(contexts.get())

    assert threads["stat"]
    assert threads["open"]
    assert threading.get_ident() not in threads["stat"] | threads["open"]


def test_first_key_with_a_passphrase(credential: Credential) -> None:
    """There is nothing to go on with."""
    give_passphrase(credential.key)

    with pytest.raises((ValueError, ssl.SSLError), match="passphrase"):
        asyncio.run(TlsContexts(None, credential.certificate, credential.key, LogLines()).get())
