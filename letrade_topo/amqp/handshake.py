"""The client's half of the handshake as functions: the login, and what to settle on."""

from __future__ import annotations

from dataclasses import dataclass, field

from .connection_commands import Tune, TuneOk
from .faults import AmqpFault, ReplyCode
from .frames import MIN_FRAME_MAX


@dataclass(frozen=True, slots=True)
class SaslLogin:
    """What a client logs in with. The password is never printed."""

    username: bytes
    password: bytes = field(repr=False)


def plain_response(login: SaslLogin) -> bytes:
    """The response of PLAIN."""
    return b"\0" + login.username + b"\0" + login.password


def choose_limits(offered: Tune, *, channel_max: int, frame_max: int, heartbeat: int) -> TuneOk:
    """As a client: what to settle on, given the server's offer and our own wishes.

    0 stands for no limit. Limits: the smaller one. Heartbeat in seconds: the smaller one, or if either side has
    none, the other's (RabbitMQ's clients do so).

    Raises:
        AmqpFault: NOT_ALLOWED, frames smaller than 4,096 bytes are offered.
    """
    chosen = _smaller(offered.frame_max, frame_max)
    if 0 < chosen < MIN_FRAME_MAX:
        raise AmqpFault(ReplyCode.NOT_ALLOWED, f"frame_max = {chosen} is lower than the minimum of {MIN_FRAME_MAX}")
    return TuneOk(
        channel_max=_smaller(offered.channel_max, channel_max),
        frame_max=chosen,
        heartbeat=_smaller(offered.heartbeat, heartbeat),
    )


def _smaller(one: int, other: int) -> int:
    return min(one, other) if one and other else max(one, other)
