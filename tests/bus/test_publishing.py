"""Publishing through an agent: what arrives, and what a refusal looks like."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from letrade_topo.bus import (
    BatchFailed,
    BusError,
    DestinationError,
    DestinationRefused,
    MessageBus,
    NotConnected,
    PayloadError,
    SchemaRefused,
    TooLarge,
    Unroutable,
)
from tests.bus.samples import SAMPLES
from tests.bus.world import LIMIT_SECONDS, BusWorld, healthy, run

pytestmark = pytest.mark.one_version

TRADE: dict[str, Any] = {"strategy_id": 123, "symbol": "BTC/USDT", "side": "buy", "amount": 0.01}
COMMANDS = "letrade.commands"


def test_envelope_and_properties(letrade: BusWorld) -> None:
    """The envelope is the contract's, the property is the envelope's id, commands are urgent and persistent."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus:
            before = datetime.now(UTC)
            message_id = await bus.publish(COMMANDS, "cancel_order", SAMPLES["commands.cancel_order"])
        (found,) = letrade.messages("exchange_connector.cancel_order")
        assert found["routing_key"] == "commands.cancel_order"
        properties = found["properties"]
        assert properties["message_id"] == message_id == str(uuid.UUID(message_id))
        assert (properties["app_id"], properties["content_type"]) == ("strategy", "application/json")
        assert (properties["delivery_mode"], properties["priority"]) == (2, 5)
        async with letrade.bus("strategy") as bus, letrade.bus("exchange_connector") as connector:
            subscription = await connector.subscribe("commands.cancel_order")
            await bus.publish(
                COMMANDS, "cancel_order", SAMPLES["commands.cancel_order"], headers={"traceparent": "00-1"}
            )
            async with subscription as messages:
                message = await anext(messages)
        assert set(message.envelope) == {"message_id", "timestamp", "source", "payload"}
        written = str(message.envelope["timestamp"])
        assert written.endswith("Z")
        assert len(written) == len("2024-01-01T10:00:00.000Z")
        assert before.replace(microsecond=0) <= message.timestamp <= datetime.now(UTC)
        assert message.headers == {"traceparent": "00-1"}
        assert isinstance(message, dict)
        assert message.get("order_id") == "12345"

    run(scenario)


@pytest.mark.parametrize(
    ("service", "payload", "kind", "code", "said"),
    [
        ("strategy", TRADE | {"side": "hold"}, SchemaRefused, 406, "/side has to be one of"),
        ("strategy", TRADE | {"symbol": "x" * 140_000}, TooLarge, 406, "131072"),
        ("exchange_connector", TRADE, DestinationRefused, 403, "does not publish commands.execute_trade"),
    ],
)
def test_refusals_have_a_type_and_a_reason(
    letrade: BusWorld, service: str, payload: dict[str, Any], kind: type[BusError], code: int, said: str
) -> None:
    """In the agent's words; the bus goes on working."""

    async def scenario() -> None:
        async with letrade.bus(service) as bus:
            for _ in range(2):
                with pytest.raises(kind) as raised:
                    await bus.publish(COMMANDS, "execute_trade", payload)
                assert getattr(raised.value, "code", None) == code
                assert said in raised.value.why
                assert raised.value.fix

    run(scenario)


def test_what_nobody_receives_is_unroutable(letrade: BusWorld) -> None:
    """Every publish is mandatory; `response.*` has no queue unless somebody asked."""

    async def scenario() -> None:
        async with letrade.bus("capital_manager") as bus:
            with pytest.raises(Unroutable, match=r"no queue receives response\.capital\.allocation"):
                await bus.publish(
                    "letrade.requests", "response.capital.allocation", SAMPLES["response.capital.allocation"]
                )

    run(scenario)


@pytest.mark.parametrize(
    "payload", [[1], None, {"at": datetime.now(UTC)}, {"amount": Decimal(1)}, {"x": float("nan")}, {"x": "\ud800"}]
)
def test_what_is_no_json_object_is_never_sent(letrade: BusWorld, payload: Any) -> None:
    """The error says what to use instead."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus:
            with pytest.raises(PayloadError) as raised:
                await bus.publish(COMMANDS, "execute_trade", payload)
            assert raised.value.fix

    run(scenario)


@pytest.mark.parametrize(
    "given", [{"headers": {"x": object()}}, {"headers": {1: "x"}}, {"correlation_id": 5}, {"correlation_id": "x" * 256}]
)
def test_properties_that_amqp_cannot_say_are_never_sent(letrade: BusWorld, given: dict[str, Any]) -> None:
    """As with the payload."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus:
            with pytest.raises(PayloadError, match="cannot be written in AMQP"):
                await bus.publish(COMMANDS, "execute_trade", TRADE, **given)

    run(scenario)


