"""Guards: what may not be done without being told to, the words that allow it, and not more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Binding, Exchange, Policy, Queue
from letrade_topo.broker.state import QueueStatus
from letrade_topo.management.reading import QueueCounts
from letrade_topo.plan.guards import Allowance, Allowances, GuardRefusal, InvalidAllowance
from tests.plan.worlds import PlanWorld
from tests.topologies import Document, orders

QUEUE = Address("queue:clerk.orders")


def with_others(count: int = 12) -> Document:
    """The orders topology with exchanges and queues besides, so that one queue more or less is not many."""
    document = orders()
    document["exchanges"] |= {f"other{number}": {} for number in range(count)}
    document["queues"] |= {f"other{number}": {"dead_letter": "none"} for number in range(count)}
    document["bindings"] = [
        {"source": f"other{number}", "queue": f"other{number}", "routing_key": "k"} for number in range(count)
    ]
    return document


def removed(messages: int | None = 0, consumers: int | None = 0) -> PlanWorld:
    """The file has dropped the queue, which holds something by now."""
    document = with_others()
    del document["queues"]["clerk.orders"]
    world = PlanWorld.in_sync(with_others()).declare(document)
    world.counts = {"clerk.orders": QueueCounts(messages, consumers)}
    return world


def replaced(messages: int | None = 0, consumers: int | None = 0) -> PlanWorld:
    """The file has given the queue an argument that the broker cannot change."""
    document = orders()
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    world = PlanWorld.in_sync(orders()).declare(document)
    world.counts = {"clerk.orders": QueueCounts(messages, consumers)}
    return world


def needed(world: PlanWorld, *allow: str) -> list[str]:
    """What each guard asks for."""
    return [refusal.allow for refusal in world.plan(*allow).refusals]


def with_queues(count: int) -> Document:
    """The orders topology with that many queues, four objects each."""
    queue = {"service": "clerk", "messages": ["order.placed", "order.{id}.changed"], "retry": "none"}
    return orders(queues={f"q{number}": queue for number in range(count)})


def test_an_empty_unused_queue_that_the_file_dropped_goes() -> None:
    """Nothing is lost, so nobody is asked."""
    assert needed(removed()) == []


@pytest.mark.parametrize(
    ("messages", "text"),
    [(1, "it holds 1 message;"), (12345, "it holds 12,345 messages;"), (None, "an unknown number")],
)
def test_a_queue_with_messages_goes_only_by_name(messages: int | None, text: str) -> None:
    """The refusal names the figure and the words; a number that the broker does not say is not zero."""
    world = removed(messages=messages)
    assert needed(world) == ["delete-messages=queue:clerk.orders"]
    assert text in world.plan().refusals[0].text
    assert "--allow delete-messages=queue:clerk.orders" in world.plan().refusals[0].text
    assert needed(world, "delete-messages=queue:clerk.orders") == []
    assert needed(world, "delete-messages=queue:other", "delete-many", "adopt", "replace", "delete-unmanaged") == [
        "delete-messages=queue:clerk.orders"
    ]


@pytest.mark.parametrize("consumers", [3, None])
def test_a_consumed_queue_goes_only_by_name(consumers: int | None) -> None:
    """One allowance for messages and one for consumers: neither covers the other."""
    world = removed(messages=2, consumers=consumers)
    assert needed(world) == ["delete-messages=queue:clerk.orders", "delete-consumed=queue:clerk.orders"]
    assert needed(world, "delete-messages=queue:clerk.orders") == ["delete-consumed=queue:clerk.orders"]
    assert needed(world, "delete-messages=queue:clerk.orders", "delete-consumed=queue:clerk.orders") == []


def test_an_unmanaged_queue_with_messages_needs_both_words() -> None:
    """Being foreign makes its messages no less worth keeping."""
    world = PlanWorld.in_sync(orders()).add(Queue("by-hand"))
    world.counts = {"by-hand": QueueCounts(5, 0)}
    assert needed(world) == []
    assert needed(world, "delete-unmanaged") == ["delete-messages=queue:by-hand"]
    assert needed(world, "delete-unmanaged", "delete-messages=queue:by-hand") == []


def test_replacing_an_empty_queue_needs_the_word() -> None:
    """It is deleted and made again, so whatever is published meanwhile is not kept."""
    assert needed(replaced()) == ["replace"]
    assert needed(replaced(), "replace") == []
    assert needed(replaced(), "replace=queue:clerk.orders") == []
    assert needed(replaced(), "replace=queue:other") == ["replace"]


@pytest.mark.parametrize(("messages", "consumers"), [(1, 0), (0, 1), (None, 0), (0, None)])
def test_a_queue_that_is_in_use_is_migrated_and_never_replaced(messages: int | None, consumers: int | None) -> None:
    """Not even by the words that allow its deletion."""
    world = replaced(messages, consumers)
    words = ("replace", "delete-messages=queue:clerk.orders", "delete-consumed=queue:clerk.orders")
    assert needed(world, *words) == ["migrate"]
    assert "only an empty, unused queue is replaced" in world.plan(*words).refusals[0].text


def test_replacing_what_is_not_ours_takes_two_words() -> None:
    """Adoption and replacement are two decisions."""
    world = replaced().disown(QUEUE)
    assert needed(world) == ["adopt", "replace"]
    assert needed(world, "replace") == ["adopt"]
    assert needed(world, "adopt", "replace") == []


@pytest.mark.parametrize("kind", ["topic", "direct", "fanout", "headers"])
@pytest.mark.parametrize("has_key", [True, False])
def test_what_a_staying_queue_dead_letters_into_goes_only_by_name(kind: str, has_key: bool) -> None:
    """A queue, its binding and its exchange, whatever the type of the exchange."""
    document = orders()
    document["exchanges"]["late"] = {"type": kind}
    document["queues"]["late"] = {"service": "clerk", "dead_letter": "none"}
    binding: dict[str, Any] = {"source": "late", "queue": "late"}
    reaching: dict[str, dict[str, Any]] = {
        "topic": {"routing_key": "over.#"},
        "direct": {"routing_key": "over"},
        "fanout": {"routing_key": "whatever"},
        "headers": {"arguments": {"x-match": "any", "a": "b"}},
    }
    binding |= reaching[kind]
    document["bindings"] = [binding]
    user = Queue("by-hand", arguments={"x-queue-type": "classic", "x-dead-letter-exchange": "late"})
    if has_key:
        user = replace(user, arguments={**user.arguments, "x-dead-letter-routing-key": "over"})
    world = PlanWorld.in_sync(document).add(user).declare(orders())
    assert {refusal.address.partition(":")[0] for refusal in world.plan().refusals} == {"queue", "exchange", "binding"}
    assert {refusal.allow.partition("=")[0] for refusal in world.plan().refusals} == {"delete-consumed"}
    assert all("queue:by-hand dead-letters into it" in refusal.why for refusal in world.plan().refusals)
    assert needed(world, *needed(world)) == []
    assert needed(world.remove("queue:by-hand")) == []


def test_a_dead_letter_queue_that_a_key_does_not_reach_is_not_used() -> None:
    """Of the queues bound to a dead-letter exchange only those that the key reaches are guarded."""
    document = orders()
    document["queues"]["other"] = {"service": "clerk", "dead_letter": "none"}
    document["bindings"] = [{"source": "orders", "queue": "other", "routing_key": "unrelated.key"}]
    document["queues"]["clerk.orders"]["dead_letter"] = {"exchange": "letrade.dlq", "routing_key": "x.dead"}
    later = orders()
    later["queues"]["clerk.orders"]["dead_letter"] = {"exchange": "letrade.dlq", "routing_key": "x.dead"}
    assert needed(PlanWorld.in_sync(document).declare(later), "delete-many") == []


def test_dead_lettering_by_the_default_exchange_is_seen() -> None:
    """The key is then the queue's name."""
    arguments: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "clerk.orders"}
    world = removed().add(Queue("by-hand", arguments=arguments))
    assert needed(world) == ["delete-consumed=queue:clerk.orders"]


