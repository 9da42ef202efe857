"""Each service may do what the topology says of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from letrade_topo.broker.objects import Address, Permission, TopicPermission, User, UserLimit
from letrade_topo.model.security import SecretReference, SecretSource
from tests.access import Access
from tests.topologies import VERSIONS, Document, expanded, loaded, orders, shipped

REPLIES = "strategy.reply.6f1c"
COPIES = "strategy.sub.6f1c"


def of_shipped(user: str, version: str = "4.0.5") -> Access:
    """What a user of the shipped topology may do."""
    return Access(expanded(shipped(), version), user)


def with_service(**service: Any) -> Document:
    """The orders topology with these settings on its consuming service."""
    document = orders()
    document["services"]["clerk"].update(service)
    return document


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("user", ["strategy", "capital_manager", "exchange_connector", "core_engine"])
def test_a_service_publishes_its_own_types_and_no_others(user: str, version: str) -> None:
    """Of all types of the contract, exactly the declared ones pass, each on its own exchange only."""
    topology, access = shipped(), of_shipped(user, version)
    for message in topology.messages.values():
        key = message.key.text.replace("{exchange}", "binance").replace("{symbol}", "btcusdt")
        declared = message.name in topology.services[user].publishes
        for exchange in topology.exchanges:
            assert access.may_publish(exchange, key) == (declared and exchange == message.exchange), (exchange, key)


@pytest.mark.parametrize(("mode", "passes"), [("enforce", False), ("warn", True), ("off", False)])
def test_mode_warn_lets_publishers_use_any_key(mode: str, passes: bool) -> None:
    """It delivers what it would refuse, so the broker may not refuse it; nobody else gets more."""
    access = Access(expanded(loaded(orders(exchanges={"orders": {"mode": mode}}))), "orders-shop")
    assert access.may_publish("orders", "order.placed")
    assert access.may_publish("orders", "order.cancelled") == passes
    clerk = Access(access.state, "orders-clerk")
    assert not clerk.may_publish("orders", "order.placed")
    assert not clerk.may_bind("clerk.reply.1", "orders", "order.cancelled")


@pytest.mark.parametrize("user", ["strategy", "capital_manager", "exchange_connector", "core_engine"])
def test_no_service_reaches_the_default_exchange_or_predefined_ones(user: str) -> None:
    """Write on the default exchange would open every queue of the vhost."""
    access = of_shipped(user)
    for exchange in ("", "amq.default", "amq.topic", "amq.direct", "amq.fanout"):
        assert not access.may_publish(exchange, "strategy.error")


def test_a_service_reads_its_own_queues_only() -> None:
    """Its queues, what they rejected, and nobody else's; ladders and dead letters not at all."""
    topology, access = shipped(), of_shipped("strategy")
    own = {queue.name for queue in topology.queues.values() if queue.service == "strategy"}
    readable = own | {f"{name}.rejected" for name in own if topology.queues[name].has_rejected_queue}
    queues = {address.removeprefix("queue:") for address in access.state.objects if address.startswith("queue:")}
    assert {queue for queue in queues if access.may_consume(queue)} == readable
    assert not any(access.may_declare(name) or access.may_bind(name, "letrade.events", "events.error") for name in own)


def test_run_time_queues_are_allowed_by_prefix() -> None:
    """An instance makes, binds and reads queues of its own, whose names begin with its service's."""
    access = of_shipped("strategy")
    for queue in (REPLIES, COPIES):
        assert access.may_declare(queue)
        assert access.may_consume(queue)
        assert access.may_bind(queue, "letrade.requests", "response.market_data")
    for other in ("strategy.reply.", "strategyxreply.1", "xstrategy.reply.1", "strategy.other.1", "core_engine.sub.1"):
        assert not access.may_declare(other)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("events.trade_executed", True),
        ("market_data.binance.btcusdt", True),
        ("market_data.binance.*", True),
        ("market_data.*.*", True),
        ("*.strategy_123.*", True),
        ("#", False),
        ("*.*", False),
        ("events.*", False),
        ("market_data.#", False),
        ("*.*.*", False),
        ("*.strategy_*.*", False),
        ("commands.execute_trade", False),
    ],
)
def test_a_subscription_asks_for_no_more_than_is_declared(key: str, allowed: bool) -> None:
    """RabbitMQ judges the text of the binding key, so wildcards wider than the declared keys are refused."""
    assert of_shipped("strategy").may_bind(COPIES, "letrade.events", key) is allowed


