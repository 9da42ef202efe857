"""`dlq ls` and `dlq show`: what is said, and that nothing moves."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from letrade_topo.keys.keyset import load_keyset
from letrade_topo.messages.encryption import FieldEncryption, SentKeys
from letrade_topo.queues.letter import Waiting
from letrade_topo.queues.link import LetterCopy
from letrade_topo.queues.selection import Selection
from tests.queues.world import AUDIT, DEAD, QUEUE, Dead, LetterWorld, body_of
from tests.tool import LONGEST_RUN_SECONDS


def _document(text: str) -> dict[str, Any]:
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_counts_at_a_glance(one_world: LetterWorld) -> None:
    """`ls` counts by reason, queue, type and age, with a bar per row, and as JSON; everything stays."""
    one_world.bury([Dead(number) for number in range(6)])
    one_world.bury([Dead(9, queue=AUDIT, reason="schema", key="order.77.changed", age=7200) for _ in range(3)])
    text = one_world.tool.run("dlq", "ls", str(one_world.file)).check(0).out
    assert text.startswith("letrade.dlq: 9 messages")
    assert re.search(r"rejected +6 +█+ +67%", text)
    assert re.search(r"1 to 6 h +3 +█+ +33%", text)
    one_world.left(9)
    found = _document(one_world.tool.run("dlq", "ls", "--format", "json", str(one_world.file)).check(0).out)
    assert found["reasons"] == {"rejected": 6, "schema": 3}
    assert found["queues"] == {QUEUE: 6, AUDIT: 3}
    assert found["types"] == {"order.placed": 6, "order.{id}.changed": 3}
    assert (found["seen"], found["unseen"]) == (9, 0)
    one_world.left(9)


def test_a_queue_that_is_being_migrated_is_left_alone(one_world: LetterWorld) -> None:
    """What it holds is on its way; looking would hold it up."""
    path = f"/api/queues/{one_world.topology.vhost}/{DEAD}.migrating"
    one_world.broker.api("PUT", path, json={"durable": True})
    try:
        said = one_world.tool.run("dlq", "ls", str(one_world.file)).check(77).err
    finally:
        one_world.broker.api("DELETE", path)
    assert f"{DEAD} is being migrated" in said


def test_metrics_of_a_look(one_world: LetterWorld) -> None:
    """Counts by reason, the age of the oldest and the moment, in a file for Prometheus; no word of a stranger's."""
    one_world.bury([Dead(1), Dead(2, reason="schema", age=7200), Dead(3, reason='made"up\nby anybody')])
    file = one_world.file.parent / "dead_letters.prom"
    begun = time.time()
    one_world.tool.run("dlq", "ls", "--metrics-file", str(file), str(one_world.file)).check(0)
    samples = {
        (sample.name.removeprefix("letrade_topo_dead_letters"), sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(file.read_text(encoding="utf-8"))
        for sample in family.samples
        if sample.labels.items() >= {"topology": one_world.topology.name, "queue": DEAD}.items()
    }
    counted = {reason: count for (name, reason), count in samples.items() if not name and count}
    assert counted == {"rejected": 1, "schema": 1, "_other": 1}
    assert samples["", "expired"] == samples["_unseen", None] == 0
    assert 7200 <= samples["_oldest_age_seconds", None] < 7260
    assert begun <= samples["_last_scan_timestamp_seconds", None] <= time.time()
    refused = one_world.tool.run("dlq", "ls", "--metrics-file", "/nowhere/at.prom", str(one_world.file)).check(1)
    assert "cannot write /nowhere/at.prom" in refused.err


def test_filters(one_world: LetterWorld) -> None:
    """Queue, reason, key pattern, age and id choose; --limit bounds what is listed, not what is counted."""
    ids = one_world.bury([Dead(1), Dead(2, age=7200), Dead(3, queue=AUDIT, reason="schema", key="order.77.changed")])
    letters, now = one_world.letters(), time.time()
    for selection, count in (
        (Selection(queues=frozenset((AUDIT,))), 1),
        (Selection(reasons=frozenset(("rejected",))), 2),
        (Selection(keys=("order.*.changed",)), 1),
        (Selection(keys=("order.#",)), 3),
        (Selection(older_seconds=3600), 1),
        (Selection(newer_seconds=3600), 2),
        (Selection(ids=frozenset((ids[0], ids[2]))), 2),
    ):
        assert [selection.matches(letter, now) for letter in letters].count(True) == count, selection
    one_world.left(3)
    flags = {"--queue": QUEUE, "--reason": "rejected", "--key": "order.*", "--newer": "1h", "--id": ids[0]}
    arguments = [part for pair in flags.items() for part in pair]
    found = _document(one_world.tool.run("dlq", "ls", *arguments, "--format", "json", str(one_world.file)).check(0).out)
    assert [letter["id"] for letter in found["messages"]] == [ids[0]]
    one_world.left(3)
    none = _document(one_world.tool.run("dlq", "ls", "--limit", "0", "--format", "json", str(one_world.file)).out)
    assert (none["matched"], none["messages"]) == (3, [])


def test_looking_often_loses_nothing(world: LetterWorld) -> None:
    """Thirty looks, more than any delivery limit, and a look that is killed: all messages stay, each once."""
    world.bury([Dead(number) for number in range(50)])
    for _ in range(30):
        assert world.look().seen == 50
        world.left(50)
    killed = world.tool.start("dlq", "ls", str(world.file))
    killed.kill()
    killed.communicate()
    world.left(50)
    assert sorted(world.numbers(DEAD)) == list(range(50))


def test_two_looks_at_once(one_world: LetterWorld) -> None:
    """A look while another one holds messages says that it could not see all; afterwards all are there."""
    one_world.bury([Dead(number) for number in range(20)])
    looks = [one_world.tool.start("dlq", "ls", "--format", "json", str(one_world.file)) for _ in range(3)]
    for each in looks:
        out, err = each.communicate(timeout=LONGEST_RUN_SECONDS)
        assert each.returncode == 0, err
        found = _document(out)
        assert found["seen"] == 20 or found["unseen"] or found["other_consumers"], found
    one_world.left(20)


def test_what_a_person_needs(one_world: LetterWorld) -> None:
    """`show` says where from, why, since when, who; hides what is sensitive and tokens; saves the body."""
    (message_id,) = one_world.bury([Dead(7, attempt=4, age=3)])
    answer = one_world.tool.run("dlq", "show", message_id, str(one_world.file)).check(0)
    for line in (
        r"published to +orders with the key order.placed",
        r"failed in +clerk.orders",
        r"reason +rejected",
        r"attempts +4",
        r"origin +shop, proven",
        r"handed over +by the agent of clerk from clerk.orders, attempt 4, proven",
        r'"amount": "\(hidden: sensitive\)"',
        r'"note": "ordinary"',
        r"letrade-jws +\(\d+ bytes, not shown\)",
    ):
        assert re.search(line, answer.out), f"{line}\n{answer.out}"
    assert "77.77" not in answer.out
    one_world.left(1)
    revealed = one_world.tool.run("dlq", "show", "--reveal", message_id, str(one_world.file)).check(0)
    assert '"amount": "77.77"' in revealed.out
    one_world.left(1)
    raw = one_world.file.parent / "body.json"
    one_world.tool.run("dlq", "show", message_id, str(one_world.file), "--raw", str(raw)).check(0)
    assert raw.read_bytes() == body_of(7, message_id)
    assert raw.stat().st_mode & 0o777 == 0o600
    one_world.left(1)
    answer = one_world.tool.run("dlq", "show", message_id, str(one_world.file), "--format", "json").check(0)
    found = _document(answer.out)
    assert found["messages"][0]["origin_proven"] is True
    one_world.left(1)


def test_encrypted_fields(one_world: LetterWorld, tmp_path: Path) -> None:
    """They are decrypted with the key of those who read dead letters, and only with `--reveal`."""
    now = time.time()
    keys = load_keyset(one_world.keys, "shop")
    encryption = FieldEncryption("shop", keys, SentKeys(), secrets.token_bytes)
    message_id = str(uuid.uuid4())
    body = encryption.encrypt(body_of(1, message_id), message_id, ("/amount",), frozenset(("clerk", "audit")), now)
    assert isinstance(body, bytes)
    _, publish = one_world.letter(Dead(1, message_id=message_id))
    one_world.publish([LetterCopy(publish.exchange, publish.routing_key, publish.raw, body)])
    hidden = one_world.tool.run("dlq", "show", message_id, str(one_world.file)).check(0)
    one_world.left(1)
    shown = one_world.tool.run("dlq", "show", "--reveal", message_id, str(one_world.file)).check(0)
    assert "77.77" not in hidden.out
    assert "say nothing to people" in hidden.out
    assert '"amount": "77.77"' in shown.out
    assert "decrypted: /amount" in shown.err
    one_world.left(1)
    others = tmp_path / "keys"
    shutil.copytree(one_world.keys, others, ignore=shutil.ignore_patterns("dead-letter"))
    tool = one_world.tool.having(LETRADE_TOPO_KEYS=str(others))
    without = tool.run("dlq", "show", "--reveal", message_id, str(one_world.file)).check(0)
    assert "cannot be decrypted" in without.err
    assert "77.77" not in without.out


def test_what_is_not_proven_is_said(one_world: LetterWorld) -> None:
    """Without a token, with another message's hop, or without keys: `not proven`, with the reason."""
    (unsigned,) = one_world.bury([Dead(1, signed=False)])
    answer = one_world.tool.run("dlq", "show", unsigned, str(one_world.file)).check(0)
    assert re.search(r"origin +not proven: token_missing", answer.out)
    (message_id,) = one_world.bury([Dead(2)])
    one_world.left(2)
    keyless = one_world.tool.having(LETRADE_TOPO_KEYS="")
    answer = keyless.run("dlq", "show", message_id, str(one_world.file)).check(0)
    assert re.search(r"origin +not proven: there are no keys", answer.out)


def test_what_the_broker_gave_up(world: LetterWorld) -> None:
    """`--from <queue>.rejected` shows what waits for the router, with the broker's own reason; other queues are not
    looked into, because that would count against their delivery limit.
    """
    _, publish = world.letter(Dead(5))
    world.publish([type(publish)("", QUEUE, publish.raw, publish.body)])
    _reject_one(world)
    waiting = Waiting(f"{QUEUE}.rejected", QUEUE)
    arguments = ("dlq", "ls", "--from", waiting.name, "--format", "json", str(world.file))
    found = _document(world.tool.run(*arguments).check(0).out)
    assert (found["reasons"], found["queues"], found["types"]) == ({"rejected": 1}, {QUEUE: 1}, {"order.placed": 1})
    assert found["oldest_seconds"] is not None
    refused = world.tool.run("dlq", "ls", "--from", QUEUE, str(world.file)).check(64)
    assert "delivery limit" in refused.err


def _reject_one(world: LetterWorld) -> None:
    import pika

    context = world.endpoint.context()
    assert context is not None
    parameters = pika.ConnectionParameters(
        world.endpoint.host,
        world.endpoint.port,
        world.topology.vhost,
        pika.PlainCredentials(world.broker.username, world.broker.password),
        ssl_options=pika.SSLOptions(context, world.endpoint.host),
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        method, _, _ = channel.basic_get(QUEUE)
        channel.basic_reject(method.delivery_tag, requeue=False)
    world.left(1, f"{QUEUE}.rejected")


def test_one_clear_message_each(own_world: LetterWorld, tmp_path: Path) -> None:
    """A wrong password, a missing queue, a broker that is away, an unknown id, a certificate that nobody trusts."""
    file = str(own_world.file)
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    wrong.chmod(0o600)
    cases = [
        (own_world.tool.run("dlq", "ls", "--password-file", str(wrong), file), 69, "refused the login of the user"),
        (own_world.tool.run("dlq", "ls", "--amqp", "amqps://localhost:1", file), 69, "nothing listens there"),
        (own_world.tool.having(LETRADE_TOPO_CA_FILE="").run("dlq", "ls", file), 69, "is not trusted"),
        (own_world.tool.run("dlq", "show", "nobody", file), 1, "no message in letrade.dlq has the id nobody"),
        (
            own_world.tool.run("dlq", "ls", "--amqp", "amqp://localhost:5672", file),
            64,
            "plain AMQP to localhost is refused",
        ),
    ]
    assert own_world.broker.api("DELETE", f"/api/queues/{own_world.topology.vhost}/{DEAD}").status_code == 204
    cases.append((own_world.tool.run("dlq", "ls", file), 1, "there is no such queue"))
    assert own_world.broker.api("DELETE", f"/api/vhosts/{own_world.topology.vhost}").status_code == 204
    cases.append((own_world.tool.run("dlq", "ls", file), 69, f"no access to the vhost '{own_world.topology.vhost}'"))
    for answer, code, words in cases:
        answer.check(code)
        assert words in answer.err, answer.err
        assert len(answer.err.strip().splitlines()) <= 4, answer.err


def test_a_reader_that_goes_away(one_world: LetterWorld) -> None:
    """`ls | true` leaves everything where it is."""
    one_world.bury([Dead(1)])
    shown = one_world.tool.start("dlq", "ls", str(one_world.file))
    assert shown.stdout is not None
    shown.stdout.close()
    _, err = shown.communicate()
    assert "Traceback" not in err, err
    one_world.left(1)
