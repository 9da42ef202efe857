"""Any mixture of small and large messages on two channels, with a store that answers in any order, or not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from letrade_agent.filters.verdicts import Fetched
from letrade_agent.relay.effects import FetchObject, StoreObject
from pamqp.commands import Basic

from tests.agent.relay.kit import ReadContent, Rig, deliver, publish

pytestmark = pytest.mark.wide

CHANNELS = (1, 2)
SOME = st.lists(st.tuples(st.sampled_from(CHANNELS), st.booleans()), min_size=1, max_size=6)


class ClaimsModel(RuleBasedStateMachine):
    """What each side sent, and what the other side has of it."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        for number in CHANNELS:
            self.rig.open(number, confirms=True).consume(f"c{number}", channel=number)
        self.published: dict[int, list[tuple[bytes, str]]] = {number: [] for number in CHANNELS}
        self.arrived: dict[int, list[bytes]] = {number: [] for number in CHANNELS}
        self.nacked: dict[int, list[int]] = {number: [] for number in CHANNELS}
        self.refused: set[bytes] = set()
        self.delivered: dict[int, list[tuple[bytes, str]]] = {number: [] for number in CHANNELS}
        self.shown: dict[int, list[bytes]] = {number: [] for number in CHANNELS}
        self.tags: dict[int, list[int]] = {number: [] for number in CHANNELS}
        self.missing: set[bytes] = set()
        self.acknowledged: dict[int, set[int]] = {number: set() for number in CHANNELS}
        self.done: set[int] = set()

    def _collect(self) -> None:
        for seen in self.rig.take_broker():
            if isinstance(seen, ReadContent):
                self.arrived[seen.channel].append(seen.body)
            else:
                self._settled(seen.channel, seen.method)
        for seen in self.rig.take_client():
            if isinstance(seen, ReadContent):
                self.shown[seen.channel].append(seen.body)
                self.tags[seen.channel].append(seen.method.delivery_tag)
            else:
                assert seen.name == "Basic.Nack"
                self.nacked[seen.channel].append(seen.method.delivery_tag)

    def _settled(self, channel: int, method: Any) -> None:
        assert method.name == "Basic.Ack"
        every = range(1, method.delivery_tag + 1) if method.multiple else (method.delivery_tag,)
        self.acknowledged[channel].update(every)

    def _open(self, kind: type) -> list[Any]:
        return [
            effect
            for number, effect in enumerate(self.rig.effects)
            if isinstance(effect, kind) and number not in self.done
        ]

    def _take(self, kind: type, pick: int) -> Any:
        effects = self._open(kind)
        effect = effects[pick % len(effects)]
        self.done.add(self.rig.effects.index(effect))
        return effect

    @rule(many=SOME)
    def client_publishes(self, many: list[tuple[int, bool]]) -> None:
        """Several in one read, on any channels."""
        data = b""
        for channel, is_large in many:
            key = "big" if is_large else "good"
            body = b"%d.%d" % (channel, len(self.published[channel]))
            self.published[channel].append((body, key))
            data += publish(key, body, channel=channel)
        self.rig.client_sends(data)
        self._collect()

    @rule(many=SOME)
    def broker_delivers(self, many: list[tuple[int, bool]]) -> None:
        """Likewise."""
        data = b""
        for channel, is_large in many:
            key = "claim" if is_large else "good"
            self.delivered[channel].append((body := b"%d:%d" % (channel, len(self.delivered[channel])), key))
            data += deliver(len(self.delivered[channel]), key, body, consumer=f"c{channel}", channel=channel)
        self.rig.broker_sends(data)
        self._collect()

    @precondition(lambda self: self._open(StoreObject))
    @rule(pick=st.integers(0, 10), works=st.booleans())
    def store_answers(self, pick: int, works: bool) -> None:
        """A body is stored, or not."""
        effect = self._take(StoreObject, pick)
        if works:
            self.rig.store(effect)
        else:
            self.refused.add(effect.body)
            self.rig.relay.not_stored(effect.opening, "away")
            self.rig.collect()
        self._collect()

    @precondition(lambda self: self._open(FetchObject))
    @rule(pick=st.integers(0, 10), there=st.booleans())
    def object_comes(self, pick: int, there: bool) -> None:
        """Or is missing."""
        effect = self._take(FetchObject, pick)
        body = effect.claim.object.removeprefix("object of ").encode()
        if not there:
            self.missing.add(body)
        self.rig.fetch(effect, Fetched(b"object " + body) if there else Fetched(reason="claim_missing"))
        self._collect()

    @precondition(lambda self: any(self.tags.values()))
    @rule(channel=st.sampled_from(CHANNELS), multiple=st.booleans())
    def client_acknowledges(self, channel: int, multiple: bool) -> None:
        """The newest, alone or with all before it."""
        if not self.tags[channel]:
            return
        newest = self.tags[channel][-1]
        self.tags[channel] = [] if multiple else self.tags[channel][:-1]
        self.rig.client_sends(Basic.Ack(newest, multiple), channel=channel)
        self._collect()

    @invariant()
    def publishes_keep_their_order(self) -> None:
        """On each channel: what was stored stands for itself, what was refused is left out, nothing overtakes."""
        for channel, published in self.published.items():
            expected = []
            for number, (body, key) in enumerate(published, start=1):
                if body in self.refused:
                    assert number in self.nacked[channel]
                    continue
                expected.append(b"stub of " + body if key == "big" else body)
            assert self.arrived[channel] == expected[: len(self.arrived[channel])]

    @invariant()
    def deliveries_keep_their_order(self) -> None:
        """Likewise; the client's tags have no gaps."""
        for channel, delivered in self.delivered.items():
            expected = [
                b"object " + body if key == "claim" else body for body, key in delivered if body not in self.missing
            ]
            assert self.shown[channel] == expected[: len(self.shown[channel])]

    @invariant()
    def nothing_waits_without_a_reason(self) -> None:
        """Where nothing is stored everything has arrived; where nothing is fetched everything was shown."""
        storing = {effect.opening.channel for effect in self._open(StoreObject)}
        fetching = {effect.ticket.channel for effect in self._open(FetchObject)}
        for channel in CHANNELS:
            if channel not in storing:
                sent = [body for body, _ in self.published[channel] if body not in self.refused]
                assert len(self.arrived[channel]) == len(sent)
            if channel not in fetching:
                good = [body for body, _ in self.delivered[channel] if body not in self.missing]
                assert len(self.shown[channel]) == len(good)
        if not storing:
            assert self.rig.relay.storing_bytes == 0
        if not fetching:
            assert self.rig.relay.held_bytes == self._handed_bytes()

    def _handed_bytes(self) -> int:
        return self.rig.relay.held_bytes if self.rig.hand_overs else 0

    @invariant()
    def only_what_was_shown_is_acknowledged(self) -> None:
        """What waits for its object, or is being handed over, stays with the broker."""
        for channel, tags in self.acknowledged.items():
            shown = set(self.shown[channel])
            for tag in tags:
                body, key = self.delivered[channel][tag - 1]
                assert (b"object " + body if key == "claim" else body) in shown


TestClaims = ClaimsModel.TestCase
TestClaims.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