def test_a_pattern_may_be_bound_on_every_exchange_that_carries_messages() -> None:
    """A pattern names no exchange; dead letters and retries are none of its business."""
    access = of_shipped("strategy")
    for exchange in ("letrade.commands", "letrade.events", "letrade.requests"):
        assert access.may_bind(COPIES, exchange, "*.strategy_7.*")
    for exchange in ("letrade.dlq", "letrade.retry", "amq.topic"):
        assert not access.may_bind(COPIES, exchange, "*.strategy_7.*")


def test_only_its_own_ladder_is_open_to_a_service() -> None:
    """On the retry exchange: its own queues' keys; on the dead-letter exchange: dead keys only."""
    access = of_shipped("strategy")
    assert access.may_publish("letrade.retry", "strategy.error.retry.1")
    assert access.may_publish("letrade.retry", "strategy.error.rejected")
    for key in (
        "core_engine.error.retry.1",
        "strategy.error",
        "strategy.error.retry.x",
        "strategy.market_data.rejected",
    ):
        assert not access.may_publish("letrade.retry", key)
    assert access.may_publish("letrade.dlq", "commands.execute_trade.dead")
    for key in ("commands.execute_trade", ".dead", "dead"):
        assert not access.may_publish("letrade.dlq", key)


def test_a_service_that_only_publishes_may_read_and_configure_nothing() -> None:
    """No run-time queue, no dead letters, no ladder."""
    state = expanded(loaded(orders()))
    assert state.objects[Address("permission:orders-shop")].object == Permission("orders-shop", "", "^(?:orders)$", "")
    assert Address("topic-permission:orders-shop/letrade.dlq") not in state.objects


def test_direct_reply_to_opens_the_default_exchange() -> None:
    """The one way to write there is asked for by name."""
    assert not Access(expanded(loaded(orders())), "orders-clerk").may_publish("", "amq.rabbitmq.reply-to.x")
    access = Access(expanded(loaded(with_service(direct_reply_to=True))), "orders-clerk")
    assert access.may_publish("", "amq.rabbitmq.reply-to.x")


def test_users_and_limits_are_as_declared() -> None:
    """Tags, limits, permissions and password references of a person are passed on, sorted where order is nothing."""
    document = orders(
        users={
            "orders-eve": {
                "tags": ["policymaker", "monitoring"],
                "password": {"env": "EVE"},
                "permissions": {"configure": "", "write": "", "read": ".*"},
                "topic_permissions": [{"exchange": "orders", "write": "", "read": "^order"}],
                "limits": {"max_connections": 3, "max_channels": 9},
            }
        }
    )
    objects = expanded(loaded(document)).objects
    user = objects[Address("user:orders-eve")].object
    assert user == User("orders-eve", ("monitoring", "policymaker"))
    assert isinstance(user, User)
    assert user.password == SecretReference(SecretSource.ENVIRONMENT, "EVE")
    assert objects[Address("permission:orders-eve")].object == Permission("orders-eve", "", "", ".*")
    assert objects[Address("topic-permission:orders-eve/orders")].object == TopicPermission(
        "orders-eve", "orders", "", "^order"
    )
    assert objects[Address("user-limit:orders-eve/max-channels")].object == UserLimit("orders-eve", "max-channels", 9)
    assert objects[Address("user-limit:orders-eve/max-connections")].object.attributes == {"value": 3}


STYLES = {
    "first": "{service}.{area}.item_{number:04}",
    "last": "item_{number:04}.{service}",
    "among others": "{area}.{service}-{number}",
}


