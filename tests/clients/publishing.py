"""One run of a library's publishers: with confirms and without, mandatory and not; what is good and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from tests.clients.libraries import LibraryDefaults, WithoutConfirms
from tests.clients.program import ClientProgram, running_program
from tests.clients.world import EXCHANGE, ClientWorld, key_of, order, queue_of, wait_until

KINDS: Final = ("confirms", "confirms,mandatory", "plain", "plain,mandatory")
_WRONG: Final = "seven"


def publish_good_and_refused(world: ClientWorld, library: LibraryDefaults) -> None:
    """Run it; AssertionError where a good message does not arrive, or a program hears nothing of a refusal."""
    with ExitStack() as stack:
        command = [*library.command(), "publish", world.url("shop"), EXCHANGE]
        programs = {
            kind: stack.enter_context(running_program(f"{library.slug}, {kind}", [*command, kind], world.folder))
            for kind in KINDS
        }
        for program in programs.values():
            program.until_said("ready")
        for number, program in enumerate(programs.values()):
            program.give(key_of(library.slug), order(number))
        for program in programs.values():
            program.until_said("ok")
        arrived: set[int] = set()

        def all_are_there() -> bool:
            arrived.update(_taken(world, library))
            return len(arrived) == len(KINDS)

        wait_until(all_are_there, "all have arrived")
        for kind, program in programs.items():
            program.give(key_of(library.slug), order_refused())
            if kind.startswith("plain"):
                _learn_without_confirms(world, library, program)
            else:
                _learn(program)


def order_refused() -> bytes:
    """A body that is not of its schema."""
    return order(0).replace(b'"number": 0', f'"number": "{_WRONG}"'.encode())


def _learn(program: ClientProgram) -> None:
    program.until(lambda: _has_learned(program), "it learns that its message was refused")


def _learn_without_confirms(world: ClientWorld, library: LibraryDefaults, program: ClientProgram) -> None:
    """The next publishes say it, or they arrive, as the row has it."""

    def publish_on() -> bool:
        program.give(key_of(library.slug), order(0))
        match library.plain:
            case WithoutConfirms.LEARNS:
                return _has_learned(program)
            case WithoutConfirms.HIDES:
                has_arrived = bool(list(_taken(world, library)))
                assert not _has_learned(program), str(program)
                return has_arrived
            case WithoutConfirms.HIDES_LATER:
                return _has_learned(program) or bool(list(_taken(world, library)))

    program.until(publish_on, f"of what was refused it hears {library.plain}")


def _has_learned(program: ClientProgram) -> bool:
    ended_by_it = program.has_ended and program.process.returncode != 0
    return ended_by_it or any(line.startswith("refused") for line in program.said)


def _taken(world: ClientWorld, library: LibraryDefaults) -> Iterator[int]:
    """The numbers of what is in the queue; taken out."""
    question = {"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
    path = f"/api/queues/{world.vhost}/{queue_of(library.slug)}/get"
    for message in world.broker.api("POST", path, json=question).json():
        yield json.loads(message["payload"])["payload"]["number"]
