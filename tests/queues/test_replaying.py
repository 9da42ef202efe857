"""`dlq replay` and `dlq purge`: nothing lost, nothing doubled beyond what is said."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from letrade_topo.amqp.header_table import raw_entry
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.base64url import decode
from letrade_topo.model.names import rejected_queue
from letrade_topo.queues.content import HEAD_SIZE, Properties, content_header
from letrade_topo.queues.link import LetterCopy
from tests.brokers import BrokerFactory
from tests.queues.kills import killed_replays, until, until_replayed
from tests.queues.world import AUDIT, DEAD, EXCHANGE, PLACED, QUEUE, Dead, LetterWorld, body_of
from tests.tool import LONGEST_RUN_SECONDS, Tool


def _replay(world: LetterWorld, *arguments: str, code: int = 0) -> dict[str, Any]:
    answer = world.tool.run("dlq", "replay", "--yes", "--format", "json", *arguments, str(world.file)).check(code)
    found = json.loads(answer.out)
    assert isinstance(found, dict)
    return found


def _claims(token: str) -> dict[str, object]:
    payload = decode(token.split(".")[1].encode())
    assert payload is not None
    found = json.loads(payload)
    assert isinstance(found, dict)
    return found


def test_back_to_the_queue_that_failed_it(world: LetterWorld) -> None:
    """Through the default exchange, with body, properties and token as they were, one hop of the operator's."""
    (message_id,) = world.bury([Dead(1, attempt=4, age=20)])
    found = _replay(world)
    assert (found["replayed"], found["targets"], found["left"]) == (1, {QUEUE: 1}, {})
    assert world.count() == world.count(AUDIT) == 0
    ((exchange, key, properties, body),) = world.take(QUEUE)
    assert (exchange, key, body) == ("", QUEUE, body_of(1, message_id))
    assert (properties.message_id, properties.content_type, properties.app_id) == (
        message_id,
        "application/json",
        "shop",
    )
    headers = properties.headers
    assert headers["letrade-attempt"] == 5
    assert "letrade-reason" not in headers
    hop = _claims(headers["letrade-hop"])
    assert (hop["role"], hop["q"], hop["a"], hop["ex"], hop["rk"]) == ("replay", QUEUE, 5, EXCHANGE, PLACED)


def test_what_was_published_leaves_as_it_came(world: LetterWorld) -> None:
    """A double, a narrow integer, bytes that are no text, an empty property: what libraries change on the way stays."""
    _, publish = world.letter(Dead(1))
    properties = Properties.parse(publish.raw)
    own = [
        (b"ratio", b"d" + struct.pack(">d", 0.1)),
        (b"narrow", b"b\x05"),
        (b"no-text", b"S\x00\x00\x00\x02\xff\xfe"),
        (b"moment", b"T" + struct.pack(">Q", 1_700_000_000_123)),
    ]
    header = ContentHeader.parse(content_header(publish.raw, 0))
    assert header.headers is not None
    table = header.headers.with_entries(*(raw_entry(*pair) for pair in own))
    raw = header.rewrite(table.encode(), replace={"reply_to": b""})[HEAD_SIZE:]
    world.publish([LetterCopy(publish.exchange, publish.routing_key, raw, publish.body)])
    _replay(world)
    (arrived,) = world.raw(QUEUE)
    assert set(own) <= set(arrived.headers)
    assert arrived.text("reply_to") == b""
    assert arrived.signed == properties.signed


def test_dry_run_limit_and_rate(one_world: LetterWorld) -> None:
    """--dry-run says what would be and does nothing; --limit bounds it; --rate spreads it."""
    one_world.bury([Dead(number) for number in range(10)])
    found = _replay(one_world, "--dry-run", "--limit", "4")
    one_world.left(10)
    assert (found["replayed"], one_world.count(QUEUE)) == (4, 0)
    start = time.monotonic()
    assert _replay(one_world, "--limit", "6", "--rate", "5")["replayed"] == 6
    assert time.monotonic() - start >= 5 / 5
    one_world.left(4)
    one_world.left(6, QUEUE)


