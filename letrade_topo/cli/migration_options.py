"""Options of `apply` about migrations: where messages are moved, with which key, and which migrations go back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from letrade_topo.cli.connection import Usage
from letrade_topo.cli.dlq_options import keys_option

if TYPE_CHECKING:  # imported when a command runs, not for `--help`
    from letrade_topo.apply.moves import Means
    from letrade_topo.broker.addresses import Address
    from letrade_topo.keys.move import MoveSigner
    from letrade_topo.management.client import ManagementClient
    from letrade_topo.model.topology import Topology


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """What the flags and their environment variables said.

    Args:
        amqp: the URL of the broker's AMQP port; None: that of the management API's host.
        keys_folder: where the operator's key is.
        aborted: addresses of queues whose migrations go back.
    """

    amqp: str | None
    keys_folder: Path | None
    aborted: tuple[str, ...]

    @property
    def aborts(self) -> frozenset[Address]:
        """The addresses.

        Raises:
            Usage: one is no queue's.
        """
        from letrade_topo.broker.addresses import Address

        for address in self.aborted:
            if not address.startswith("queue:"):
                raise Usage(f"--abort-migration takes the address of a queue, as queue:NAME, and {address!r} is none")
        return frozenset(Address(address) for address in self.aborted)

    def means(self, client: ManagementClient, topology: Topology) -> Means:
        """What messages of a topology are moved with; the login is that of the management API.

        Raises:
            InvalidEndpoint: the URL cannot be used.
            TopoError: messages are signed, and there is no key that a moved one could be vouched for with.
        """
        import time

        from letrade_topo.apply.moves import Means
        from letrade_topo.queues.endpoint import AmqpEndpoint, Login
        from letrade_topo.queues.move_hops import MoveHops

        management = client.endpoint
        endpoint = AmqpEndpoint.parse(
            self.amqp or _beside(management.url, is_tls=management.is_tls),
            vhost=topology.vhost,
            login=Login(management.username, management.password),
            ca_file=management.ca_file,
            insecure_loopback=management.insecure_loopback,
            minimum_version=topology.security.tls.minimum_version,
        )
        signer = self._signer(topology, time.time())
        impersonates = "impersonator" in client.whoami().tags

        def hops_for(queue: str) -> MoveHops:
            declared = topology.queues.get(queue)
            service = (declared.service if declared else None) or ""
            return MoveHops(
                queue,
                login=management.username,
                impersonates=impersonates,
                signer=signer if service else None,  # what waits to be retried has its hops already
                service=service,
                clock=time.time,
            )

        return Means(endpoint, hops_for)

    def _signer(self, topology: Topology, now: float) -> MoveSigner | None:
        import secrets

        from letrade_topo.errors import TopoError
        from letrade_topo.keys.keyset import load_keyset
        from letrade_topo.keys.move import MoveSigner
        from letrade_topo.model.security import Enforcement

        jwt = topology.security.jwt
        modes = [exchange.mode or jwt.mode for exchange in topology.exchanges.values()]
        if not topology.services or all(mode is Enforcement.OFF for mode in modes):
            return None
        movers = ", ".join(jwt.movers)
        if self.keys_folder is not None:
            for mover in jwt.movers:
                if (self.keys_folder / mover).is_dir():
                    keys = load_keyset(self.keys_folder, mover)
                    key = keys.signing_key(now)
                    if key is not None:
                        return MoveSigner(topology, keys, key, secrets.token_bytes)
        raise TopoError(
            "queues cannot be migrated without a mover's key; nothing was changed",
            why="messages are signed here, and agents take a moved one only with a token of whoever moved it",
            fix=f"give --keys, a folder of `letrade-topo keys init` with a key of a mover ({movers})",
        )


def _beside(management_url: str, *, is_tls: bool) -> str:
    host = urlsplit(management_url).hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"amqps://{host}:5671" if is_tls else f"amqp://{host}:5672"


def migration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `migration`."""

    @click.option(
        "--amqp",
        metavar="URL",
        envvar="LETRADE_TOPO_AMQP",
        show_envvar=True,
        help="AMQP port of the broker, for migrations.  [default: amqps://HOST:5671 of the management API's host]",
    )
    @keys_option
    @click.option(
        "--abort-migration",
        "aborted",
        metavar="ADDRESS",
        multiple=True,
        help="Go back with a migration that has not ended, and do nothing else. Repeatable.",
    )
    @functools.wraps(command)
    def wrapper(
        *args: Any, amqp: str | None, keys_folder: Path | None, aborted: tuple[str, ...], **options: Any
    ) -> Any:
        return command(*args, migration=MigrationOptions(amqp, keys_folder, aborted), **options)

    return wrapper
