"""Load with rejects: a publisher that is never killed, and beside the service all that may be, started again each time.

What was confirmed, what the service took, and what lies among the dead letters are three books that nobody who is
killed keeps in his memory.
"""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import pika.exceptions

from letrade_topo.load.topology_file import load_topology
from letrade_topo.model.names import rejected_queue, retry_queue
from tests.agents import RunningAgent
from tests.brokers import RunningBroker
from tests.ports import free_ports
from tests.soak.agents.ends import LoadPublisher
from tests.soak.agents.world import DEAD, KEY, KEY_NOBODY_WANTS, QUEUE, CampaignWorld, document
from tests.soak.retries.fates import Fate, fate_of, identity
from tests.topologies import Document

SETTLED_SECONDS = 600.0
"""By then a slow machine has worked off what piled up, and the broker has gone on by itself."""
QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.2
_LADDER = {"max_retries": 3, "delay": "500ms", "multiplier": 2}


def with_ladder(vhost: str) -> Document:
    """The topology of the other campaigns, with short delays, and a lifetime that no campaign outlasts."""
    made = document(vhost)
    made["retry"] = _LADDER
    for key in (KEY, KEY_NOBODY_WANTS):
        made["messages"][key] = made["messages"][key] | {"lifetime": "1h"}
    return made


@dataclass(slots=True)
class BookedService:
    """The service, its agent, and its book.

    Args:
        world: where it runs.
        book: what it took.
    """

    world: CampaignWorld
    book: Path
    _ports: tuple[int, int] = field(default_factory=lambda: _two(free_ports(2)))
    _agent: RunningAgent | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def agent(self) -> RunningAgent:
        """The one that runs now."""
        assert self._agent is not None
        return self._agent

    def start_agent(self) -> None:
        """Start it, on the ports that it always has."""
        self._agent = self.world.agent("clerk", ports=self._ports)

    def kill_agent(self) -> None:
        """kill -9, and a new one."""
        self.agent.signal(signal.SIGKILL)
        self.agent.wait()
        self.start_agent()

    def start(self) -> None:
        """Start the service itself."""
        program = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.soak.retries.service"]
        self._process = subprocess.Popen([*program, self.agent.url, QUEUE, str(self.book)])

    def kill(self) -> None:
        """kill -9, and a new one."""
        self.end()
        self.start()

    def end(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def taken(self) -> Counter[tuple[int, str]]:
        """What it took, and how often, by number and message id."""
        if not self.book.exists():
            return Counter()
        lines = (line.split() for line in self.book.read_text(encoding="ascii").splitlines())
        return Counter((int(number), message_id) for number, message_id, _ in lines)


@contextmanager
def running_service(world: CampaignWorld) -> Iterator[BookedService]:
    """The service beside its agent; the program is ended first."""
    service = BookedService(world, world.folder / "taken")
    service.start_agent()
    service.start()
    try:
        yield service
    finally:
        service.end()


@dataclass(frozen=True, slots=True)
class Books:
    """Who has what, after all of it came to its end.

    Args:
        confirmed: numbers that the broker's word was given for.
        taken: deliveries that the service took, by number and id.
        dead: dead letters, by number and id.
    """

    confirmed: frozenset[int]
    taken: Counter[tuple[int, str]]
    dead: Counter[tuple[int, str]]

    @property
    def missing(self) -> set[int]:
        """Confirmed, and nowhere."""
        return set(self.confirmed) - {number for number, _ in (*self.taken, *self.dead)}

    @property
    def misled(self) -> set[int]:
        """Taken although the service takes it never, or dead although it does."""
        taken = {number for number, _ in self.taken if fate_of(number) is Fate.NEVER_TAKEN}
        return taken | {number for number, _ in self.dead if fate_of(number) is not Fate.NEVER_TAKEN}

    @property
    def published_twice(self) -> int:
        """Numbers that came as two messages: the publisher sent them again, because it had not heard of a confirm."""
        ids = Counter(number for number, _ in {*self.taken, *self.dead})
        return ids.total() - len(ids)

    @property
    def taken_twice(self) -> int:
        """Deliveries of one message that the service had taken before."""
        return self.taken.total() - len(self.taken)

    @property
    def dead_twice(self) -> int:
        """Dead letters of one message beyond its first."""
        return self.dead.total() - len(self.dead)


def books(world: CampaignWorld, service: BookedService, publisher: LoadPublisher) -> Books:
    """As they are at this moment."""
    return Books(frozenset(publisher.confirmed.numbers()), service.taken(), dead_letters(world))


def settled_books(world: CampaignWorld, service: BookedService, publisher: LoadPublisher) -> tuple[Books, float]:
    """The books once nothing is under way any more; and how long that took.

    Nothing is: every confirmed message is in a book, and all queues but that of the dead letters stay empty.
    """
    begin = time.monotonic()
    quiet_since: float | None = None
    while True:
        waiting = waiting_messages(world)
        now = time.monotonic()
        if waiting:
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since > QUIET_SECONDS:
            found = books(world, service, publisher)
            if not found.missing:
                return found, now - begin
        assert now - begin < SETTLED_SECONDS, _story(books(world, service, publisher), waiting)
        time.sleep(_POLL_SECONDS)


def waiting_messages(world: CampaignWorld) -> dict[str, int]:
    """Messages that are ready in the queues of the ladder and its consumer, by the broker's own word at this moment."""
    policy = load_topology(world.topology).topology.queues[QUEUE].retry
    assert policy is not None
    steps = range(1, policy.max_retries + 1)
    names = [QUEUE, rejected_queue(QUEUE), *(retry_queue(QUEUE, step) for step in steps)]
    with _channel(world) as channel:
        counts = {name: int(channel.queue_declare(name, passive=True).method.message_count) for name in names}
    return {name: count for name, count in counts.items() if count}


def dead_letters(world: CampaignWorld) -> Counter[tuple[int, str]]:
    """What lies among the dead letters, and stays there."""
    found: Counter[tuple[int, str]] = Counter()
    with _channel(world) as channel:
        count = channel.queue_declare(DEAD, passive=True).method.message_count
        if not count:
            return found
        for _, _, body in channel.consume(DEAD, inactivity_timeout=30):
            assert body is not None, f"{len(found)} of {count} dead letters came"
            found[identity(body)] += 1
            if found.total() == count:
                break
    return found


@contextmanager
def _channel(world: CampaignWorld) -> Iterator[Any]:
    """As the administrator, straight at the broker."""
    broker: RunningBroker = world.broker
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    with ExitStack() as stack:
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                broker.amqps_port,
                world.vhost,
                pika.PlainCredentials(broker.username, broker.password),
                ssl_options=pika.SSLOptions(context, "127.0.0.1"),
            )
        )
        stack.callback(connection.close)
        yield connection.channel()


def _story(found: Books, waiting: dict[str, int]) -> str:
    missing = sorted(found.missing)
    fates = Counter(fate_of(number).value for number in missing)
    return f"{len(missing)} confirmed messages are nowhere {dict(fates)}: {missing[:20]} …; waiting: {waiting}"


def at_moments(moments: list[float], act: Callable[[], None]) -> None:
    """Act at each of these moments, seconds from now; at once if the one before took longer."""
    begin = time.monotonic()
    for moment in moments:
        time.sleep(max(0.0, begin + moment - time.monotonic()))  # the moment is the point
        act()


def _two(ports: list[int]) -> tuple[int, int]:
    first, second = ports
    return first, second