def test_dead_lettering_by_policy_is_seen() -> None:
    """A policy gives a queue a dead-letter exchange as an argument would; the argument wins."""
    policy = Policy(
        "dead", "^by-", "queues", {"dead-letter-exchange": "", "dead-letter-routing-key": "clerk.orders"}, 1
    )
    world = removed().add(policy, Queue("by-hand"))
    world.status["by-hand"] = QueueStatus(policy="dead")
    assert needed(world) == ["delete-consumed=queue:clerk.orders"]
    elsewhere: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "other"}
    assert needed(world.add(Queue("by-hand", arguments=elsewhere))) == []


def test_dead_lettering_over_several_exchanges_is_seen() -> None:
    """A binding between exchanges leads on, also round in circles."""
    world = removed().add(
        Exchange("first", "fanout"),
        Exchange("second", "fanout"),
        Binding("first", "exchange", "second"),
        Binding("second", "exchange", "first"),
        Binding("second", "queue", "clerk.orders", "x"),
        Queue("by-hand", arguments={"x-dead-letter-exchange": "first"}),
    )
    assert needed(world) == ["delete-consumed=queue:clerk.orders"]


def test_a_queue_and_its_ladder_may_go_together() -> None:
    """The ladder dead-letters into the queue, but goes too, so nobody is asked."""
    plan = removed().plan()
    assert {"queue:clerk.orders", "queue:clerk.orders.retry.1", "queue:clerk.orders.rejected"} <= {
        change.address for change in plan.changes
    }
    assert not plan.refusals


