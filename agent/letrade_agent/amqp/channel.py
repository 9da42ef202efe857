"""The life of a proxied channel: states, inputs, one literal table, one `step`.

Theory of operation. A channel has two legs, the application's ("client") and the broker's, under one number. The
state is that of the pair. Whose frames are worked on in a state is in the table, too (`TAKE`); what becomes of these,
and which content is under way, is not decided here. `docs/reference/channel-states.md` is drawn from the table.

Closing. The client's close is passed on, and its close-ok comes from the broker; before it is passed on, deliveries
that are being handed over get their time. The broker's close is passed on and answered at once: nothing upstream is
left to wait for. The agent's own close (a refused publish, a wrong delivery tag) goes to both sides at the same time.
Closes that cross are each answered with close-ok by whoever gets them (AMQP 0-9-1, stability rules of
channel.close); the agent answers for the absent side, so that no close is ever passed to a leg that is closed. While
a side owes its close-ok, all else from it is thrown away.

The number. It is free when both legs are closed. After the agent's close the client may be done before the broker
and open the channel again, as it has every right to: that open, and whatever it sends ahead of its open-ok, is held
until the broker's close-ok.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn

from letrade_topo.amqp.faults import BrokerFault, ClientFault, ReplyCode


class ChannelState(Enum):
    """Where a channel is in its life."""

    __hash__ = object.__hash__  # identity: the hash of Enum is a Python function, and this is looked up per frame

    CLOSED = "closed"
    OPENING = "opening"
    """The client's open has gone upstream. The client may send ahead; what it sends is passed on."""
    OPEN = "open"
    HANDING_OVER = "closing: the client's close waits for deliveries that are being handed over"
    CLOSING_BY_CLIENT = "closing: the broker owes the client its close-ok"
    CLOSING_BY_AGENT = "closing: both sides owe the agent a close-ok"
    CLIENT_OWES = "closing: the client owes a close-ok"
    BROKER_OWES = "closing: the broker owes a close-ok"
    REOPENING = "closing: the broker owes a close-ok, the client waits for its next open"


class ChannelInput(Enum):
    """What happens to a channel."""

    __hash__ = object.__hash__

    CLIENT_OPEN = "the client's channel.open"
    CLIENT_CLOSE = "the client's channel.close"
    CLIENT_CLOSE_OK = "the client's channel.close-ok"
    CLIENT_FRAME = "any other frame of the client"
    BROKER_OPEN_OK = "the broker's channel.open-ok"
    BROKER_CLOSE = "the broker's channel.close"
    BROKER_CLOSE_OK = "the broker's channel.close-ok"
    BROKER_FRAME = "any other frame of the broker"
    AGENT_CLOSE = "the agent ends the channel"
    HANDED_OVER = "nothing is being handed over any more, or for too long"


class ChannelAction(Enum):
    """What to do with the input."""

    TAKE = "work on it"
    RELAY = "pass it to the other side"
    DISCARD = "do nothing, and do not pass it on"
    ANSWER = "answer its sender with channel.close-ok, and do not pass it on"
    ANSWER_BOTH = "answer both sides with channel.close-ok"
    RELAY_AND_ANSWER = "pass the close on, and answer its sender with channel.close-ok"
    CLOSE_BOTH = "send channel.close to both sides"
    HOLD_CLOSE = "keep the close"
    RELEASE_CLOSE = "pass on the close that was kept"
    HOLD = "keep it, and what comes behind it: they are taken up when the broker has answered"
    RELEASE = "do not pass the close-ok on; send the open that was held upstream, then take up what came behind it"


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
_NOTHING_CLOSED: Final = Wrong(ReplyCode.COMMAND_INVALID, "'channel.close-ok' for a channel nobody closes")
_BROKER_NOT_OPEN: Final = Wrong(ReplyCode.CHANNEL_ERROR, "a frame on a channel that is not open")
_NOT_ASKED: Final = Wrong(ReplyCode.COMMAND_INVALID, "an answer to a method that was not sent")

