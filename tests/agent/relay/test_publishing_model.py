"""Any publishes, refused in any way, and any answers of the broker: every confirm the client sees is right."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pamqp.commands import Basic

from tests.examples_per_property import ordinary_examples

from .kit import ReadContent, Rig, content, publish

KEYS = ("good", "good", "good", "no.header", "no.body", "no.seal")


class PublishesModel(RuleBasedStateMachine):
    """A client that publishes with confirms, and a broker that answers as it likes.

    `sent` holds every publish of the client by its own number; `arrived` is the broker's own numbering.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig().open(confirms=True)
        self.sent: dict[int, tuple[str, bool, bytes]] = {}
        self.arrived: dict[int, bytes] = {}
        self.unanswered_by_broker: list[int] = []
        self.broker_said: dict[bytes, str] = {}
        self.client_heard: dict[int, str] = {}
        self.returned: list[bytes] = []
        self.broker_returned: set[bytes] = set()
        self.sent_at: dict[bytes, float] = {}
        self.waited = 0.0

    def _collect(self) -> None:
        for seen in self.rig.take_broker():
            assert isinstance(seen, ReadContent)
            assert seen.name == "Basic.Publish"
            assert seen.header.properties.content_type == "signed"
            number = len(self.arrived) + 1
            self.arrived[number] = seen.body
            self.unanswered_by_broker.append(number)
        for seen in self.rig.take_client():
            if isinstance(seen, ReadContent):
                assert seen.name == "Basic.Return"
                assert seen.header.properties.content_type is None
                self.returned.append(seen.header.properties.message_id.encode())
            else:
                self._heard(seen.method)

    def _heard(self, method: Any) -> None:
        outcome = {"Basic.Ack": "ack", "Basic.Nack": "nack"}[method.name]
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self.sent if tag <= method.delivery_tag and tag not in self.client_heard]
        for tag in tags:
            assert tag not in self.client_heard, f"publish {tag} was answered twice"
            key, mandatory, body = self.sent[tag]
            if key == "good":
                assert self.broker_said.get(body) == outcome, f"publish {tag}: the broker did not say {outcome}"
            else:
                assert outcome == "nack"
                assert mandatory == (body in self.returned), "the return comes before the nack"
            self.client_heard[tag] = outcome

    @rule(many=st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), min_size=1, max_size=6))
    def client_publishes(self, many: list[tuple[str, bool]]) -> None:
        """Several in one read."""
        self.rig.clock += 1.0
        data = b""
        for key, mandatory in many:
            number = len(self.sent) + 1
            body = b"%d" % number
            self.sent[number] = (key, mandatory, body)
            self.sent_at[body] = self.rig.clock
            data += publish(key, body, mandatory=mandatory, message_id=str(number))
        self.rig.client_sends(data)
        self._collect()

    @precondition(lambda self: self.unanswered_by_broker)
    @rule(pick=st.integers(0, 1000), multiple=st.booleans(), acknowledge=st.booleans(), zero=st.booleans())
    def broker_answers(self, pick: int, multiple: bool, acknowledge: bool, zero: bool) -> None:
        """Any number, alone or with all before it."""
        number = self.unanswered_by_broker[pick % len(self.unanswered_by_broker)]
        covered = [number]
        if multiple:
            covered = [one for one in self.unanswered_by_broker if zero or one <= number]
        for one in covered:
            self.unanswered_by_broker.remove(one)
            self.broker_said[self.arrived[one]] = "ack" if acknowledge else "nack"
            self.waited += self.rig.clock - self.sent_at[self.arrived[one]]
        tag = 0 if multiple and zero else number
        answer = Basic.Ack(tag, multiple) if acknowledge else Basic.Nack(tag, multiple, False)
        self.rig.broker_sends(answer)
        self._collect()

    @precondition(lambda self: self.unanswered_by_broker)
    @rule(pick=st.integers(0, 1000))
    def broker_returns(self, pick: int) -> None:
        """What it could not route, before it answers."""
        body = self.arrived[self.unanswered_by_broker[pick % len(self.unanswered_by_broker)]]
        if body in self.broker_returned:
            return
        self.broker_returned.add(body)
        method = Basic.Return(312, "NO_ROUTE", "ex", "good")
        self.rig.broker_sends(content(method, body, content_type="signed", message_id=body.decode()))
        self._collect()
        assert self.returned[-1] == body

    @invariant()
    def refusals_are_answered_at_once(self) -> None:
        """And the others when the broker has answered, not before."""
        for number, (key, _, body) in self.sent.items():
            answered = self.client_heard.get(number)
            assert answered == ("nack" if key != "good" else self.broker_said.get(body))

    @invariant()
    def the_broker_got_what_was_good_in_order(self) -> None:
        """Nothing else reached it."""
        assert list(self.arrived.values()) == [body for key, _, body in self.sent.values() if key == "good"]

    @invariant()
    def counts_are_right(self) -> None:
        """One observation per answer."""
        measures = self.rig.measures
        assert measures.confirms["ack"] + measures.confirms["nack"] == len(self.broker_said)
        assert sum(measures.confirm_seconds.counts) == len(self.broker_said)
        assert measures.confirm_seconds.total == self.waited
        assert self.rig.relay.snapshot().unconfirmed == len(self.unanswered_by_broker)


TestPublishes = PublishesModel.TestCase
TestPublishes.settings = settings(max_examples=ordinary_examples(), stateful_step_count=30, deadline=None)
