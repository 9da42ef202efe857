"""The table of a channel's life is what happens: every state × every input, on real channels, by real frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import pytest
from letrade_agent.amqp.channel import (
    TRANSITIONS,
    ChannelAction,
    ChannelInput,
    ChannelState,
    Wrong,
    is_of_broker,
)
from letrade_agent.relay.channel import RelayedChannel
from pamqp.commands import Basic, Channel

from letrade_topo.amqp.faults import ClientFault, FaultScope, ReplyCode

from .kit import Rig, deliver, publish

S, I, A = ChannelState, ChannelInput, ChannelAction  # noqa: E741  # as in the table
CLOSE = Channel.Close(200, "bye", 0, 0)


class Driven:
    """A channel that was brought into a state by what both sides sent.

    Attributes:
        rig: of its relay.
        channel: it.
    """

    def __init__(self, state: ChannelState) -> None:
        self.rig = Rig()
        if state is S.OPENING:
            self.rig.client_sends(Channel.Open())
        else:
            self.rig.open().consume()
            self.rig.broker_sends(deliver(1, "bad"))  # so that a close has to wait
        channel = self.rig.channel(1)
        assert channel is not None
        self.channel: RelayedChannel = channel
        self._go_on_to(state)
        assert self.state is state
        self.rig.take_client()
        self.rig.take_broker()

    def _go_on_to(self, state: ChannelState) -> None:
        rig = self.rig
        match state:
            case S.OPENING | S.OPEN:
                pass
            case S.HANDING_OVER:
                rig.client_sends(CLOSE)
            case S.CLOSING_BY_CLIENT:
                rig.client_sends(CLOSE)
                rig.hand_over(rig.hand_overs[0])
            case S.CLOSED:
                rig.client_sends(CLOSE)
                rig.hand_over(rig.hand_overs[0])
                rig.broker_sends(Channel.CloseOk())
            case S.CLIENT_OWES:
                rig.broker_sends(CLOSE)
            case S.CLOSING_BY_AGENT:
                rig.client_sends(Basic.Ack(99))
            case S.BROKER_OWES:
                rig.client_sends(Basic.Ack(99), Channel.CloseOk())
            case S.REOPENING:
                rig.client_sends(Basic.Ack(99), Channel.CloseOk(), Channel.Open())
            case _:
                assert_never(state)

    @property
    def state(self) -> ChannelState:
        """Where it is now."""
        channel = self.rig.channel(1)
        return S.CLOSED if channel is None else channel.state

    def happens(self, happened: ChannelInput) -> None:
        """One input."""
        rig = self.rig
        match happened:
            case I.CLIENT_OPEN:
                rig.client_sends(Channel.Open())
            case I.CLIENT_CLOSE:
                rig.client_sends(CLOSE)
            case I.CLIENT_CLOSE_OK:
                rig.client_sends(Channel.CloseOk())
            case I.CLIENT_FRAME:
                rig.client_sends(publish("good"))
            case I.BROKER_OPEN_OK:
                rig.broker_sends(Channel.OpenOk())
            case I.BROKER_CLOSE:
                rig.broker_sends(CLOSE)
            case I.BROKER_CLOSE_OK:
                rig.broker_sends(Channel.CloseOk())
            case I.BROKER_FRAME:
                rig.broker_sends(Channel.Flow(True))
            case I.AGENT_CLOSE:
                self.channel.close(ClientFault(ReplyCode.PRECONDITION_FAILED, "a refusal", scope=FaultScope.CHANNEL))
            case I.HANDED_OVER:
                rig.tick(2.0)
                self.channel.close_if_handed_over()
            case _:
                assert_never(happened)
        rig.collect()


SENT = {
    I.CLIENT_OPEN: "Channel.Open",
    I.CLIENT_CLOSE: "Channel.Close",
    I.CLIENT_FRAME: "Basic.Publish",
    I.BROKER_OPEN_OK: "Channel.OpenOk",
    I.BROKER_CLOSE: "Channel.Close",
    I.BROKER_CLOSE_OK: "Channel.CloseOk",
    I.BROKER_FRAME: "Channel.Flow",
}


def told(action: ChannelAction, happened: ChannelInput) -> tuple[list[str], list[str]]:
    """What the input's sender and the other side are told."""
    match action:
        case A.TAKE | A.RELAY:
            return [], [SENT[happened]]
        case A.DISCARD | A.HOLD | A.HOLD_CLOSE:
            return [], []
        case A.ANSWER:
            return ["Channel.CloseOk"], []
        case A.ANSWER_BOTH:
            return ["Channel.CloseOk"], ["Channel.CloseOk"]
        case A.RELAY_AND_ANSWER:
            return ["Channel.CloseOk"], ["Channel.Close"]
        case A.CLOSE_BOTH:
            return ["Channel.Close"], ["Channel.Close"]
        case A.RELEASE_CLOSE:
            return [], ["Channel.Close"]
        case A.RELEASE:
            return ["Channel.Open"], []
        case _:
            assert_never(action)


@pytest.mark.parametrize("happened", I, ids=lambda one: one.name)
@pytest.mark.parametrize("state", S, ids=lambda one: one.name)
def test_what_the_table_says_happens(state: ChannelState, happened: ChannelInput) -> None:
    """The next state, what each side is told, or who is at fault."""
    driven = Driven(state)
    driven.happens(happened)
    client, broker = driven.rig.take_client(), driven.rig.take_broker()
    cell = TRANSITIONS[state][happened]

    if isinstance(cell, Wrong):
        (close,) = client
        assert close.name == "Connection.Close"
        expected = ("internal_error", 541) if is_of_broker(happened) else ("protocol_error", int(cell.code))
        assert (list(driven.rig.measures.disconnects), close.method.reply_code) == ([expected[0]], expected[1])
        assert cell.text in next(str(about["text"]) for _, event, about in driven.rig.logged if event.endswith("fault"))
    else:
        sides = [one.name for one in client], [one.name for one in broker]
        assert (sides[::-1] if is_of_broker(happened) else sides) == told(cell[1], happened)
        assert driven.state is cell[0]
        assert driven.rig.relay.snapshot().channels == (0 if cell[0] is S.CLOSED else 1)


def test_nothing_in_the_table_is_idle() -> None:
    """Every state can be reached, every action is somebody's."""
    cells = [cell for row in TRANSITIONS.values() for cell in row.values() if not isinstance(cell, Wrong)]

    assert all(set(row) == set(I) for row in TRANSITIONS.values())
    assert {state for state, _ in cells} == set(S) == set(TRANSITIONS)
    assert {action for _, action in cells} == set(A)


def _sent_ahead(driven: Driven) -> None:
    driven.rig.client_sends(publish("good", b"ahead"))


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [(_sent_ahead, ["Channel.Open", "Basic.Publish"]), (lambda driven: None, ["Channel.Open"])],
    ids=["something", "nothing"],
)
def test_what_was_held_is_taken_up(ahead: Callable[[Driven], None], expected: list[str]) -> None:
    """The open goes first, under another opening than the one before."""
    driven = Driven(S.REOPENING)
    opening = driven.channel.opening
    ahead(driven)
    driven.happens(I.BROKER_CLOSE_OK)

    assert driven.rig.broker_names() == expected
    assert driven.channel.opening > opening