def test_filters_choose(one_world: LetterWorld) -> None:
    """Only what matches goes, each to the queue that failed it; the rest stays."""
    one_world.bury([Dead(1), Dead(2, queue=AUDIT), Dead(3, reason="schema"), Dead(4, queue=AUDIT)])
    assert _replay(one_world, "--queue", AUDIT)["replayed"] == 2
    assert sorted(one_world.numbers(AUDIT)) == [2, 4]
    one_world.left(2)
    assert sorted(one_world.numbers(DEAD)) == [1, 3]


def test_many_that_do_not_match(one_world: LetterWorld) -> None:
    """More kept messages than one consumer's prefetch do not hide what lies behind them."""
    one_world.bury([Dead(number) for number in range(1200)])
    one_world.bury([Dead(5000, queue=AUDIT)])
    found = _replay(one_world, "--queue", AUDIT)
    assert (found["seen"], found["replayed"]) == (1201, 1)
    one_world.left(1200)


def test_what_is_not_proven_stays(one_world: LetterWorld) -> None:
    """Without a valid token, or pointed at a queue that it was not published for, it needs --unproven."""
    one_world.bury([Dead(1, signed=False)])
    answer = one_world.tool.run("dlq", "replay", "--yes", str(one_world.file)).check(77)
    assert "its origin is not proven (token_missing" in answer.out
    one_world.left(1)
    assert _replay(one_world, "--unproven")["replayed"] == 1
    ((_, _, properties, _),) = one_world.take(QUEUE)
    assert "letrade-hop" not in properties.headers


def test_too_old_already_when_it_failed(one_world: LetterWorld) -> None:
    """A message that came late is replayed only where a person says so; one that failed in time always is."""
    one_world.bury([Dead(1, age=7200), Dead(2, age=3), Dead(3, age=7200, late=True)])
    found = _replay(one_world, code=3)
    assert found["replayed"] == 2
    assert found["left"] == {"it was older than the lifetime of order.placed when it failed": 1}
    one_world.left(1)
    assert _replay(one_world, "--past-lifetime")["replayed"] == 1
    assert sorted(one_world.numbers(QUEUE)) == [1, 2, 3]


def test_fan_out(one_world: LetterWorld) -> None:
    """Every queue that it was published for gets one, with a hop of its own where its consumer would refuse it else."""
    one_world.bury([Dead(1), Dead(2, age=7200)])
    found = _replay(one_world, "--fan-out")
    assert found["replayed"] == 2
    for queue in (QUEUE, AUDIT):
        copies = one_world.take(queue)
        assert len(copies) == 2
        assert {_claims(properties.headers["letrade-hop"])["q"] for _, _, properties, _ in copies} == {queue}
    assert one_world.count() == 0


def test_a_target_that_is_gone(own_world: LetterWorld) -> None:
    """A queue that is not there: the message stays among the dead letters, and that is said."""
    own_world.bury([Dead(1)])
    assert own_world.broker.api("DELETE", f"/api/queues/{own_world.topology.vhost}/{QUEUE}").status_code == 204
    found = _replay(own_world, code=1)
    assert "it reached no queue (NO_ROUTE)" in found["failed"]
    own_world.left(1)


def test_killed_three_times(one_world: LetterWorld) -> None:
    """kill -9 three times in the middle of many: the fourth run finishes; none lost, at most one twice a kill."""
    killed_replays(one_world, total=600, kills=3)


def test_interrupted_in_order(one_world: LetterWorld) -> None:
    """Ctrl-C: what is on its way is waited for, exit code 130, a second run finishes, nothing twice."""
    one_world.bury([Dead(number) for number in range(300)])
    run = one_world.tool.start("dlq", "replay", "--yes", "--rate", "20", str(one_world.file))
    until_replayed(one_world, 20)  # and goes on for longer than a busy machine stands still
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=LONGEST_RUN_SECONDS)
    assert run.returncode == 130, err
    assert "run it again to finish" in err
    until(lambda: one_world.count() + one_world.count(QUEUE) == 300, "everything is in a queue again")
    _replay(one_world)
    assert one_world.numbers(QUEUE) == Counter(range(300))


def test_a_window(one_world: LetterWorld) -> None:
    """--window sends several at once; all arrive once."""
    one_world.bury([Dead(number) for number in range(500)])
    assert _replay(one_world, "--window", "50")["replayed"] == 500
    assert one_world.numbers(QUEUE) == Counter(range(500))


