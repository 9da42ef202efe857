"""A contract is judged as strictly as the agent would, and the bus in memory behaves as the bus."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from letrade_topo.bus import BatchFailed, DestinationRefused, Message, PatternError, RequestTimeout, TooLarge
from letrade_topo.errors import TopoError
from letrade_topo.testing.contract import Contract, ContractBroken
from letrade_topo.testing.memory_bus import MemoryBus
from tests.topologies import SHIPPED, Document, loaded, orders

SCHEMA = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
EXAMPLES = SHIPPED.parent / "examples" / "contract-tests"


def shop(**sections: Any) -> Document:
    """A topology whose orders have a number."""
    messages = {
        "order.placed": {"exchange": "orders", "lifetime": "60s", "schema": SCHEMA},
        "order.{id}.changed": {"exchange": "orders", "lifetime": "60s"},
    }
    return orders(**{"messages": messages} | sections)


def envelope(**changes: Any) -> bytes:
    """The body of an order."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {"message_id": str(uuid.uuid4()), "timestamp": now, "source": "shop", "payload": {"number": 1}}
    return json.dumps(document | changes).encode()


def test_what_is_declared_passes() -> None:
    """And says what it was."""
    seen = Contract(loaded(shop()), "shop").publish("orders", "order.7.changed", envelope())
    assert (seen.message_type, seen.topic, seen.payload) == ("order.{id}.changed", "order.7.changed", {"number": 1})


@pytest.mark.parametrize("mode", ["enforce", "warn", "off"])
@pytest.mark.parametrize(
    ("exchange", "key", "body", "reason"),
    [
        ("orders", "order.lost", envelope(), "undeclared"),
        ("elsewhere", "order.placed", envelope(), "undeclared"),
        ("orders", "order.placed", b"{", "envelope"),
        ("orders", "order.placed", envelope(source="clerk"), "envelope"),
        ("orders", "order.placed", envelope(payload={"number": "one"}), "schema"),
        ("orders", "order.placed", envelope(payload={"number": 1, "much": "x" * 200_000}), "oversize"),
    ],
)
def test_every_mode_is_judged_as_enforced(mode: str, exchange: str, key: str, body: bytes, reason: str) -> None:
    """A test is to fail before `enforce` is switched on, not after."""
    document = shop(
        exchanges={"orders": {"mode": mode}},
        limits={"message_size": "128KiB"},
    )
    with pytest.raises(ContractBroken) as broken:
        Contract(loaded(document), "shop").publish(exchange, key, body)
    assert broken.value.reason == reason


def test_only_a_publisher_publishes() -> None:
    """The consumer of a type is not one."""
    with pytest.raises(ContractBroken, match=r"clerk does not publish order\.placed"):
        Contract(loaded(shop()), "clerk").check_publishes("orders", "order.placed", {"number": 1})


def test_sensitive_fields_and_completed_envelopes() -> None:
    """What needs keys, and what the agent puts in, is judged, too; a test sees the payload as it was."""
    messages = {"order.placed": {"exchange": "orders", "lifetime": "60s", "schema": SCHEMA, "sensitive": ["/number"]}}
    services = {"shop": {"publishes": ["order.placed"]}, "clerk": {"consumes": ["order.placed"]}}
    queues = {"clerk.orders": {"service": "clerk", "messages": ["order.placed"]}}
    document = orders(
        messages=messages, services=services, queues=queues, exchanges={"orders": {"envelope": "complete"}}
    )
    seen = Contract(loaded(document), "shop").publish("orders", "order.placed", b'{"payload": {"number": 7}}')
    assert seen.payload == {"number": 7}
    assert uuid.UUID(seen.message_id)


def test_unknown_service() -> None:
    """With the one that may be meant."""
    with pytest.raises(TopoError, match="shpo") as error:
        MemoryBus(loaded(shop()), "shpo")
    assert "'shop'" in error.value.fix


def test_bus_refuses_as_the_bus_does() -> None:
    """The errors are those of MessageBus: nothing of a service has to know that it is tested."""
    topology = loaded(shop(limits={"message_size": "128KiB"}))

    async def publish() -> None:
        bus = MemoryBus(topology, "shop")
        with pytest.raises(TooLarge):
            await bus.publish("orders", "order.placed", {"number": 1, "much": "x" * 200_000})
        with pytest.raises(BatchFailed) as failed:
            await bus.publish_batch([("orders", "order.placed", {"number": number}) for number in (1, "two", 3)])
        assert failed.value.indexes == [1]
        assert [one.payload["number"] for one in bus.published] == [1, 3]
        clerk = MemoryBus(topology, "clerk")
        with pytest.raises(DestinationRefused):
            await clerk.publish("orders", "order.placed", {"number": 1})

    asyncio.run(publish())


def test_subscriptions_get_what_they_are_for() -> None:
    """By handler and by iteration, each what its pattern means; what a handler raises, a test sees."""
    seen: list[tuple[str, Any]] = []

    def handle(topic: str, message: Message) -> None:
        seen.append((topic, message["number"]))
        if message["number"] < 0:
            raise ValueError("negative")

    async def receive() -> None:
        async with MemoryBus(loaded(shop()), "clerk") as bus:
            with pytest.raises(ContractBroken, match="not subscribed"):
                await bus.deliver("order.placed", {"number": 1})
            placed = await bus.subscribe("order.placed", handle)
            changed = await bus.subscribe("order.*.changed", durable=False)
            await bus.deliver("order.placed", {"number": 1})
            await bus.deliver("order.7.changed", {"number": 2})
            async for message in changed:
                assert (message.topic, message.source, message["number"]) == ("order.7.changed", "shop", 2)
                break
            with pytest.raises(ValueError, match="negative"):
                await bus.deliver("order.placed", {"number": -1})
            with pytest.raises(PatternError):
                await bus.subscribe("invoice.*")
            await placed.close()
            with pytest.raises(ContractBroken, match="not subscribed"):
                await bus.deliver("order.placed", {"number": 1})

    asyncio.run(receive())
    assert seen == [("order.placed", 1), ("order.placed", -1)]


def test_a_request_that_nobody_answers_ends_as_on_a_broker() -> None:
    """After its time."""

    async def ask() -> None:
        from tests.topologies import shipped

        bus = MemoryBus(shipped(), "strategy")
        question = {
            "strategy_id": 1,
            "quantity": 0.01,
            "symbol": "BTC/USDT",
            "side": "buy",
            "price": 50_000.0,
            "stop_loss": 49_000.0,
            "take_profit": 55_000.0,
        }
        with pytest.raises(RequestTimeout):
            await bus.request("letrade.requests", "request.capital.allocation", question, timeout=0.05)

    asyncio.run(ask())


@pytest.mark.wide
def test_examples() -> None:
    """`examples/contract-tests` as their page says: pytest in their folder, with the plugin by opt-in."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=EXAMPLES,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.mark.wide
def test_the_runtime_does_not_need_pytest(tmp_path: Path) -> None:
    """Without it the plugin says what to install, and the bus and the agent are as ever."""
    program = tmp_path / "without.py"
    program.write_text(
        "import sys\nsys.modules['pytest'] = None\nimport importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pytest' else find(name, *rest)\n"
        "import letrade_topo.bus, letrade_agent.app\n"
        "try:\n    import letrade_topo.testing\nexcept ImportError as error:\n    print(error)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert done.stdout == "letrade_topo.testing needs pytest: install letrade-topo[agent,bus,testing]\n", done.stderr
