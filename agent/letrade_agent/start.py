"""What must be right before the agent starts, beyond topology and keys: login, certificates, ports, signals."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from letrade_agent.config import InvalidSetting, Listening, Settings
from letrade_topo.errors import TopoError
from letrade_topo.model.topology import Topology
from letrade_topo.reading import CannotRead
from letrade_topo.secrets import MissingSecret, resolve
from letrade_topo.tls_files import load_certificate, trusting

Bound = TypeVar("Bound", bound=Listening | None)

_FILES_A_CLIENT: Final = 2
"""Its socket, and the one to the broker."""
_FILES_OF_ITS_OWN: Final = 256
"""Clients at the door, listeners, files that are read, connections of the agent's own."""


class PortUnusable(TopoError):
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
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        with _flag("--ca-file", settings.ca_file):
            try:
                trusting(settings.ca_file)
            except OSError as error:
                raise InvalidCertificate(
                    f"--ca-file {settings.ca_file} holds no certificate that can be used", why=_reason(error)
                ) from None
    if settings.cert_file is not None:
        with _flag("--cert-file and --key-file", settings.cert_file):
            try:
                load_certificate(context, settings.cert_file, settings.key_file)
            except (OSError, ValueError) as error:
                raise InvalidCertificate(
                    f"--cert-file {settings.cert_file} and --key-file {settings.key_file} cannot be used together",
                    why=_reason(error),
                    fix="give a PEM certificate and its own private key, without a passphrase",
                ) from None


@contextmanager
def _flag(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except CannotRead as error:
        why = f"{error.what}{f': {error.why}' if error.why else ''}"
        raise InvalidCertificate(f"cannot read {flag} {path}", why=why, fix=error.fix) from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def make_room_for(clients: int) -> int:
    """Let this process open as many files as so many clients need, as far as it may; for how many that is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_OF_ITS_OWN + clients * _FILES_A_CLIENT
    if soft < wanted:
        soft = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(clients, (soft - _FILES_OF_ITS_OWN) // _FILES_A_CLIENT)


def stop_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first, and by the second of SIGTERM and SIGINT."""
    stop, at_once = asyncio.Event(), asyncio.Event()

    def heard() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop, at_once


async def listening(start: Callable[[], Coroutine[Any, Any, Bound]], flag: str, address: Listening | None) -> Bound:
    """Open a listener.

    Args:
        start: opens it.
        flag: that names its address.
        address: the one it was asked for.

    Raises:
        PortUnusable: the port cannot be opened.
    """
    try:
        return await start()
    except OSError as error:
        raise PortUnusable(
            f"cannot listen on {flag} {address}", why=error.strerror or str(error), fix=f"choose another {flag}"
        ) from None