def test_the_broker_dies_meanwhile(start_broker: BrokerFactory, one_broker_version: str, tmp_path: Path) -> None:
    """kill -9 of the broker during a replay: one clear message; after its return a second run finishes."""
    broker = start_broker(one_broker_version)
    world = LetterWorld.make(broker, "own", tmp_path)
    broker.sync_metadata()
    world.bury([Dead(number) for number in range(400)])
    run = world.tool.start("dlq", "replay", "--yes", "--rate", "25", str(world.file))
    until_replayed(world, 25)  # and goes on for longer than a busy machine stands still
    broker.node.crash()
    _, err = run.communicate(timeout=LONGEST_RUN_SECONDS)
    assert run.returncode in (3, 69), err
    assert "Traceback" not in err
    assert "was lost" in err
    broker.node.start()
    environment = Tool.at(broker, tmp_path).environment | {"LETRADE_TOPO_AMQP": broker.amqps_url}
    world.tool = world.tool.having(**environment)  # it may listen on other ports now
    until(lambda: world.count() + world.count(QUEUE) >= 400, "its queues are there again")
    _replay(world)
    arrived = world.numbers(QUEUE)
    assert set(arrived) == set(range(400))
    assert arrived.total() - len(arrived) <= 2


def test_purge(one_world: LetterWorld) -> None:
    """Only with filters, only with the right number, exactly those that match."""
    file = str(one_world.file)
    one_world.bury([Dead(number) for number in range(5)])
    one_world.bury([Dead(number, queue=AUDIT, reason="schema") for number in range(10, 13)])
    one_world.tool.run("dlq", "purge", "--count", "8", file).check(64)
    one_world.tool.run("dlq", "purge", "--reason", "schema", file).check(64)
    refused = one_world.tool.run("dlq", "purge", "--reason", "schema", "--count", "4", file).check(77)
    assert "3 messages match, and 4 were confirmed" in refused.err
    one_world.left(8)
    answer = one_world.tool.run("dlq", "purge", "--reason", "schema", "--count", "3", file).check(0)
    assert answer.out.strip() == "3 messages deleted from letrade.dlq"
    one_world.left(5)
    assert sorted(one_world.numbers(DEAD)) == list(range(5))


def test_a_person_types(one_world: LetterWorld) -> None:
    """On a terminal, `replay` asks with the count and its age, and `purge` wants the number itself."""
    one_world.bury([Dead(number, age=3665) for number in range(3)])
    file = str(one_world.file)
    code, said = _at_terminal(one_world, ["dlq", "replay", "--limit", "1", file], "y\n")
    assert code == 0, said
    one_world.left(2)
    assert "Replay 1 message, the oldest dead for 1 h 1 min?" in said
    code, said = _at_terminal(one_world, ["dlq", "purge", "--older", "1h", file], "3\n")
    assert code == 77, said
    one_world.left(2)
    code, said = _at_terminal(one_world, ["dlq", "purge", "--older", "1h", file], "2\n")
    assert (code, one_world.count()) == (0, 0), said
    assert "Type 2 to delete these messages for good" in said


def _at_terminal(world: LetterWorld, arguments: list[str], typed: str) -> tuple[int, str]:
    """Run it with a terminal, and type something when it asks."""
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1"} | world.tool.environment
        os.execve(sys.executable, [sys.executable, "-m", "letrade_topo", *arguments], environment)  # noqa: S606  # no shell
    said, answered = b"", False
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            part = b""
        if not part:
            break
        said += part
        if not answered and (b"?" in said or b"for good" in said):
            os.write(terminal, typed.encode())
            answered = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode(errors="replace")


def test_straight_from_the_rejected(one_world: LetterWorld) -> None:
    """`--from <queue>.rejected` replays what waits for a router that does not come."""
    _, publish = one_world.letter(Dead(1))
    one_world.publish([LetterCopy("", rejected_queue(QUEUE), publish.raw, publish.body)])
    assert _replay(one_world, "--from", rejected_queue(QUEUE))["targets"] == {QUEUE: 1}
    assert one_world.count(rejected_queue(QUEUE)) == 0
