"""The life of a proxied channel: states, inputs, one literal table, one `step`.

Theory of operation. A channel has two legs, the application's ("client") and the broker's, under one number. The
state is that of the pair. Contents are counted in `content`; here it only matters that one is under way from the
client, because a close may come in the middle of it.

Closing. The client's close is passed on, and its close-ok comes from the broker. The broker's close is passed on and
answered at once: nothing upstream is left to wait for. The agent's own close (a refused publish, a wrong delivery
tag) goes to both sides at the same time. Closes that cross are each answered with close-ok by whoever gets them
(AMQP 0-9-1, stability rules of channel.close); the agent answers for the absent side, so that no close is ever
passed to a leg that is closed. While a side owes its close-ok, all else from it is thrown away.

The number. It is free when both legs are closed. After the agent's close the client may be done before the broker
and open the channel again, as it has every right to: that open is held until the broker's close-ok.

    CLOSED ─open→ OPENING ─open-ok→ OPEN ⇄ CONTENT
    OPEN ─client close→ CLOSING_BY_CLIENT ─broker close-ok→ CLOSED
    OPEN ─broker close→ CLIENT_OWES ─client close-ok→ CLOSED
    OPEN ─agent close→ CLOSING_BY_AGENT ─close-ok of one→ CLIENT_OWES or BROKER_OWES ─close-ok of the other→ CLOSED
    BROKER_OWES ─client open→ REOPENING ─broker close-ok→ OPENING
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn

from .faults import BrokerFault, ClientFault, ReplyCode


class ChannelState(Enum):
    """Where a channel is in its life."""

    __hash__ = object.__hash__  # identity: the hash of Enum is a Python function, and this is looked up per frame

    CLOSED = "closed"
    OPENING = "opening"
    """The client's open has gone upstream. The client may send ahead; what it sends is passed on."""
    OPENING_CONTENT = "opening, content under way"
    OPEN = "open"
    CONTENT = "open, content under way"
    CLOSING_BY_CLIENT = "closing: the broker owes the client its close-ok"
    CLOSING_BY_AGENT = "closing: both sides owe the agent a close-ok"
    CLIENT_OWES = "closing: the client owes a close-ok"
    BROKER_OWES = "closing: the broker owes a close-ok"
    REOPENING = "closing: the broker owes a close-ok, the client waits for its next open"


class ChannelInput(Enum):
    """What happens to a channel. `CONTENT` are the header and body frames before the last one."""

    __hash__ = object.__hash__

    CLIENT_OPEN = "the client's channel.open"
    CLIENT_CLOSE = "the client's channel.close"
    CLIENT_CLOSE_OK = "the client's channel.close-ok"
    CLIENT_METHOD = "any other method of the client without content"
    CLIENT_CONTENT_METHOD = "a method of the client with content"
    CLIENT_CONTENT = "a content frame of the client"
    CLIENT_CONTENT_END = "the last content frame of the client"
    BROKER_OPEN_OK = "the broker's channel.open-ok"
    BROKER_CLOSE = "the broker's channel.close"
    BROKER_CLOSE_OK = "the broker's channel.close-ok"
    BROKER_FRAME = "any other frame of the broker"
    AGENT_CLOSE = "the agent ends the channel"


class ChannelAction(Enum):
    """What to do with the input."""

    RELAY = "pass it to the other side"
    DISCARD = "throw it away"
    ANSWER = "answer its sender with channel.close-ok, and do not pass it on"
    RELAY_AND_ANSWER = "pass the close on, and answer its sender with channel.close-ok"
    CLOSE_BOTH = "send channel.close to both sides"
    CLOSE_CLIENT = "send channel.close to the client only"
    ABSORB = "it was the agent's close that this close-ok answers; do not pass it on"
    HOLD = "keep it: it goes upstream when the broker has answered"
    RELEASE = "do not pass the close-ok on; send the open that was held upstream"


@dataclass(frozen=True, slots=True)
class Wrong:
    """The input breaks the protocol."""

    code: ReplyCode
    text: str


Transition = tuple[ChannelState, ChannelAction]

_S = ChannelState
_I = ChannelInput
_A = ChannelAction

