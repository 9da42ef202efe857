"""What a user may do by permissions and topic permissions, judged as RabbitMQ judges it.

Regular expressions are searched for, not matched; a topic exchange without a topic permission for the user is
open to every key; the default exchange is called `amq.default` (RabbitMQ: access-control.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from letrade_topo.broker.objects import Address, Permission, TopicPermission
from letrade_topo.expand.desired import DesiredState


@dataclass(frozen=True, slots=True)
class Access:
    """What one user may do in a state."""

    state: DesiredState
    user: str

    def may(self, right: str, name: str) -> bool:
        """Configure, write or read permission on a name."""
        return _allows(getattr(self._permission, right), name)

    def may_publish(self, exchange: str, key: str) -> bool:
        """Write permission on the exchange, and on the key."""
        topic = self._topic(exchange)
        return _allows(self._permission.write, exchange or "amq.default") and (
            topic is None or _allows(topic.write, key)
        )

    def may_consume(self, queue: str) -> bool:
        """Read permission on the queue."""
        return _allows(self._permission.read, queue)

    def may_declare(self, name: str) -> bool:
        """Configure permission, for queues and exchanges alike."""
        return _allows(self._permission.configure, name)

    def may_bind(self, queue: str, exchange: str, key: str) -> bool:
        """Write permission on the queue, read permission on the exchange and on the binding key."""
        topic = self._topic(exchange)
        return (
            _allows(self._permission.write, queue)
            and _allows(self._permission.read, exchange)
            and (topic is None or _allows(topic.read, key))
        )

    @property
    def _permission(self) -> Permission:
        one = self.state.objects.get(Address(f"permission:{self.user}"))
        if one is None:
            return Permission(self.user, "", "", "")
        assert isinstance(one.object, Permission)
        return one.object

    def _topic(self, exchange: str) -> TopicPermission | None:
        one = self.state.objects.get(Address(f"topic-permission:{self.user}/{exchange}"))
        if one is None:
            return None
        assert isinstance(one.object, TopicPermission)
        return one.object


def _allows(expression: str, name: str) -> bool:
    return re.search(expression or "^$", name, re.DOTALL) is not None
