"""The end of a relayed connection: who has said close, who owes a close-ok, and when both sockets may go.

Theory of operation. Each leg is open, closing (our close is out and its close-ok is awaited) or closed. The client's
leg may also wait: it has said close and gets its close-ok when the broker's leg is closed. A close that crosses ours
is answered and ends its leg. When both legs are closed, or after ten seconds, the connection has ended.

A close of the broker's leg waits for hand-overs that are under way, at most two seconds: what is not acknowledged
before would be delivered, and handed over, once more.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from letrade_topo.amqp.connection_commands import ConnectionClose, ConnectionCloseOk
from letrade_topo.amqp.faults import AmqpFault, ReplyCode, shorten

from .effects import Ended
from .session import Session

CLOSE_OK_PAYLOAD: Final = ConnectionCloseOk().encode()


class LegState(Enum):
    """How far a leg is closed."""

    OPEN = "open"
    WAITING = "it has said close and waits for its close-ok"
    CLOSING = "our close is out"
    CLOSED = "closed"


class Ending:
    """How far a connection has ended.

    Attributes:
        client, upstream: the legs.
        cause: the first reason for the end, as in `client_disconnects_total`; "" while there is none.
        held_close: the close for the broker that waits for hand-overs.
        wait_until: monotonic seconds, until when it does.
        over: whether both legs are closed.
    """

    __slots__ = ("_give_up_at", "_session", "_text", "cause", "client", "held_close", "over", "upstream", "wait_until")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._give_up_at = 0.0
        self._text = ""
        self.cause = ""
        self.client = LegState.OPEN
        self.upstream = LegState.OPEN
        self.held_close: bytes | None = None
        self.wait_until = 0.0
        self.over = False

    def because(self, cause: str, text: str) -> None:
        """Why the connection ends; the first reason counts."""
        if not self.cause:
            self.cause = cause
            self._text = text
            self._give_up_at = self._session.started + self._session.limits.close_seconds
            self._session.measures.disconnects[cause] += 1

    def close_client(self, fault: AmqpFault) -> None:
        """Say close to the client, unless it is past that."""
        if self.client is LegState.OPEN:
            close = ConnectionClose(
                reply_code=fault.code, reply_text=fault.reply_text, class_id=fault.class_id, method_id=fault.method_id
            )
            self.relay_close_to_client(close.encode())

    def relay_close_to_client(self, payload: bytes) -> None:
        """Say close to the client, in the broker's words."""
        if self.client is LegState.OPEN:
            self._session.tell_client(0, payload)
            self.client = LegState.CLOSING

    def hold_upstream_close(self, payload: bytes, wait_seconds: float) -> None:
        """Say close to the broker as soon as nothing has to be waited for."""
        if self.upstream is LegState.OPEN and self.held_close is None:
            self.held_close = payload
            self.wait_until = self._session.started + wait_seconds

    def send_upstream_close(self) -> None:
        """Say it now."""
        if self.held_close is not None and self.upstream is LegState.OPEN:
            self._session.tell_upstream(0, self.held_close)
            self.upstream = LegState.CLOSING
        self.held_close = None

    def client_closed(self) -> None:
        """The client's leg is closed: close-ok has come or was sent, or its socket is gone."""
        self.client = LegState.CLOSED

    def upstream_closed(self) -> None:
        """The broker's leg is closed; the client's close is answered if it waits for that."""
        self.upstream = LegState.CLOSED
        self.held_close = None
        if self.client is LegState.WAITING:
            self._session.tell_client(0, CLOSE_OK_PAYLOAD)
            self.client = LegState.CLOSED

    def finish(self) -> bool:
        """Whether the connection has ended just now; says so to the shell."""
        closed = self.client is LegState.CLOSED and self.upstream is LegState.CLOSED
        late = bool(self.cause) and self._session.started >= self._give_up_at
        if self.over or not (closed or late):
            return False
        self.over = True
        self.client = self.upstream = LegState.CLOSED
        self._session.effects.append(Ended(self.cause, self._text))
        return True


def agent_close(text: str) -> bytes:
    """The payload of a close towards the broker that is nobody's fault there."""
    return ConnectionClose(reply_code=ReplyCode.SUCCESS, reply_text=shorten(text)).encode()