_NOT_OPEN: Final = Wrong(ReplyCode.CHANNEL_ERROR, "expected 'channel.open'")
_SECOND_OPEN: Final = Wrong(ReplyCode.CHANNEL_ERROR, "second 'channel.open' seen")
_NUMBER_IN_USE: Final = Wrong(ReplyCode.CHANNEL_ERROR, "'channel.open' before the 'channel.close-ok' of that number")
_NO_CONTENT: Final = Wrong(ReplyCode.UNEXPECTED_FRAME, "expected a method frame, got a content frame instead")
_IN_CONTENT: Final = Wrong(ReplyCode.UNEXPECTED_FRAME, "expected a content frame, got a method frame instead")
_NOTHING_CLOSED: Final = Wrong(ReplyCode.COMMAND_INVALID, "'channel.close-ok' for a channel nobody closes")
_BROKER_NOT_OPEN: Final = Wrong(ReplyCode.CHANNEL_ERROR, "a frame on a channel that is not open")
_NOT_ASKED: Final = Wrong(ReplyCode.COMMAND_INVALID, "an answer to a method that was not sent")

TRANSITIONS: Final[dict[ChannelState, dict[ChannelInput, Transition | Wrong]]] = {
    _S.CLOSED: {
        _I.CLIENT_OPEN: (_S.OPENING, _A.RELAY),
        _I.CLIENT_CLOSE: _NOT_OPEN,
        _I.CLIENT_CLOSE_OK: (_S.CLOSED, _A.DISCARD),
        _I.CLIENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT: _NOT_OPEN,
        _I.CLIENT_CONTENT_END: _NOT_OPEN,
        _I.BROKER_OPEN_OK: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE_OK: _BROKER_NOT_OPEN,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLOSED, _A.DISCARD),
    },
    _S.OPENING: {
        _I.CLIENT_OPEN: _SECOND_OPEN,
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.CLIENT_CLOSE_OK: _NOTHING_CLOSED,
        _I.CLIENT_METHOD: (_S.OPENING, _A.RELAY),
        _I.CLIENT_CONTENT_METHOD: (_S.OPENING_CONTENT, _A.RELAY),
        _I.CLIENT_CONTENT: _NO_CONTENT,
        _I.CLIENT_CONTENT_END: _NO_CONTENT,
        _I.BROKER_OPEN_OK: (_S.OPEN, _A.RELAY),
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
    },
    _S.OPENING_CONTENT: {
        _I.CLIENT_OPEN: _IN_CONTENT,
        _I.CLIENT_CLOSE: _IN_CONTENT,
        _I.CLIENT_CLOSE_OK: _IN_CONTENT,
        _I.CLIENT_METHOD: _IN_CONTENT,
        _I.CLIENT_CONTENT_METHOD: _IN_CONTENT,
        _I.CLIENT_CONTENT: (_S.OPENING_CONTENT, _A.RELAY),
        _I.CLIENT_CONTENT_END: (_S.OPENING, _A.RELAY),
        _I.BROKER_OPEN_OK: (_S.CONTENT, _A.RELAY),
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
    },
    _S.OPEN: {
        _I.CLIENT_OPEN: _SECOND_OPEN,
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.CLIENT_CLOSE_OK: _NOTHING_CLOSED,
        _I.CLIENT_METHOD: (_S.OPEN, _A.RELAY),
        _I.CLIENT_CONTENT_METHOD: (_S.CONTENT, _A.RELAY),
        _I.CLIENT_CONTENT: _NO_CONTENT,
        _I.CLIENT_CONTENT_END: _NO_CONTENT,
        _I.BROKER_OPEN_OK: _NOT_ASKED,
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: (_S.OPEN, _A.RELAY),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
    },
    _S.CONTENT: {
        _I.CLIENT_OPEN: _IN_CONTENT,
        _I.CLIENT_CLOSE: _IN_CONTENT,
        _I.CLIENT_CLOSE_OK: _IN_CONTENT,
        _I.CLIENT_METHOD: _IN_CONTENT,
        _I.CLIENT_CONTENT_METHOD: _IN_CONTENT,
        _I.CLIENT_CONTENT: (_S.CONTENT, _A.RELAY),
        _I.CLIENT_CONTENT_END: (_S.OPEN, _A.RELAY),
        _I.BROKER_OPEN_OK: _NOT_ASKED,
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: (_S.CONTENT, _A.RELAY),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
    },
    # Answers that were on their way still reach the client, as they would without an agent.
    _S.CLOSING_BY_CLIENT: {
        _I.CLIENT_OPEN: _NUMBER_IN_USE,
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_CLOSE_OK: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_METHOD: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_CONTENT_METHOD: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_CONTENT: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_CONTENT_END: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.BROKER_OPEN_OK: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.BROKER_CLOSE: (_S.CLOSING_BY_CLIENT, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLOSED, _A.RELAY),
        _I.BROKER_FRAME: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
    },
    _S.CLOSING_BY_AGENT: {
        _I.CLIENT_OPEN: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.ANSWER),
        _I.CLIENT_CLOSE_OK: (_S.BROKER_OWES, _A.ABSORB),
        _I.CLIENT_METHOD: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.CLIENT_CONTENT_METHOD: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.CLIENT_CONTENT: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.CLIENT_CONTENT_END: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.BROKER_OPEN_OK: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.CLOSING_BY_AGENT, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLIENT_OWES, _A.ABSORB),
        _I.BROKER_FRAME: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.DISCARD),
    },
    _S.CLIENT_OWES: {
        _I.CLIENT_OPEN: (_S.CLIENT_OWES, _A.DISCARD),
        _I.CLIENT_CLOSE: (_S.CLIENT_OWES, _A.ANSWER),
        _I.CLIENT_CLOSE_OK: (_S.CLOSED, _A.ABSORB),
        _I.CLIENT_METHOD: (_S.CLIENT_OWES, _A.DISCARD),
        _I.CLIENT_CONTENT_METHOD: (_S.CLIENT_OWES, _A.DISCARD),
        _I.CLIENT_CONTENT: (_S.CLIENT_OWES, _A.DISCARD),
        _I.CLIENT_CONTENT_END: (_S.CLIENT_OWES, _A.DISCARD),
        _I.BROKER_OPEN_OK: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE_OK: _BROKER_NOT_OPEN,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLIENT_OWES, _A.DISCARD),
    },
    _S.BROKER_OWES: {
        _I.CLIENT_OPEN: (_S.REOPENING, _A.HOLD),
        _I.CLIENT_CLOSE: _NOT_OPEN,
        _I.CLIENT_CLOSE_OK: (_S.BROKER_OWES, _A.DISCARD),
        _I.CLIENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT: _NOT_OPEN,
        _I.CLIENT_CONTENT_END: _NOT_OPEN,
        _I.BROKER_OPEN_OK: (_S.BROKER_OWES, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.BROKER_OWES, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLOSED, _A.ABSORB),
        _I.BROKER_FRAME: (_S.BROKER_OWES, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.BROKER_OWES, _A.DISCARD),
    },
    # The client has to wait for its open-ok here: what it sent ahead could not be passed on yet.
    _S.REOPENING: {
        _I.CLIENT_OPEN: _SECOND_OPEN,
        _I.CLIENT_CLOSE: (_S.BROKER_OWES, _A.ANSWER),
        _I.CLIENT_CLOSE_OK: (_S.REOPENING, _A.DISCARD),
        _I.CLIENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT_METHOD: _NOT_OPEN,
        _I.CLIENT_CONTENT: _NOT_OPEN,
        _I.CLIENT_CONTENT_END: _NOT_OPEN,
        _I.BROKER_OPEN_OK: (_S.REOPENING, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.REOPENING, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.OPENING, _A.RELEASE),
        _I.BROKER_FRAME: (_S.REOPENING, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_CLIENT),
    },
}


def step(state: ChannelState, happened: ChannelInput) -> Transition:
    """The next state and what to do.

    Raises:
        ClientFault, BrokerFault: the input breaks the protocol; the fault ends the connection.
    """
    outcome = TRANSITIONS[state][happened]
    if isinstance(outcome, Wrong):
        _raise(outcome, happened)
    return outcome


def _raise(wrong: Wrong, happened: ChannelInput) -> NoReturn:
    fault = BrokerFault if happened.name.startswith("BROKER_") else ClientFault
    raise fault(wrong.code, wrong.text)
