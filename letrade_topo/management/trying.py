"""Whether a login has a permission, found out by declarations that RabbitMQ refuses whoever sends them.

It looks at the permissions first: who lacks one is answered 401, and anybody else 400. Nothing is ever made.
"""

from __future__ import annotations

from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, MissingRight

_IMPOSSIBLE = 0
"""No name of an exchange, and no time after which a queue may expire."""


def may_configure(client: ManagementClient, vhost: str, name: str) -> bool:
    """Whether this user may make, change and delete what has this name.

    Raises:
        BrokerError: the broker did not answer.
    """
    body = {
        "type": "fanout",
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {"alternate-exchange": _IMPOSSIBLE},
    }
    try:
        client.put_exchange(vhost, name, body)
    except MissingRight:
        return False
    except BrokerRefused:
        return True
    return True


def may_lead(client: ManagementClient, vhost: str, name: str, target: str) -> bool:
    """Whether this user may configure and read one name, and write another one.

    Args:
        client, vhost: where.
        name: no queue has it: of one that is there, only whether it may be configured is answered.
        target: the other name.

    Raises:
        BrokerError: the broker did not answer.
    """
    arguments = {"x-queue-type": "classic", "x-dead-letter-exchange": target, "x-expires": _IMPOSSIBLE}
    try:
        client.put_queue(vhost, name, {"durable": True, "auto_delete": False, "arguments": arguments})
    except MissingRight:
        return False
    except BrokerRefused:
        return True
    return True
