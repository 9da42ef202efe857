"""Heartbeats of one leg, with a clock of the test's own."""

from __future__ import annotations

from letrade_agent.transport.pulse import Beat, Pulse


def beats(interval: float, *moments: tuple[float, int, int, bool]) -> list[Beat]:
    """What is to be done at each moment: time, bytes sent, bytes received, whether it is read."""
    pulse = Pulse(interval, 0.0)
    pulse.beat(0.0, sent=0, received=0, is_reading=True)
    return [
        pulse.beat(now, sent=sent, received=received, is_reading=is_reading)
        for now, sent, received, is_reading in moments
    ]


def test_a_heartbeat_is_sent_after_half_an_interval_of_silence() -> None:
    """row 35: every half interval when nothing else was sent, however much is received."""
    assert beats(10, (4.9, 0, 1, True), (5.0, 0, 2, True)) == [Beat.NOTHING, Beat.SEND]
    assert beats(10, (4.9, 7, 0, True), (5.0, 7, 0, True), (9.9, 7, 0, True)) == [
        Beat.NOTHING,
        Beat.NOTHING,
        Beat.SEND,
    ]


def test_two_silent_intervals_are_death() -> None:
    """row 35: dead after two missed heartbeats; any byte is life."""
    assert beats(10, (20.0, 9, 0, True), (20.1, 9, 0, True))[-1] is Beat.DEAD
    assert beats(10, (19.0, 9, 1, True), (21.0, 10, 1, True))[-1] is Beat.NOTHING


def test_who_is_not_read_is_not_dead() -> None:
    """Under back-pressure nothing can be heard, so silence says nothing; it counts anew when reading goes on."""
    assert beats(10, (30, 9, 0, False), (31, 9, 0, True), (50.1, 10, 0, True))[0:2] == [Beat.NOTHING, Beat.NOTHING]
    assert beats(10, (30, 9, 0, False), (50.1, 10, 0, True))[-1] is Beat.DEAD


def test_no_heartbeats_were_agreed() -> None:
    """With an interval of 0 nothing is sent and nobody is dead."""
    assert beats(0, (1000, 0, 0, True)) == [Beat.NOTHING]
