"""What must be right before the agent starts, beyond topology and keys: login, certificates, ports, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from letrade_agent.config import Address, InvalidSetting, Settings
from letrade_topo.errors import TopoError
from letrade_topo.model.topology import Topology
from letrade_topo.secrets import MissingSecret, no_passphrase, resolve

Bound = TypeVar("Bound", bound=Address | None)


class CannotListen(TopoError):
    """A port cannot be opened."""


class InvalidCertificate(TopoError):
    """A certificate or its key cannot be read or used."""


def login_of(settings: Settings, topology: Topology, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings with the login that the topology gives where they have none.

    Raises:
        MissingSecret: the topology's reference leads nowhere, and there is no client certificate.
        InvalidSetting: there is neither a password nor a client certificate.
    """
    service = topology.services[settings.service]
    username = settings.username or service.user or service.name
    password = settings.password
    if password is None and service.password is not None:
        try:
            password = resolve([service.password], environment)[service.password]
        except MissingSecret:
            if settings.cert_file is None:
                raise
    if password is None and settings.cert_file is None:
        raise InvalidSetting(
            f"no login at the broker for {username!r}",
            fix="give --cert-file and --key-file, or --password-file",
        )
    return replace(settings, username=username, password=password)


def check_certificates(settings: Settings) -> None:
    """Read the files once, so that a wrong one is told at the start and not at the first client.

    Raises:
        InvalidCertificate: names the flag.
    """
    files = (("--ca-file", settings.ca_file), ("--cert-file", settings.cert_file), ("--key-file", settings.key_file))
    for flag, path in files:
        if path is not None:
            _check_readable(flag, path)
    if settings.ca_file is not None:
        try:
            ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ValueError) as error:
            raise InvalidCertificate(
                f"--ca-file {settings.ca_file} holds no certificate that can be used", why=_reason(error)
            ) from None
    if settings.cert_file is not None:
        try:
            ssl.create_default_context().load_cert_chain(settings.cert_file, settings.key_file, password=no_passphrase)
        except (OSError, ValueError) as error:
            raise InvalidCertificate(
                f"--cert-file {settings.cert_file} and --key-file {settings.key_file} cannot be used together",
                why=_reason(error),
                fix="give a PEM certificate and its own private key, without a passphrase",
            ) from None


def _check_readable(flag: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise InvalidCertificate(f"cannot read {flag} {path}", why=error.strerror or str(error)) from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def stop_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first, and by the second of SIGTERM and SIGINT."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def heard() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop, at_once


async def listening(start: Callable[[], Coroutine[Any, Any, Bound]], flag: str, address: Address | None) -> Bound:
    """Open a listener.

    Args:
        start: opens it.
        flag: that names its address.
        address: the one it was asked for.

    Raises:
        CannotListen: the port cannot be opened.
    """
    try:
        return await start()
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {flag} {address}", why=error.strerror or str(error), fix=f"choose another {flag}"
        ) from None