def crowded(style: str, count: int) -> Document:
    """Three services with that many queues and types of each, named in one manner, and other things that are alike."""
    areas = ("orders", "이벤트", "fills")
    services = ("till", "clerk", "clerk2")
    types = {
        service: [
            f"{service}.{{id}}.e{number}" if number % 9 == 0 else f"{service}.e{number}" for number in range(count)
        ]
        for service in services
    }
    queues = {
        STYLES[style].format(service=service, area=areas[number % 3], number=number): {
            "service": service,
            "messages": [types[services[index - 1]][number]],
            **({} if number % 4 else {"dead_letter": "none"}),
        }
        for index, service in enumerate(services)
        for number in range(count)
    }
    return orders(
        exchanges={"orders": {}, "till-orders": {}, "clerk.reports": {}},
        messages={key: {"exchange": "orders", "lifetime": "60s"} for keys in types.values() for key in keys},
        services={
            service: {"publishes": types[service], "consumes": [*types[services[index - 1]], f"{service}.*.#"]}
            for index, service in enumerate(services)
        },
        queues=queues,
    )


@pytest.mark.wide
@pytest.mark.parametrize("style", STYLES)
def test_no_expression_grows_with_what_a_service_has(style: str) -> None:
    """Two hundred queues and types of each service: every right is a short expression, and still nobody else's."""
    topology = loaded(crowded(style, 200))
    state = expanded(topology)
    names = [address.partition(":")[2] for address in state.objects if address.startswith(("queue:", "exchange:"))]
    strange = [f"{service}.{kind}.1" for service in topology.services for kind in ("reply", "sub")]
    for service in topology.services.values():
        for one in state.objects.values():
            if isinstance(one.object, Permission | TopicPermission):
                assert max(len(str(text).encode()) for text in one.object.attributes.values()) <= 1024
        access = Access(state, service.user)
        own = {queue.name for queue in topology.queues.values() if queue.service == service.name}
        rejected = {f"{name}.rejected" for name in own if topology.queues[name].has_rejected_queue}
        run_time = {name for name in strange if name.startswith(f"{service.name}.")}
        assert {name for name in [*names, *strange] if access.may_consume(name)} == own | rejected | run_time | {
            "orders"
        }
        keys = {f"{queue}.{last}" for queue in topology.queues for last in ("rejected", "retry.1")}
        assert {key for key in keys if access.may_publish("letrade.retry", key)} == {
            f"{name}.{last}" for name in own if f"{name}.rejected" in rejected for last in ("rejected", "retry.1")
        }
        for message in topology.messages.values():
            key = message.key.text.replace("{id}", "1")
            assert access.may_publish("orders", key) == (message.name in service.publishes)
            for asked in {key, message.key.text.replace("{id}", "*")}:
                assert access.may_bind(f"{service.name}.sub.1", "orders", asked) == (message.name in service.consumes)
        for asked in ("#", "*.#", "*.e1", "*.*", f"{service.name}.#"):
            assert not access.may_bind(f"{service.name}.sub.1", "orders", asked)
        assert access.may_bind(f"{service.name}.sub.1", "orders", f"{service.name}.*.#")


@pytest.mark.parametrize("version", VERSIONS)
def test_who_has_rejected_messages_may_bury_them(version: str) -> None:
    """Also a service whose queue is fed by a declared binding alone, and that consumes no type by name."""
    document = orders()
    document["services"]["clerk"] = {"user": "orders-clerk"}
    document["queues"]["clerk.orders"] = {"service": "clerk"}
    document["bindings"] = [{"source": "orders", "queue": "clerk.orders", "routing_key": "#"}]
    access = Access(expanded(loaded(document), version), "orders-clerk")
    assert access.may_consume("clerk.orders.rejected")
    assert access.may_publish("letrade.retry", "clerk.orders.retry.1")
    assert access.may_publish("letrade.dlq", "order.placed.dead")
    assert not access.may_publish("letrade.dlq", "order.placed")
