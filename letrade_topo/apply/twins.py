"""Deleting a binding while another one on the same way stays: the way is not interrupted, and leads on afterwards.

While both bindings are taken away and one of them comes back, messages go over an exchange of our own, which is bound
beside them; a queue that two ways lead to gets one copy.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence

from letrade_topo.broker.objects import Binding, Exchange
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.perform import create, delete
from letrade_topo.model.names import OWNERSHIP_RECORD_PREFIX


def delete_beside(client: ManagementClient, vhost: str, gone: Binding, staying: Sequence[Binding]) -> None:
    """Delete a binding, and make those on the same way again.

    Raises:
        BrokerError: the broker did not answer, or does not allow it.
    """
    with _bridged(client, vhost, gone):
        delete(client, vhost, gone)
        for twin in staying:
            delete(client, vhost, twin)
            create(client, vhost, twin)


@contextlib.contextmanager
def _bridged(client: ManagementClient, vhost: str, binding: Binding) -> Iterator[None]:
    name = f"{OWNERSHIP_RECORD_PREFIX}bridge.{secrets.token_hex(6)}"
    bridge = Exchange(name, "fanout", durable=False, internal=True)
    create(client, vhost, bridge)
    try:
        create(client, vhost, Binding(name, binding.destination_type, binding.destination))
        create(client, vhost, Binding(binding.source, "exchange", name, binding.routing_key))
        yield
    finally:
        delete(client, vhost, bridge)