def test_a_mistake_in_a_batch_is_the_callers_own_exception(letrade: BusWorld) -> None:
    """As it is, when everything before it has its end; in a list of no three parts, before anything is sent."""
    letrade.purge("exchange_connector.execute_trade")

    def broken() -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield COMMANDS, "execute_trade", TRADE
        raise LookupError("no more")

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus:
            with pytest.raises(TypeError, match="exchange, key and payload"):
                await bus.publish_batch([(COMMANDS, "execute_trade", TRADE), (COMMANDS, "execute_trade")])  # type: ignore[list-item]  # the mistake
            with pytest.raises(LookupError, match="no more"):
                await bus.publish_batch(broken())
        async with letrade.bus("exchange_connector") as connector:
            async with await connector.subscribe("commands.execute_trade") as messages:
                assert await anext(messages) == TRADE
            left = "exchange_connector.execute_trade"
            await healthy(connector, lambda health: health["queues"][left] == 0, "nothing is left")

    run(scenario)


def test_a_batch_is_confirmed_in_order(letrade: BusWorld) -> None:
    """A generator of any length; the ids are those of the messages, in their order, and they arrive in it."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus, letrade.bus("exchange_connector") as connector:
            subscription = await connector.subscribe("commands.execute_trade", prefetch=500)
            batch = ((COMMANDS, "execute_trade", TRADE | {"strategy_id": number}) for number in range(2_000))
            ids = await bus.publish_batch(batch)
            assert len(set(ids)) == 2_000
            arrived: list[tuple[str, int]] = []
            async with subscription as messages:
                async for message in messages:
                    arrived.append((message.message_id, message["strategy_id"]))
                    if len(arrived) == 2_000:
                        break
            assert arrived == list(zip(ids, range(2_000), strict=True))
            assert await bus.publish_batch([]) == []

    run(scenario)


def test_a_batch_says_which_failed(letrade: BusWorld) -> None:
    """One refused, one unknown, one that is no JSON; the others are on the broker."""

    async def scenario() -> None:
        async with letrade.bus("strategy") as bus:
            with pytest.raises(BatchFailed) as raised:
                await bus.publish_batch(
                    [
                        (COMMANDS, "execute_trade", TRADE),
                        (COMMANDS, "execute_trade", TRADE | {"side": "hold"}),
                        (COMMANDS, "exectue_trade", TRADE),
                        (COMMANDS, "execute_trade", {"at": datetime.now(UTC)}),
                        (COMMANDS, "execute_trade", TRADE),
                    ]
                )
        failed = raised.value
        kinds = {1: SchemaRefused, 2: DestinationError, 3: PayloadError}
        assert {index: type(failure) for index, failure in failed.failures.items()} == kinds
        assert sorted(failed.confirmed) == [0, 4]
        assert "3 of 5 messages" in str(failed)
        deadline = time.monotonic() + LIMIT_SECONDS
        found: list[str] = []
        while len(found) < 2 and time.monotonic() < deadline:
            found += [each["properties"]["message_id"] for each in letrade.messages("exchange_connector.execute_trade")]
        assert found == [failed.confirmed[0], failed.confirmed[4]]

    run(scenario)


def test_before_connect_and_after_close(letrade: BusWorld) -> None:
    """Each says what to do first; closing twice and connecting again are fine."""

    async def scenario() -> None:
        bus = letrade.bus("strategy")
        with pytest.raises(NotConnected, match="connect"):
            await bus.publish(COMMANDS, "execute_trade", TRADE)
        assert (await bus.health_check())["status"] == "down"
        await bus.connect()
        await bus.connect()
        await bus.close()
        await bus.close()
        with pytest.raises(NotConnected):
            await bus.subscribe("events.error")
        await bus.connect()
        await bus.publish(COMMANDS, "execute_trade", TRADE)
        await bus.close()
        letrade.purge("exchange_connector.execute_trade")

    run(scenario)


def test_nobody_at_the_address(letrade: BusWorld) -> None:
    """After the time that was given, with the address and what to start."""

    async def scenario() -> None:
        bus = MessageBus(service="strategy", topology=letrade.topology, url="amqp://someone:secret@127.0.0.1:1")
        with pytest.raises(NotConnected) as raised:
            await bus.connect(timeout=0.3)
        assert "amqp://127.0.0.1:1" in str(raised.value)
        assert "letrade-agent run --service strategy" in str(raised.value)
        assert "secret" not in str(raised.value)

    run(scenario)
