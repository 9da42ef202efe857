"""Performing a migration: step after step, each decided by what the broker holds just then.

What moves messages is `letrade_topo.apply.moves`; here are the steps of the management API.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from letrade_topo.apply.queue_members import QueueMembers
from letrade_topo.broker.capabilities import Capabilities
from letrade_topo.broker.objects import Binding, BrokerObject, Queue
from letrade_topo.errors import TopoError
from letrade_topo.management import parsing
from letrade_topo.management.client import ManagementClient
from letrade_topo.management.errors import BrokerRefused, NotFound
from letrade_topo.management.perform import create, delete
from letrade_topo.migration.intent import MigrationIntent
from letrade_topo.migration.layout import MigrationLayout, names_of
from letrade_topo.migration.steps import MigrationStep, Situation, next_step, rebound
from letrade_topo.model import names
from letrade_topo.model.names import ARGUMENT_QUEUE_TYPE
from letrade_topo.model.topology import QueueType
from letrade_topo.plan.migrating import is_as_wanted

MOST_ROUNDS = 40
"""A migration has nine steps; if it goes round much longer, somebody else undoes what it does."""

WRITTEN_SECONDS = {QueueType.CLASSIC: 0.3, QueueType.QUORUM: 2.0}
"""So long after a queue was made it outlives a broker that is killed, and what it has confirmed with it. A declaration
is answered before Mnesia has written it down (some milliseconds, 3.10.8). The name of a quorum queue's member is on
disk when the table of names has not been touched for half a second (Ra: ra_directory, `auto_save`): killed 0.3 to 0.9 s
after the declaration, 3.10.8, 4.0.5 and 4.3.6 had lost what was confirmed; from 1.2 s on none had."""

READ_BACK_SECONDS = 10.0
POLL_SECONDS = 0.05


class MigrationStuck(TopoError):
    """A migration cannot go on just now; what it has done stays, and a later run goes on."""


@dataclass(slots=True)
class Migrated:
    """What a migration did, for the report.

    Args:
        taken: messages that consumers took from the old queue while the migration waited for them.
        moved: messages that were moved away.
        returned: messages that were brought back.
        overtaken: of these, that came behind what was published after them: in the moment of the switch back.
        seconds: how long it took.
        pause_seconds: how long consumers had no queue, or an empty one.
    """

    taken: int = 0
    moved: int = 0
    returned: int = 0
    overtaken: int = 0
    seconds: float = 0.0
    pause_seconds: float = 0.0

    @property
    def text(self) -> str:
        """In one line."""
        parts = [f"{self.taken:,} taken by consumers first"] if self.taken else []
        parts += [f"{self.moved:,} moved away", f"{self.returned:,} brought back"]
        if self.overtaken:
            parts.append(f"{self.overtaken:,} of them behind newer ones")
        return f"{', '.join(parts)}; {self.seconds:.1f} s, {self.pause_seconds:.1f} s of them without the queue"


@dataclass(frozen=True, slots=True)
class MigrationTools:
    """What a migration acts with.

    Args:
        client: of the management API.
        vhost: where.
        capabilities: of the broker.
        check_lock: raises when the lock is lost.
        say: tells people.
        forget: clears the record of one queue's migration.
    """

    client: ManagementClient
    vhost: str
    capabilities: Capabilities
    check_lock: Callable[[], None]
    say: Callable[[str], None]
    forget: Callable[[str], None]


class Moves(Protocol):
    """The steps that move messages."""

    def empty(self, migration: Migration) -> None:
        """Take away what the old queue holds, delete it, make the new one."""

    def bring_back(self, migration: Migration) -> None:
        """Bring back what was kept, and switch back."""

    def clear(self, migration: Migration) -> None:
        """Move what is left, and delete the queues of the migration."""

    def can_be_read(self, queue: str) -> bool:
        """Whether a queue takes a consumer."""


class Migration:
    """One queue's migration, from whatever step it stands at to its end.

    Args:
        tools: what it acts with.
        wanted: the queue as it is to be: as declared, or, going back, as it was.
        intent: as recorded.
        moves: moves messages.
    """

    def __init__(self, tools: MigrationTools, wanted: Queue, intent: MigrationIntent, moves: Moves) -> None:
        self.tools = tools
        self.wanted = wanted
        self.layout = MigrationLayout.of(intent.after, tools.capabilities)
        self.result = Migrated()
        self._moves = moves
        self._is_made_anew = wanted.attributes == intent.after.attributes
        self._members = QueueMembers(tools.client, tools.vhost, tools.check_lock)
        self._made_at: dict[str, float] = {}
        self.empty_since: float | None = None

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.wanted.name

    def run(self) -> Migrated:
        """Do all steps that are left.

        Raises:
            MigrationStuck: it cannot go on just now.
            TopoError: the broker refuses, or cannot be reached; a later run goes on.
        """
        began = time.monotonic()
        self._end_deletions()
        for _ in range(MOST_ROUNDS):
            self.tools.check_lock()
            situation = self.situation()
            step = next_step(situation, is_as_wanted=is_as_wanted(self.wanted, situation.queue))
            self.tools.say(f"{self.wanted.address}: {step.text(self.name)}")
            self._perform(step, situation)
            if step is MigrationStep.FORGET:
                self.result.seconds = time.monotonic() - began
                return self.result
        raise MigrationStuck(
            f"the migration of {self.name!r} does not get on",
            why="somebody else makes or deletes its queue or bindings again and again",
            fix="see who declares it otherwise, then run apply again",
        )

    def situation(self) -> Situation:
        """What the broker holds of it now."""
        return Situation.of(self.name, self._live())

    def _end_deletions(self) -> None:
        """Delete once more what another run was deleting when a node died, where that left a name without a queue.

        The members of a quorum queue go first, its name last, both by the node that was asked. What has a name only
        looks alive by the management API: running, with all members online, and the last count (3.10.8, 4.0.5, 4.3.6).
        A consumer is refused at once, or waits for a leader in vain, where a new member was made at the start.

        Raises:
            MigrationStuck: one cannot be read, but a node is away that may have the rest of it.
        """
        if not self.has_exchange(self.layout.empty_exchange.name):
            return
        for queue in self._found_empty():
            if self._moves.can_be_read(queue):
                continue
            if not self._members.are_running(queue):
                raise MigrationStuck(
                    f"the migration of {self.name!r} waits",
                    why=f"queue {queue!r} was being deleted and cannot be read, and not all of its nodes are running",
                    fix="bring its nodes back, or see the broker's log; then run apply again. What arrives is kept",
                )
            self.tools.say(f"queue:{queue}: it was empty, and half deleted when a node died; it is deleted once more")
            self._delete(Queue(queue))

    def _found_empty(self) -> Iterator[str]:
        client, vhost = self.tools.client, self.tools.vhost
        for queue in (self.name, self.layout.side.name, self.layout.kept.name):
            with contextlib.suppress(NotFound):
                bindings = parsing.bindings(client.bindings_to(vhost, "queue", queue))
                if any(binding.source == self.layout.empty_exchange.name for binding in bindings):
                    yield queue

    def _live(self) -> Iterator[BrokerObject]:
        client, vhost = self.tools.client, self.tools.vhost
        made = sorted(names_of(self.name))
        for name in (self.name, names.side_queue(self.name), names.kept_queue(self.name)):
            with contextlib.suppress(NotFound):
                yield from (queue for queue, _ in parsing.queues([client.queue(vhost, name)], (), lambda *_: None))
        for name in made:
            with contextlib.suppress(NotFound):
                yield from parsing.exchanges([client.exchange(vhost, name)])
        for kind, name in (("queue", self.name), ("exchange", self.layout.junction.name)):
            with contextlib.suppress(NotFound):
                yield from parsing.bindings(client.bindings_to(vhost, kind, name))

    def _perform(self, step: MigrationStep, situation: Situation) -> None:
        match step:
            case MigrationStep.PREPARE:
                self._prepare()
            case MigrationStep.REROUTE:
                self._reroute(situation)
            case MigrationStep.DIVERT:
                self._delete(self.layout.opening)
            case MigrationStep.EMPTY:
                self._moves.empty(self)
            case MigrationStep.CREATE:
                self.create_queue()
            case MigrationStep.RETURN:
                if situation.leads_back or self._may_be_filled():
                    self._moves.bring_back(self)
            case MigrationStep.REBIND:
                self._bind(situation.unbound)
            case MigrationStep.CLEAR:
                self._clear(situation)
            case MigrationStep.FORGET:
                self.tools.forget(self.name)

    def _prepare(self) -> None:
        """The junction last: once it is there, everything behind it is."""
        layout = self.layout
        self.make_waiting(layout.side, may_hold_messages=False)
        self.make_waiting(layout.kept, may_hold_messages=False)
        self.until_written(layout.side, layout.kept)
        for thing in (layout.side_exchange, layout.to_side, layout.junction):
            self.create(thing)

    def _reroute(self, situation: Situation) -> None:
        """A queue that is reached in two ways gets each message once: so both ways are there before one goes."""
        if not situation.is_open and not situation.detoured:
            self.create(self.layout.opening)
        junction = self.layout.junction.name
        known = {binding.address for binding in situation.detoured}
        detours = [rebound(binding, "exchange", junction) for binding in situation.direct]
        self._bind([binding for binding in detours if binding.address not in known])
        for binding in situation.direct:
            self._delete(binding)

    def _bind(self, bindings: Iterable[Binding]) -> None:
        """Make bindings, and read back that all are there."""
        wanted = tuple(bindings)
        if not wanted:
            return
        client, vhost = self.tools.client, self.tools.vhost
        for binding in wanted:
            self.create(binding)
        until = time.monotonic() + READ_BACK_SECONDS
        while True:
            found = parsing.bindings(client.bindings_to(vhost, wanted[0].destination_type, wanted[0].destination))
            missing = {binding.address for binding in wanted} - {binding.address for binding in found}
            if not missing:
                return
            if time.monotonic() > until:
                raise MigrationStuck(
                    f"the migration of {self.name!r} cannot go on",
                    why=f"read back, {min(missing)} is not there",
                    fix="run apply again",
                )
            time.sleep(POLL_SECONDS)

    def is_there(self, queue: str) -> bool:
        """Whether a queue is there."""
        try:
            self.tools.client.queue(self.tools.vhost, queue)
        except NotFound:
            return False
        return True

    def has_exchange(self, name: str) -> bool:
        """Whether an exchange is there."""
        try:
            self.tools.client.exchange(self.tools.vhost, name)
        except NotFound:
            return False
        return True

    def make_waiting(self, queue: Queue, *, may_hold_messages: bool) -> None:
        """Make the side queue or the kept one; one that is there stays, whatever was declared when it was made.

        Args:
            queue: which.
            may_hold_messages: if it is there: something may have been routed to it.
        """
        if self.is_there(queue.name):
            if may_hold_messages or not self._members.do_nothing(queue):
                return
            self._delete(queue)
        self.create(queue)
        self._made_at[queue.name] = time.monotonic()

    def until_written(self, *queues: Queue) -> None:
        """Wait until those of these queues that this run has made are on disk."""
        written_at = [self._made_at.get(queue.name, 0.0) + _written_seconds(queue) for queue in queues]
        while (left := max(written_at) - time.monotonic()) > 0:
            self.tools.check_lock()
            time.sleep(min(left, 1.0))

    def _may_be_filled(self) -> bool:
        """Whether the queue is there for good; then the way back is opened, else the queue goes, to be made once more.

        As long as that way is not open, nothing has been brought to it.

        Raises:
            MigrationStuck: it does nothing, and is the one that was there before: what it held, nobody can tell.
        """
        layout, queue = self.layout, self.wanted
        if queue.name not in self._made_at and self._members.do_nothing(queue):
            if not self._is_made_anew:
                raise MigrationStuck(
                    f"the migration of {self.name!r} waits",
                    why="it is a quorum queue without a leader",
                    fix="bring its nodes back, or see the broker's log; then run apply again. What arrives is kept",
                )
            self.tools.say(f"{queue.address}: it was made right before its broker was killed, and has no leader")
            self._delete(queue)
            return False
        self.until_written(queue)
        self.create(layout.return_exchange)
        self.create(layout.to_queue)
        return True

    def create(self, thing: BrokerObject) -> None:
        """Make one of its objects; one that is there is no error."""
        create(self.tools.client, self.tools.vhost, thing)

    def _delete(self, thing: BrokerObject) -> None:
        delete(self.tools.client, self.tools.vhost, thing)

    def create_queue(self) -> None:
        """Make the queue as it is to be; whoever was quicker made another one, and then it goes on with that."""
        try:
            self.create(self.wanted)
        except BrokerRefused as refused:
            if self.situation().queue is None:
                raise
            self.tools.say(f"{self.wanted.address}: a client has made it anew in between ({refused.reason})")
        self._made_at[self.name] = time.monotonic()

    def _clear(self, situation: Situation) -> None:
        """Exchanges first, so that nothing arrives any more in the queues that go."""
        layout = self.layout
        led_to = {layout.side_exchange.name, layout.return_exchange.name} & situation.rests
        if not situation.has_junction and not led_to:
            self._delete_lifeless()
        for exchange in (layout.junction, layout.side_exchange, layout.kept_exchange):
            self._delete(exchange)
        if situation.rests & {layout.side.name, layout.kept.name}:
            self._moves.clear(self)
        for exchange in (layout.return_exchange, layout.empty_exchange):
            self._delete(exchange)

    def _delete_lifeless(self) -> None:
        """Delete queues of a migration that was given up before anything led to them, if they do nothing.

        Nobody could be told that they are empty, and going back would wait for that for ever.
        """
        for queue in (self.layout.side, self.layout.kept):
            if self.is_there(queue.name) and self._members.do_nothing(queue):
                self._delete(queue)


def _written_seconds(queue: Queue) -> float:
    return WRITTEN_SECONDS.get(QueueType(str(queue.arguments.get(ARGUMENT_QUEUE_TYPE, QueueType.CLASSIC))), 0.0)
