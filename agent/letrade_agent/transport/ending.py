"""How a socket is closed so that the last words arrive.

A socket that is closed while unread bytes lie in it is reset, and a reset throws away what the other side has not
read yet: the connection.close that says why. So a leg goes on reading, and forgets, until the other side has
answered or closed, for a bounded time.
"""

from __future__ import annotations

import asyncio

from letrade_agent.transport.leg import Leg
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.frames import METHOD
from letrade_topo.amqp.methods import BY_NAME

_LAST = frozenset({BY_NAME["connection.close-ok"].index, BY_NAME["connection.close"].index})


def finish(leg: Leg, *, awaits_answer: bool) -> None:
    """Close a leg to which everything has been written.

    Args:
        leg: whose `on_lost` stays with its owner.
        awaits_answer: a connection.close was sent: wait for its close-ok; else only for the other side to close.
    """
    if leg.is_lost:
        return
    loop = asyncio.get_running_loop()

    def forget(data: memoryview) -> None:
        decoder = leg.decoder
        if decoder.fault is not None:
            return
        try:
            frames = decoder.feed(data)
        except AmqpFault:
            return
        if any(kind == METHOD and not channel and payload[:4] in _LAST for kind, channel, payload in frames):
            leg.close()

    def over() -> None:
        if not leg.is_lost:
            leg.abort()

    leg.on_bytes = forget
    leg.on_full = lambda _: None
    leg.resume_reading()
    if leg.decoder.has_more:
        loop.call_soon(forget, memoryview(b""))
    if awaits_answer:
        loop.call_later(leg.limits.answer_seconds, leg.end_writing)
    else:
        leg.end_writing()
    loop.call_later(leg.limits.linger_seconds, over)