def test_many_deletions_at_once_need_a_word() -> None:
    """A third of what is owned is more likely a wrong file than a wish."""
    world = PlanWorld.in_sync(with_queues(10)).declare(with_queues(1))
    refusals = world.plan().refusals
    assert [refusal.allow for refusal in refusals] == ["delete-many"]
    assert "18 of 21 owned queues and 27 of 31 owned bindings" in refusals[0].why
    assert needed(world, "delete-many") == []


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ({"queues": {}}, "3 of 4 owned queues"),
        ({"services": orders()["services"]}, "1 of 3 owned users"),
        ({"exchanges": {"orders": {}}, "bindings": []}, "of 5 owned exchanges"),
        ({"bindings": []}, "3 of 8 owned bindings"),
        ({"policies": {}}, "1 of 1 owned policy"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_a_third_of_a_kind_needs_the_word_however_few_they_are(without: dict[str, Any], says: str) -> None:
    """An empty `queues:` in a topology of one queue deletes all there is."""
    document = orders()
    document["exchanges"] |= {"second": {}, "third": {}}
    document["policies"] = {"mine": {"pattern": "^amq", "definition": {"max-length": 5}}}
    document["services"]["auditor"] = {"user": "orders-auditor", "consumes": ["order.placed"]}
    document["bindings"] = [{"source": "second", "queue": "letrade.dlq", "routing_key": key} for key in "abc"]
    world = PlanWorld.in_sync(document).declare(document | without)
    (refusal,) = [one for one in world.plan().refusals if one.allow == "delete-many"]
    assert says in refusal.why
    assert "delete-many" not in needed(world, "delete-many")


def test_few_deletions_need_none() -> None:
    """A small share is not guarded, and neither are derived policies, which come and go with versions."""
    assert needed(PlanWorld.in_sync(with_queues(100)).declare(with_queues(90))) == []
    old = [Policy(f"orders.consumer.{number}", "^x", "queues", {"delivery-limit": 20}) for number in range(9)]
    world = PlanWorld.in_sync(orders()).add(*old)
    assert world.record is not None
    world.record = replace(world.record, owned=world.record.owned | {one.address for one in old})
    assert len(world.plan().changes) == len(old)
    assert needed(world) == []


def test_unmanaged_deletions_do_not_count_as_many() -> None:
    """They were asked for by their own word."""
    world = PlanWorld.in_sync(orders()).add(*(Queue(f"x{number}") for number in range(50)))
    assert needed(world, "delete-unmanaged") == []


def test_destroying_is_no_surprise_but_messages_are() -> None:
    """Whoever says destroy is not asked about numbers of objects, but about messages and consumers."""
    world = PlanWorld.in_sync(with_queues(50))
    world.counts = {"q7": QueueCounts(1, 0)}
    refusals = world.plan(destroys=True).refusals
    assert [refusal.allow for refusal in refusals] == ["delete-messages=queue:q7"]
    assert not world.plan("delete-messages=queue:q7", destroys=True).refusals


def test_one_plan_says_all_its_refusals() -> None:
    """Not the first alone, so that one look suffices."""
    document = orders()
    document["queues"]["clerk.orders"]["single_active_consumer"] = True
    world = PlanWorld.in_sync(orders()).declare(document).disown("policy:orders.consumer")
    world.add(Policy("orders.consumer", "x", "all", {"max-length": 1}), Exchange("letrade.retry", "direct"))
    world.counts = {"clerk.orders": QueueCounts(7, 0)}
    assert sorted(needed(world)) == ["adopt", "migrate", "replace"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "adopt, delete-unmanaged, delete-many, replace, migrate, delete-messages, delete-consumed"),
        ("", "adopt"),
        ("ADOPT", "adopt"),
        ("delete-messages", "delete-messages=queue:NAME"),
        ("delete-consumed=", "delete-consumed=queue:NAME"),
    ],
)
def test_unknown_words_are_told_what_there_is(text: str, says: str) -> None:
    """What needs an address is not accepted without."""
    with pytest.raises(InvalidAllowance, match=says):
        Allowances.parse([text])


def test_words_survive_being_written_and_read() -> None:
    """A saved plan holds them as text; an address may hold an equals sign."""
    texts = ["adopt", "delete-messages=queue:a=b", "replace=queue:x y"]
    allowances = Allowances.parse(texts)
    assert allowances.texts == sorted(texts)
    assert allowances.permit(Allowance.DELETE_MESSAGES, "queue:a=b")
    assert not allowances.permit(Allowance.DELETE_MESSAGES, "queue:a")


def test_a_refusal_can_be_pasted_into_a_shell() -> None:
    """An address with spaces and brackets is quoted."""
    address = Binding("a", "queue", "b c", "#").address
    assert f"--allow 'delete-consumed={address}'" in GuardRefusal(address, "why", f"delete-consumed={address}").text
