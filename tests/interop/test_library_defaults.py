"""Programs that keep to their client library's defaults: what is good arrives, and of what is refused they learn.

They are written as the libraries' own documentation writes them; none knows of an agent.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aio_pika
import kombu
import pika
import pytest
from letrade_agent.relay.libraries import LIBRARIES, RefusalForm, form_for, library_of

from letrade_topo.amqp.header_table import HeaderTable, long_string_entry
from tests.interop.bus import QUEUE, Bus, envelope, number_of
from tests.interop.client import LIMIT_SECONDS
from tests.interop.with_amqplib import modules_folder

FOLDER = Path(__file__).parent
KEY = "order.placed"
REFUSED = {
    "by its key": ("order.unknown", envelope("shop")),
    "by its body": (KEY, envelope("shop", "seven")),
    "by its size": (KEY, envelope("shop", note="x" * 131_072)),
}

Program = Callable[[str, str, bytes, bool], str]
"""Publishes one message and says how it learned that it was refused; "" when it did not.

Arguments are the agent's URL, the routing key, the body, and whether the channel has confirms.
"""


def _aio_pika(connect: Callable[[str], Any]) -> Program:
    async def publish(url: str, key: str, body: bytes, confirms: bool) -> None:
        async with await connect(url) as connection:
            channel = await (connection.channel() if confirms else connection.channel(publisher_confirms=False))
            exchange = await channel.get_exchange("orders")
            await exchange.publish(aio_pika.Message(body), key)
            if not confirms:
                async with asyncio.timeout(LIMIT_SECONDS):
                    while True:  # the next calls
                        await channel.get_exchange("orders")
                        await asyncio.sleep(0.01)

    def program(url: str, key: str, body: bytes, confirms: bool) -> str:
        try:
            asyncio.run(publish(url, key, body, confirms))
        except aio_pika.exceptions.AMQPError as error:
            return repr(error)
        return ""

    return program


def _pika(url: str, key: str, body: bytes, confirms: bool) -> str:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        if confirms:
            channel.confirm_delivery()
        try:
            channel.basic_publish("orders", key, body, mandatory=confirms)
            deadline = time.monotonic() + LIMIT_SECONDS
            while not confirms and time.monotonic() < deadline:  # it goes on
                channel.basic_publish("orders", KEY, envelope("shop"))
                connection.process_data_events(0.01)
        except pika.exceptions.AMQPError as error:
            return repr(error)
    return ""


def _kombu(url: str, key: str, body: bytes, confirms: bool) -> str:
    with kombu.Connection(url, transport_options={"confirm_publish": confirms}) as connection:
        producer = connection.Producer(exchange=kombu.Exchange("orders", no_declare=True))
        given = {"content_type": "application/json", "content_encoding": "utf-8"}
        try:
            producer.publish(body, routing_key=key, **given)
            deadline = time.monotonic() + LIMIT_SECONDS
            while not confirms and time.monotonic() < deadline:  # it goes on
                producer.publish(envelope("shop"), routing_key=KEY, **given)
                time.sleep(0.01)
        except Exception as error:  # noqa: BLE001  # MessageNacked of py-amqp has no class above it but this
            return repr(error)
    return ""


def _on_node(library: str) -> Program:
    def program(url: str, key: str, body: bytes, confirms: bool) -> str:
        command = ["node", str(FOLDER / "node" / "defaults.js"), library, url, "orders", key]
        return _learned([*command, _kind(confirms)], body, os.environ | {"NODE_PATH": str(modules_folder())})

    return program


def _go(url: str, key: str, body: bytes, confirms: bool) -> str:
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine: its client's program is not asked")
    command = ["go", "run", "-C", str(FOLDER / "go"), ".", url, "orders", key, _kind(confirms)]
    return _learned(command, body, dict(os.environ))


def _kind(confirms: bool) -> str:
    return "confirms" if confirms else "plain"


def _learned(command: list[str], body: bytes, environment: dict[str, str]) -> str:
    """What a program printed; or what it ended with, which is a way of learning, too."""
    ended = subprocess.run(command, input=body, env=environment, capture_output=True, timeout=120, check=False)
    return (ended.stdout if ended.returncode == 0 else ended.stderr).decode()


PROGRAMS: dict[str, Program] = {
    "aio-pika": _aio_pika(aio_pika.connect),
    "aio-pika, robust": _aio_pika(aio_pika.connect_robust),
    "pika": _pika,
    "kombu": _kombu,
    "amqplib": _on_node("amqplib"),
    "amqp-connection-manager": _on_node("amqp-connection-manager"),
    "rascal": _on_node("rascal"),
    "amqp091-go": _go,
}
_WITH_CONFIRMS_ALONE = frozenset({"aio-pika, robust", "amqp-connection-manager", "rascal"})
"""Confirms are their default, and without they open a closed channel again and say nothing."""


@pytest.mark.one_version
@pytest.mark.parametrize(
    ("name", "confirms"),
    [(name, True) for name in PROGRAMS] + [(name, False) for name in PROGRAMS if name not in _WITH_CONFIRMS_ALONE],
)
def test_a_program_learns_of_a_refused_publish(name: str, confirms: bool, bus: Bus) -> None:
    """By its key, at once; with confirms whatever the library makes of a return."""
    key, body = REFUSED["by its key"]

    learned = PROGRAMS[name](bus.shop.url, key, body, confirms)

    assert learned, "it took the publish for done"
    if not confirms and name != "pika":  # which writes the reason to its log alone
        assert "ACCESS_REFUSED" in learned
        assert "order.unknown" in learned


@pytest.mark.one_version
@pytest.mark.parametrize("case", list(REFUSED))
@pytest.mark.parametrize("connect", [aio_pika.connect, aio_pika.connect_robust], ids=["plain", "robust"])
def test_an_unchanged_program_on_aio_pika(case: str, connect: Callable[[str], Any], bus: Bus) -> None:
    """All that is good arrives, with ids of its own; what is refused raises where it is published, and nowhere else."""
    count = 300
    key, refused = REFUSED[case]
    before = _differing(bus)

    async def publish() -> int:
        caught = 0
        async with await connect(bus.shop.url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("orders")
            for number in range(count):
                await exchange.publish(aio_pika.Message(envelope("shop", number)), KEY)
                if number % 100 == 50:
                    with pytest.raises(aio_pika.exceptions.DeliveryError):
                        await exchange.publish(aio_pika.Message(refused), key)
                    caught += 1
        return caught

    async def consume() -> list[tuple[int, str | None]]:
        found: list[tuple[int, str | None]] = []
        async with await connect(bus.clerk.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(QUEUE)
            async with queue.iterator(timeout=LIMIT_SECONDS) as messages:
                async for message in messages:
                    async with message.process():
                        found.append((number_of(message.body), message.message_id))
                    if len(found) == count:
                        break
        return found

    assert asyncio.run(publish()) == 3
    arrived = asyncio.run(consume())
    assert [number for number, _ in arrived] == list(range(count))
    assert len({message_id for _, message_id in arrived}) == count
    assert _differing(bus) == {direction: counted + count for direction, counted in before.items()}


def _differing(bus: Bus) -> dict[str, float]:
    agents = {"publish": bus.shop, "deliver": bus.clerk}
    return {
        direction: agent.metric("messages_differing_total", direction=direction, property="message_id")
        for direction, agent in agents.items()
    }


def _properties(**given: str) -> HeaderTable:
    return HeaderTable(tuple(long_string_entry(name.encode(), text.encode()) for name, text in given.items()))


@pytest.mark.parametrize(
    ("given", "name", "form"),
    [
        ({"product": "aiormq"}, "aio-pika, aiormq", RefusalForm.NACK),
        ({"product": "AMQPLib", "platform": "PHP"}, "php-amqplib", RefusalForm.CLOSE),
        ({"product": "RabbitMQ", "platform": "Java"}, "RabbitMQ Java client; Spring AMQP", RefusalForm.RETURN_AND_NACK),
        ({"product": "RabbitMQ", "platform": ".NET 8.0.1"}, "RabbitMQ .NET client", RefusalForm.RETURN_AND_NACK),
        ({"product": "RabbitMQ", "platform": "another"}, None, RefusalForm.RETURN_AND_NACK),
        ({"product": "somebody's own"}, None, RefusalForm.RETURN_AND_NACK),
        ({}, None, RefusalForm.RETURN_AND_NACK),
    ],
)
def test_which_library_a_client_uses(given: dict[str, str], name: str | None, form: RefusalForm) -> None:
    """By product, and by platform where two have one product; who is not known gets what a broker would do."""
    library = library_of(_properties(**given))

    assert (None if library is None else library.name) == name
    assert form_for(_properties(**given)) is form


def test_no_two_libraries_are_one() -> None:
    """Each row of the table can be told."""
    for library in LIBRARIES:
        assert library_of(_properties(product=library.product, platform=library.platform)) is library