TRANSITIONS: Final[dict[ChannelState, dict[ChannelInput, Transition | Wrong]]] = {
    _S.CLOSED: {
        _I.CLIENT_OPEN: (_S.OPENING, _A.RELAY),
        _I.CLIENT_CLOSE: _NOT_OPEN,
        _I.CLIENT_CLOSE_OK: (_S.CLOSED, _A.DISCARD),
        _I.CLIENT_FRAME: _NOT_OPEN,
        _I.BROKER_OPEN_OK: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE_OK: _BROKER_NOT_OPEN,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLOSED, _A.DISCARD),
        _I.HANDED_OVER: (_S.CLOSED, _A.DISCARD),
    },
    _S.OPENING: {
        _I.CLIENT_OPEN: _SECOND_OPEN,
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.CLIENT_CLOSE_OK: _NOTHING_CLOSED,
        _I.CLIENT_FRAME: (_S.OPENING, _A.TAKE),
        _I.BROKER_OPEN_OK: (_S.OPEN, _A.RELAY),
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
        _I.HANDED_OVER: (_S.OPENING, _A.DISCARD),
    },
    _S.OPEN: {
        _I.CLIENT_OPEN: _SECOND_OPEN,
        _I.CLIENT_CLOSE: (_S.HANDING_OVER, _A.HOLD_CLOSE),
        _I.CLIENT_CLOSE_OK: _NOTHING_CLOSED,
        _I.CLIENT_FRAME: (_S.OPEN, _A.TAKE),
        _I.BROKER_OPEN_OK: _NOT_ASKED,
        _I.BROKER_CLOSE: (_S.CLIENT_OWES, _A.RELAY_AND_ANSWER),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: (_S.OPEN, _A.TAKE),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.CLOSE_BOTH),
        _I.HANDED_OVER: (_S.OPEN, _A.DISCARD),
    },
    # Answers that were on their way still reach the client, as they would without an agent.
    _S.HANDING_OVER: {
        _I.CLIENT_OPEN: _NUMBER_IN_USE,
        _I.CLIENT_CLOSE: (_S.HANDING_OVER, _A.DISCARD),
        _I.CLIENT_CLOSE_OK: (_S.HANDING_OVER, _A.DISCARD),
        _I.CLIENT_FRAME: (_S.HANDING_OVER, _A.DISCARD),
        _I.BROKER_OPEN_OK: _NOT_ASKED,
        _I.BROKER_CLOSE: (_S.CLOSED, _A.ANSWER_BOTH),
        _I.BROKER_CLOSE_OK: _NOT_ASKED,
        _I.BROKER_FRAME: (_S.HANDING_OVER, _A.TAKE),
        _I.AGENT_CLOSE: (_S.HANDING_OVER, _A.DISCARD),
        _I.HANDED_OVER: (_S.CLOSING_BY_CLIENT, _A.RELEASE_CLOSE),
    },
    _S.CLOSING_BY_CLIENT: {
        _I.CLIENT_OPEN: _NUMBER_IN_USE,
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_CLOSE_OK: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.CLIENT_FRAME: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.BROKER_OPEN_OK: (_S.CLOSING_BY_CLIENT, _A.RELAY),
        _I.BROKER_CLOSE: (_S.CLOSING_BY_CLIENT, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLOSED, _A.RELAY),
        _I.BROKER_FRAME: (_S.CLOSING_BY_CLIENT, _A.TAKE),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
        _I.HANDED_OVER: (_S.CLOSING_BY_CLIENT, _A.DISCARD),
    },
    _S.CLOSING_BY_AGENT: {
        _I.CLIENT_OPEN: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.CLIENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.ANSWER),
        _I.CLIENT_CLOSE_OK: (_S.BROKER_OWES, _A.DISCARD),
        _I.CLIENT_FRAME: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.BROKER_OPEN_OK: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.CLOSING_BY_AGENT, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLIENT_OWES, _A.DISCARD),
        _I.BROKER_FRAME: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.CLOSING_BY_AGENT, _A.DISCARD),
        _I.HANDED_OVER: (_S.CLOSING_BY_AGENT, _A.DISCARD),
    },
    _S.CLIENT_OWES: {
        _I.CLIENT_OPEN: (_S.CLIENT_OWES, _A.DISCARD),
        _I.CLIENT_CLOSE: (_S.CLIENT_OWES, _A.ANSWER),
        _I.CLIENT_CLOSE_OK: (_S.CLOSED, _A.DISCARD),
        _I.CLIENT_FRAME: (_S.CLIENT_OWES, _A.DISCARD),
        _I.BROKER_OPEN_OK: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE: _BROKER_NOT_OPEN,
        _I.BROKER_CLOSE_OK: _BROKER_NOT_OPEN,
        _I.BROKER_FRAME: _BROKER_NOT_OPEN,
        _I.AGENT_CLOSE: (_S.CLIENT_OWES, _A.DISCARD),
        _I.HANDED_OVER: (_S.CLIENT_OWES, _A.DISCARD),
    },
    _S.BROKER_OWES: {
        _I.CLIENT_OPEN: (_S.REOPENING, _A.HOLD),
        _I.CLIENT_CLOSE: _NOT_OPEN,
        _I.CLIENT_CLOSE_OK: (_S.BROKER_OWES, _A.DISCARD),
        _I.CLIENT_FRAME: _NOT_OPEN,
        _I.BROKER_OPEN_OK: (_S.BROKER_OWES, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.BROKER_OWES, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.CLOSED, _A.DISCARD),
        _I.BROKER_FRAME: (_S.BROKER_OWES, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.BROKER_OWES, _A.DISCARD),
        _I.HANDED_OVER: (_S.BROKER_OWES, _A.DISCARD),
    },
    # The client need not wait for its open-ok here either: what it sends ahead is kept until it can be passed on.
    _S.REOPENING: {
        _I.CLIENT_OPEN: (_S.REOPENING, _A.HOLD),
        _I.CLIENT_CLOSE: (_S.REOPENING, _A.HOLD),
        _I.CLIENT_CLOSE_OK: (_S.REOPENING, _A.HOLD),
        _I.CLIENT_FRAME: (_S.REOPENING, _A.HOLD),
        _I.BROKER_OPEN_OK: (_S.REOPENING, _A.DISCARD),
        _I.BROKER_CLOSE: (_S.REOPENING, _A.ANSWER),
        _I.BROKER_CLOSE_OK: (_S.OPENING, _A.RELEASE),
        _I.BROKER_FRAME: (_S.REOPENING, _A.DISCARD),
        _I.AGENT_CLOSE: (_S.REOPENING, _A.DISCARD),
        _I.HANDED_OVER: (_S.REOPENING, _A.DISCARD),
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


def takes(state: ChannelState, happened: ChannelInput) -> bool:
    """Whether the input is worked on in that state."""
    outcome = TRANSITIONS[state][happened]
    return not isinstance(outcome, Wrong) and outcome[1] is ChannelAction.TAKE


def is_of_broker(happened: ChannelInput) -> bool:
    """Whether the broker sent it."""
    return happened.name.startswith("BROKER_")


def _raise(wrong: Wrong, happened: ChannelInput) -> NoReturn:
    fault = BrokerFault if is_of_broker(happened) else ClientFault
    raise fault(wrong.code, wrong.text)
