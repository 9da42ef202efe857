"""What waits on one channel for the object store, so that nothing overtakes: a publish, or the answer to a get.

Theory of operation. A body that is being stored suspends the client's side of its channel: later frames are kept as
they are and taken in when the stub has gone upstream or was refused. An answer to basic.get whose body is being
fetched suspends the broker's side in the same way, because answers have an order. Deliveries to consumers suspend
nothing: only deliveries wait behind them (see `letrade_agent.relay.deliveries`). Other channels go on.
"""

from __future__ import annotations

from typing import NamedTuple

from letrade_agent.amqp.basic import GetOk
from letrade_agent.amqp.content import Content
from letrade_agent.amqp.frames import FRAME_OVERHEAD, Frame
from letrade_agent.filters.verdicts import Delivery, Refusal, ToStore

from .requests import Request
from .session import Session


class Storing:
    """A publish whose body is being stored, and the client's frames behind it.

    Args:
        session: of the connection; counts the bytes.
        content: as the client sent it.
        to_store: as filters want it stored.
    """

    __slots__ = ("_session", "_size", "content", "frames", "to_store")

    def __init__(self, session: Session, content: Content[Refusal], to_store: ToStore) -> None:
        self.content = content
        self.to_store = to_store
        self.frames: list[Frame] = []
        self._session = session
        self._size = len(to_store.approved.body)
        session.storing += 1
        session.storing_bytes += self._size

    def behind(self, frame: Frame) -> None:
        """A frame that has to wait."""
        self.frames.append(frame)
        size = len(frame[2]) + FRAME_OVERHEAD
        self._size += size
        self._session.storing_bytes += size

    def over(self) -> None:
        """It is stored, or nobody waits for that any more."""
        self._session.storing -= 1
        self._session.storing_bytes -= self._size
        self._size = 0


class Getting(NamedTuple):
    """An answer to basic.get whose body is being fetched, and the broker's frames behind it.

    Attributes:
        request: that it answers.
        method, got: the answer.
        delivery: as filters see it.
        frames: that have to wait.
    """

    request: Request
    method: bytes
    got: GetOk
    delivery: Delivery
    frames: list[Frame]
