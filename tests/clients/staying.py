"""One run of all libraries at once: consumers and publishers while their agents, and then the broker, are restarted.

Each consumes and gives back; an agent is stopped while each has a message in hand; then both agents are gone for a
moment. Who does not come back by itself is started again with the line that the table has for it, and the broker is
restarted under all of them.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from tests.brokers import RunningBroker
from tests.clients.libraries import Again, GivenBack, LibraryDefaults
from tests.clients.program import ClientProgram, running_program
from tests.clients.world import EXCHANGE, LOOKS, ClientWorld, key_of, order, queue_of, wait_until
from tests.soak.restarts import restart

_GOOD, _AGAIN, _FOR_GOOD, _HELD = 1, 100, 150, 200
_WHILE_DRAINING, _AFTER_AGENTS, _AFTER_BROKER = 2, 3, 4


@dataclass
class ClientFleet:
    """A consumer and a publisher of each library.

    Args:
        world: where they are.
        stack: ends them.
        consumers, publishers: by the library's slug.
    """

    world: ClientWorld
    stack: ExitStack
    consumers: dict[str, ClientProgram] = field(default_factory=dict)
    publishers: dict[str, ClientProgram] = field(default_factory=dict)

    def start_consumer(self, library: LibraryDefaults, *line: str) -> ClientProgram:
        """Start it."""
        where = [self.world.url("clerk"), queue_of(library.slug), *line]
        self.consumers[library.slug] = self._start(f"{library.slug}, consumer", library, "consume", where)
        return self.consumers[library.slug]

    def start_publisher(self, library: LibraryDefaults, line: str = "") -> ClientProgram:
        """Start it."""
        where = [self.world.url("shop"), EXCHANGE, f"confirms,mandatory{line}"]
        self.publishers[library.slug] = self._start(f"{library.slug}, publisher", library, "publish", where)
        return self.publishers[library.slug]

    def _start(self, name: str, library: LibraryDefaults, role: str, where: list[str]) -> ClientProgram:
        command = [*library.command(), role, *where]
        return self.stack.enter_context(running_program(name, command, self.world.folder))

    def again(self, start: Callable[[], ClientProgram]) -> ClientProgram:
        """Start it until it is ready, as whatever starts programs does: an agent may just have lost its broker."""
        started = start()

        def is_ready() -> bool:
            nonlocal started
            if started.has_ended:
                started = start()
            return "ready" in started.said

        wait_until(is_ready, "it is ready")
        return started

    def publish(self, slug: str, number: int) -> ClientProgram:
        """Have an order published."""
        publisher = self.publishers[slug]
        publisher.give(key_of(slug), order(number))
        return publisher


def stay(broker: RunningBroker, world: ClientWorld, libraries: Sequence[LibraryDefaults]) -> None:
    """Run it; AssertionError where a library does otherwise than its row says."""
    with ExitStack() as stack:
        fleet = ClientFleet(world, stack)
        for library in libraries:
            fleet.start_consumer(library)
            fleet.start_publisher(library)
        for program in (*fleet.consumers.values(), *fleet.publishers.values()):
            program.until_said("ready")
        _consume(fleet, libraries)
        _give_back(fleet, libraries)
        _drain(fleet, libraries)
        _come_back(fleet, libraries)
        restart(broker)
        _come_back_with_the_line(fleet, libraries)


def _consume(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    for library in libraries:
        fleet.publish(library.slug, _GOOD).until_said("ok")
    for library in libraries:
        fleet.consumers[library.slug].until_said(f"did {_GOOD}")


def _give_back(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    """By default, and with the line where the default is that it comes again at once; all of it is dead in the end."""
    expected: Counter[str] = Counter()
    for library in libraries:
        numbers = [_AGAIN] if library.given_back is GivenBack.LADDER else [_AGAIN, _FOR_GOOD]
        for number in numbers:
            fleet.publish(library.slug, number).until_said("ok", len(numbers))
        expected[f"{key_of(library.slug)}.dead"] = len(numbers)
    wait_until(
        lambda: Counter(letter["routing_key"] for letter in fleet.world.dead_letters()) == expected,
        f"dead are {expected}",
    )
    for library in libraries:
        said = fleet.consumers[library.slug].said
        looks = 2 if library.given_back is GivenBack.LADDER else 2 * (LOOKS + 1)
        assert said.count(f"got {_AGAIN}") == looks, str(fleet.consumers[library.slug])
        assert said.count(f"got {_FOR_GOOD}") == (0 if library.given_back is GivenBack.LADDER else 2)


def _drain(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    """What a consumer has in hand is acknowledged; and until the agents end, everybody goes on."""
    world = fleet.world
    for library in libraries:
        fleet.publish(library.slug, _HELD)
    for library in libraries:
        fleet.consumers[library.slug].until_said(f"got {_HELD}")
    for agent in world.agents.values():
        agent.signal(signal.SIGTERM)
        wait_until(lambda agent=agent: agent.admin("/readyz").status_code == 503, "it drains")
    (world.folder / "go").touch()
    for library in libraries:
        fleet.consumers[library.slug].until_said(f"did {_HELD}")
        fleet.publish(library.slug, _WHILE_DRAINING)
    for library in libraries:
        fleet.consumers[library.slug].until_said(f"did {_WHILE_DRAINING}")
    wait_until(lambda: _are_empty(world, libraries), "everything is acknowledged")
    for agent in world.agents.values():
        agent.signal(signal.SIGTERM)  # once more: whoever stays is told that it ends
        assert agent.wait() == 0


def _come_back(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    """By the libraries' defaults."""
    for service in fleet.world.agents:
        fleet.world.start(service)
    for library in libraries:
        if library.consumer is Again.ENDS:
            fleet.consumers[library.slug].until_it_ends()
            fleet.again(partial(fleet.start_consumer, library, "line"))
    _wait_for_publishers(fleet, libraries)
    for library in libraries:
        said = fleet.publish(library.slug, _AFTER_AGENTS)
        if library.publisher is Again.ENDS:
            assert said.until_it_ends() != 0, str(said)
            fleet.again(partial(fleet.start_publisher, library, ",line"))
            fleet.publish(library.slug, _AFTER_AGENTS)
    for library in libraries:
        if library.consumer is not Again.DEAF:
            fleet.consumers[library.slug].until_said(f"did {_AFTER_AGENTS}")
    for library in libraries:
        if library.consumer is Again.DEAF:
            deaf = fleet.consumers[library.slug]
            assert not deaf.has_ended, str(deaf)
            queue = queue_of(library.slug)
            wait_until(lambda queue=queue: fleet.world.depths()[queue] == (1, 0, 0), f"nobody consumes from {queue}")
            deaf.process.kill()
            fleet.start_consumer(library, "line").until_said(f"did {_AFTER_AGENTS}")


