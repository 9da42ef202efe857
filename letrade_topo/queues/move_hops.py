"""What a moved message's properties become: as they were, with a hop token of the role `move` where it is signed.

A message that comes back into its queue arrives through another exchange than it was published to. Consumers' agents
take that only with a hop of somebody whom the topology trusts with it. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.errors import TopoError
from letrade_topo.keys.headers import HOP_HEADER
from letrade_topo.keys.move import MoveSigner
from letrade_topo.queues.content import Properties
from letrade_topo.queues.link import DeliveredLetter

_COUNTED_BY_THE_BROKER: Final = frozenset({b"x-delivery-count", b"x-acquired-count"})
"""A queue counts how often it delivered a message, and tells in the message's own headers; another counts anew."""


_FLAGS: Final = struct.Struct(">H")
_USER_ID: Final = 1 << 4
"""The flag of `user_id` among those of the properties (AMQP 0-9-1, 4.2.6.1)."""


class MoveHops:
    """Rewrites the properties of messages that come back into one queue.

    Args:
        queue: the queue.
        login: the mover's user: a broker takes no message that names another one.
        impersonates: unless that user has the tag `impersonator`.
        signer: writes hops; None where nothing is signed.
        service: that consumes from the queue; empty where none does.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        queue: str,
        *,
        login: str,
        impersonates: bool,
        signer: MoveSigner | None,
        service: str,
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._login = login.encode()
        self._impersonates = impersonates
        self._signer = signer
        self._service = service
        self._clock = clock

    def kept(self, delivery: DeliveredLetter) -> bytes:
        """Of a message that goes where it only waits: as it came.

        Raises:
            TopoError: the broker would refuse it.
        """
        if not _FLAGS.unpack_from(delivery.raw)[0] & _USER_ID:
            return delivery.raw
        try:
            properties = Properties.parse(delivery.raw)
        except AmqpFault:
            return delivery.raw
        user = properties.text("user_id")
        if user is not None and user != self._login and not self._impersonates:
            raise TopoError(
                f"a message of {self._queue!r} cannot be moved",
                why=f"its user_id is {user.decode(errors='replace')!r}, and the broker takes that from nobody else",
                fix="give the user that migrates the tag `impersonator`, and run apply again",
            )
        return delivery.raw

    def back(self, delivery: DeliveredLetter) -> bytes:
        """Of a message that comes back: without the former queue's counts, with a hop where its origin is proven.

        Raises:
            TopoError: the broker would refuse it.
        """
        self.kept(delivery)
        if self._signer is None and not any(name in delivery.raw for name in _COUNTED_BY_THE_BROKER):
            return delivery.raw
        try:
            properties = Properties.parse(delivery.raw)
        except AmqpFault:
            return delivery.raw
        hop = self._hop(properties, delivery.body)
        dropped = _COUNTED_BY_THE_BROKER | ({HOP_HEADER} if hop else frozenset())
        if hop is None and not any(name in dropped for name, _ in properties.headers):
            return delivery.raw
        added = [(HOP_HEADER, hop)] if hop else []
        return properties.rewritten(is_dropped=dropped.__contains__, added=added, without=()).encode()

    def _hop(self, properties: Properties, body: bytes) -> bytes | None:
        if self._signer is None:
            return None
        return self._signer.hop(
            properties.tokens, properties.signed, body, queue=self._queue, service=self._service, now=self._clock()
        )
