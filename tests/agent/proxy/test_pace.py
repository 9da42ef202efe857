"""Logins at the broker: so many at once, so many a second, in order, and nobody's place is lost with who gives up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

import pytest
from letrade_agent.config import Address, Settings, UpstreamNode
from letrade_agent.limits import DoorLimits, Limits, UpstreamLimits
from letrade_agent.proxy.pace import Pace

from letrade_topo.amqp.connection_commands import Start, StartOk, Tune
from letrade_topo.amqp.header_table import EMPTY_TABLE
from tests.agent.proxy.world import LIMIT_SECONDS, ProxyClient, running, settings_for, wait_until
from tests.ports import LOOPBACK

pytestmark = pytest.mark.one_version

FAST = 1e9
LOGIN = b"\0any\0thing"


class Inside:
    """Who is in, and may leave."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.came: list[int] = []
        self._leave = asyncio.Event()
        self._leaving: set[int] = set()

    async def visit(self, number: int) -> None:
        """Enter, and stay until told to leave."""
        async with self.pace:
            self.came.append(number)
            while number not in self._leaving:
                self._leave.clear()
                await self._leave.wait()

    def let_go(self, *numbers: int) -> None:
        """These are to leave."""
        self._leaving.update(numbers)
        self._leave.set()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """In a loop, for a bounded time."""

    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            await test()

    asyncio.run(bounded())


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_so_many_at_once_in_order() -> None:
    """Who comes later enters when somebody has left; who gave up meanwhile, or is cancelled inside, is in nobody's
    way."""

    async def test() -> None:
        inside = Inside(Pace(FAST, 2))
        tasks = [asyncio.create_task(inside.visit(number)) for number in range(6)]
        await _turns()
        assert inside.came == [0, 1]

        tasks[2].cancel()
        tasks[1].cancel()
        await _turns()
        assert inside.came == [0, 1, 3]

        inside.let_go(0, 3, 4, 5)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inside.came == [0, 1, 3, 4, 5]

    run(test)


@pytest.mark.parametrize("turns", range(8))
def test_who_is_cancelled_at_any_moment_leaves_its_place(turns: int) -> None:
    """While it waits, when its turn has come and it does not run yet, and when it is in."""

    async def test() -> None:
        inside = Inside(Pace(FAST, 1))
        tasks = [asyncio.create_task(inside.visit(number)) for number in range(3)]
        await _turns()
        inside.let_go(0, 2)
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert inside.came in ([0, 2], [0, 1, 2])

    run(test)


def test_so_many_a_second() -> None:
    """The first ones at once, the others one after the other."""

    async def test() -> None:
        pace, entered = Pace(100, 3), []
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for _ in range(8):
            async with pace:
                entered.append(loop.time() - begin)
        assert entered[7] >= 0.0499, "five of eight waited ten milliseconds each"
        assert entered[2] < entered[7] - 0.039

    run(test)


def _logs_in(client: ProxyClient) -> None:
    client.header()
    client.hear(Start)
    client.say(StartOk(client_properties=EMPTY_TABLE, mechanism=b"PLAIN", response=LOGIN))


@pytest.fixture
def silent_node() -> Iterator[socket.socket]:
    """A node that accepts and says nothing, for as long as a test wants."""
    with socket.create_server((LOOPBACK, 0)) as node:
        node.settimeout(LIMIT_SECONDS)
        yield node


def _settings(node: socket.socket) -> Settings:
    return settings_for(UpstreamNode(Address(LOOPBACK, node.getsockname()[1]), tls=False))


def _patient(door: DoorLimits) -> Limits:
    """With a node, too."""
    return Limits(door=door, upstream=UpstreamLimits(node_seconds=LIMIT_SECONDS, dial_seconds=LIMIT_SECONDS))


def test_the_broker_is_dialled_by_so_many_at_once(silent_node: socket.socket) -> None:
    """The others wait for their turn without a connection to the broker, and are heard at last."""
    limits = _patient(DoorLimits(logins_at_once=2, logins_a_second=1_000))
    with running(_settings(silent_node), username="nobody", limits=limits) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(ProxyClient(proxy.port)) for _ in range(5)]
        for client in clients:
            _logs_in(client)
        dialled = [silent_node.accept()[0] for _ in range(2)]
        for _ in range(2):  # whoever logged in before these came has been read
            late = stack.enter_context(ProxyClient(proxy.port))
            late.header()
            late.hear(Start)
        silent_node.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent_node.accept()
        for one in dialled:
            one.close()
        for client in clients:
            client.hear(Tune)


def test_who_waits_for_the_broker_keeps_its_place(silent_node: socket.socket) -> None:
    """However many come: they wait outside, and are heard when somebody has left."""
    limits = _patient(DoorLimits(handshakes=3))
    with running(_settings(silent_node), username="nobody", limits=limits) as proxy, ExitStack() as stack:
        at_the_door = [stack.enter_context(ProxyClient(proxy.port)) for _ in range(3)]
        for client in at_the_door:
            _logs_in(client)
        dialled = [silent_node.accept()[0] for _ in range(3)]
        outside = [stack.enter_context(ProxyClient(proxy.port)) for _ in range(4)]
        outside[0].header()
        wait_until("all have come", lambda: proxy.measures.client_connections == 7)
        wait_until("it is told", lambda: proxy.log.of("too_many_handshakes"))
        assert not proxy.measures.disconnects

        for one in dialled:
            one.close()
        at_the_door[1].hear(Tune)
        at_the_door[1].socket.close()
        outside[0].hear(Start)
        assert len(proxy.log.of("too_many_handshakes")) == 1