def _come_back_with_the_line(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    """After the broker was restarted; with the line, where there is one."""
    for library in libraries:
        consumer = fleet.consumers[library.slug]
        if (library.consumer_with_line or library.consumer) is Again.ENDS:
            assert consumer.until_it_ends() != 0, str(consumer)
            fleet.again(partial(fleet.start_consumer, library, "line"))
    _wait_for_publishers(fleet, libraries)
    for library in libraries:
        publisher = fleet.publish(library.slug, _AFTER_BROKER)
        if (library.publisher_with_line or library.publisher) is Again.ENDS:
            assert publisher.until_it_ends() != 0, str(publisher)
            fleet.again(partial(fleet.start_publisher, library, ",line"))
            fleet.publish(library.slug, _AFTER_BROKER)
    for library in libraries:
        fleet.consumers[library.slug].until_said(f"did {_AFTER_BROKER}")


def _wait_for_publishers(fleet: ClientFleet, libraries: Sequence[LibraryDefaults]) -> None:
    """Until those are connected that come back while nothing is to be published."""
    wanted = sum(one.publisher is Again.BY_ITSELF and not one.connects_on_demand for one in libraries)
    agent = fleet.world.agents["shop"]
    wait_until(
        lambda: min(agent.metric("client_connections"), agent.metric("channels")) >= wanted, "the publishers are back"
    )


def _are_empty(world: ClientWorld, libraries: Sequence[LibraryDefaults]) -> bool:
    depths = world.depths()
    return all(depths[queue_of(library.slug)][:2] == (0, 0) for library in libraries)
