"""What of a client waits on one channel, so that nothing overtakes: for the store, or for the broker to close it.

Theory of operation. A body that is being stored suspends the client's side of its channel: later frames are kept as
they are and taken in when the stub has gone upstream or was refused. Other channels go on.

A channel that the agent has closed is free for the client as soon as the client has said close-ok, while the broker's
close-ok may still be on its way. What the client then sends under that number, its open first, waits for that.
"""

from __future__ import annotations

from letrade_agent.filters.decisions import Decision, ToStore, Whole
from letrade_topo.amqp.frames import FRAME_OVERHEAD, Frame

from .session import Session


class Storing:
    """A publish whose body is being stored, and what waits behind it: publishes of the same read, then frames.

    Args:
        session: of the connection; counts the bytes.
        whole: as the client sent it.
        to_store: as filters want it stored.
    """

    __slots__ = ("_session", "_size", "frames", "publishes", "to_store", "whole")

    def __init__(self, session: Session, whole: Whole, to_store: ToStore) -> None:
        self.whole = whole
        self.to_store = to_store
        self.publishes: list[tuple[Whole, Decision | None]] = []
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

    def publish_behind(self, whole: Whole, decision: Decision | None) -> None:
        """A later publish of the same read, which has been taken in already."""
        self.publishes.append((whole, decision))
        size = sum(map(len, whole))
        self._size += size
        self._session.storing_bytes += size

    def over(self) -> None:
        """It is stored, or nobody waits for that any more."""
        self._session.storing -= 1
        self._session.storing_bytes -= self._size
        self._size = 0


class Reopening:
    """A channel that the client has opened again before the broker has closed it, and all that came behind the open.

    Args:
        session: of the connection; counts the bytes.
        opened: payload of the open.

    Attributes:
        frames: the client's, in order.
    """

    __slots__ = ("_session", "_size", "frames", "opened")

    def __init__(self, session: Session, opened: bytes) -> None:
        self.opened = opened
        self.frames: list[Frame] = []
        self._session = session
        self._size = 0
        session.storing += 1

    def behind(self, frame: Frame) -> None:
        """A frame that has to wait."""
        self.frames.append(frame)
        size = len(frame[2]) + FRAME_OVERHEAD
        self._size += size
        self._session.storing_bytes += size

    def over(self) -> None:
        """The broker has closed it, or nobody waits for that any more."""
        self._session.storing -= 1
        self._session.storing_bytes -= self._size
        self._size = 0
