"""Any deliveries, shown or not, and anything the client settles: each is settled at the broker exactly as meant."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from letrade_agent.relay.effects import HandOver
from pamqp.commands import Basic

from tests.examples_per_property import ordinary_examples

from .kit import ReadContent, Rig, deliver

KEYS = ("good", "good", "good", "bad", "held", "repeated")


class Broker:
    """A channel of a broker that keeps book of what it has delivered; it refuses what RabbitMQ refuses."""

    def __init__(self) -> None:
        self.delivered = 0
        self.unsettled: list[int] = []
        self.settled: dict[int, str] = {}

    def deliver(self) -> int:
        """Give a delivery its tag."""
        self.delivered += 1
        self.unsettled.append(self.delivered)
        return self.delivered

    def settle(self, tag: int, multiple: bool, how: str) -> None:
        """Take an ack, nack or reject."""
        covered = [one for one in self.unsettled if one <= tag] if multiple else [tag]
        assert tag in self.unsettled, f"406 unknown delivery tag {tag}"
        for one in covered:
            self.unsettled.remove(one)
            self.settled[one] = how


class DeliveriesModel(RuleBasedStateMachine):
    """`meant` is what the client, or the confirm of a hand-over, wants of each upstream tag."""

    broker_counts_nacks = True

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(broker_counts_nacks=self.broker_counts_nacks).open().consume()
        self.broker = Broker()
        self.meant: dict[int, str] = {}
        self.visible: dict[int, int] = {}
        self.last_client_tag = 0
        self.held: list[int] = []
        self.shown: list[int] = []
        self.recovers = 0

    def _collect(self) -> None:
        for seen in self.rig.take_client():
            if not isinstance(seen, ReadContent):
                assert seen.name == "Basic.RecoverOk"
                self.recovers -= 1
                continue
            assert seen.name == "Basic.Deliver"
            self.last_client_tag += 1
            assert seen.method.delivery_tag == self.last_client_tag, "client tags have no gaps"
            upstream = int(seen.body)
            self.visible[self.last_client_tag] = upstream
            self.shown.append(upstream)
        for seen in self.rig.take_broker():
            method = seen.method
            how = method.name.removeprefix("Basic.").lower()
            if how != "ack":
                how += "-requeue" if method.requeue else "-drop"
            self.broker.settle(method.delivery_tag, getattr(method, "multiple", False), how)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
    def broker_delivers(self, keys: list[str]) -> None:
        """Several in one read; the good ones are seen at once and in order."""
        data = b""
        for key in keys:
            tag = self.broker.deliver()
            body = b"%d" % tag
            self.rig.inbound.verdicts[body] = key
            data += deliver(tag, key, body)
            if key == "repeated":
                self.meant[tag] = "ack"
            elif key == "held":
                self.held.append(tag)
        before = len(self.shown)
        self.rig.broker_sends(data)
        self._collect()
        assert self.shown[before:] == [
            tag
            for tag, key in zip(
                range(self.broker.delivered - len(keys) + 1, self.broker.delivered + 1), keys, strict=True
            )
            if key == "good"
        ]

    @precondition(lambda self: self.held)
    @rule(pick=st.integers(0, 1000), verdict=st.sampled_from(("good", "bad", "repeated")), by_tick=st.booleans())
    def held_becomes(self, pick: int, verdict: str, by_tick: bool) -> None:
        """A kept one is judged anew."""
        tag = self.held.pop(pick % len(self.held))
        self.rig.inbound.verdicts[b"%d" % tag] = verdict
        if verdict == "repeated":
            self.meant[tag] = "ack"
        if by_tick:
            self.rig.tick(0.001)
        else:
            self.rig.relay.filters_changed()
            self.rig.collect()
        self._collect()
        assert (tag in self.shown) == (verdict == "good")

    @precondition(lambda self: self.rig.hand_overs)
    @rule(pick=st.integers(0, 1000))
    def hand_over_is_confirmed(self, pick: int) -> None:
        """In any order."""
        effects = self.rig.effects
        effect = effects.pop(pick % len(effects))
        assert isinstance(effect, HandOver)
        tag = effect.ticket.upstream_tag
        assert tag is not None
        assert effect.dead_letter.body == b"%d" % tag
        self.meant[tag] = "ack"
        self.rig.hand_over(effect)
        self._collect()

    @precondition(lambda self: self.visible)
    @rule(
        pick=st.integers(0, 1000),
        multiple=st.booleans(),
        zero=st.integers(0, 9).map(lambda number: number == 0),
        how=st.sampled_from(("ack", "nack-requeue", "nack-drop", "reject-requeue", "reject-drop")),
    )
    def client_settles(self, pick: int, multiple: bool, zero: bool, how: str) -> None:
        """Any visible tag, by any method."""
        tag = sorted(self.visible)[pick % len(self.visible)]
        requeue = how.endswith("-requeue")
        multiple = multiple and not how.startswith("reject")
        covered = [one for one in self.visible if zero or one <= tag] if multiple else [tag]
        for one in covered:
            self.meant[self.visible.pop(one)] = self._upstream(how)
        tag = 0 if multiple and zero else tag
        if how == "ack":
            self.rig.client_sends(Basic.Ack(tag, multiple))
        elif how.startswith("nack"):
            self.rig.client_sends(Basic.Nack(tag, multiple, requeue))
        else:
            self.rig.client_sends(Basic.Reject(tag, requeue))
        self._collect()

    @rule()
    def client_recovers(self) -> None:
        """All that is visible goes back."""
        for upstream in self.visible.values():
            self.meant[upstream] = self._upstream("nack-requeue")
        self.visible.clear()
        self.recovers += 1
        self.rig.client_sends(Basic.Recover(True))
        self._collect()
        assert self.recovers == 0

    def _upstream(self, how: str) -> str:
        """How the broker has to hear it: what it does not count goes back by a reject."""
        return "reject-requeue" if how == "nack-requeue" and not self.broker_counts_nacks else how

    @invariant()
    def everything_is_settled_as_it_was_meant(self) -> None:
        """Nothing more, nothing less, nothing early."""
        assert self.broker.settled == self.meant

    @invariant()
    def counts_are_right(self) -> None:
        """Gauges say what is so."""
        measures = self.rig.measures
        snapshot = self.rig.relay.snapshot()
        assert measures.unsettled == snapshot.unsettled == len(self.visible)
        assert measures.held == snapshot.held == len(self.held) + len(self.rig.hand_overs)
        assert (self.rig.relay.held_bytes > 0) == (measures.held > 0)


class DeliveriesOfUncountedNacks(DeliveriesModel):
    """The same towards a broker that does not count nacks: from 4.3 on."""

    broker_counts_nacks = False


TestDeliveries = DeliveriesModel.TestCase
TestDeliveriesOfUncountedNacks = DeliveriesOfUncountedNacks.TestCase
for case in (TestDeliveries, TestDeliveriesOfUncountedNacks):
    case.settings = settings(max_examples=ordinary_examples(), stateful_step_count=40, deadline=None)
