"""What was called "in sync" and was not: each is refused, found or put right, on real brokers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.brokers import BrokerFactory, RunningBroker, running_broker
from tests.management.endpoints import amqp
from tests.tool import Tool
from tests.topologies import Document, orders, write

pytestmark = pytest.mark.broker


@pytest.fixture
def tool(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[Tool]:
    """The tool in a folder of its own; its users and its record go at the end."""
    yield Tool.at(broker, tmp_path)
    for user in (f"{vhost_name}-shop", f"{vhost_name}-clerk"):
        broker.api("DELETE", f"/api/users/{user}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def declare(tool: Tool, vhost: str, **sections: Any) -> Document:
    """Write a topology into the tool's folder."""
    document = orders(name=vhost, vhost=vhost, **sections)
    write(tool.folder / "topology.yaml", document)
    return document


def ok(broker: RunningBroker, method: str, path: str, body: object = None) -> Any:
    """Do or read something by hand."""
    answer = broker.api(method, f"/api/{path}", json=body)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def bindings(broker: RunningBroker, vhost: str) -> set[tuple[str, str, str, str]]:
    """Source, destination, key and arguments of every binding but those of the default exchange."""
    return {
        (one["source"], one["destination"], one["routing_key"], json.dumps(one["arguments"]))
        for one in ok(broker, "GET", f"bindings/{vhost}")
        if one["source"]
    }


def findings(tool: Tool) -> dict[str, list[dict[str, Any]]]:
    """What `drift` finds, by name; it must find something."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(tool.run("drift", "--format", "json").check(2).out)["findings"]:
        found.setdefault(one["name"], []).append(one)
    return found


def test_names_that_spell_an_address_hide_nothing(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Two bindings whose plain spelling is the same are two: both are made, and each is missed by itself."""
    strange = "a -> queue:b [x]"
    document = declare(
        tool,
        vhost_name,
        exchanges={"orders": {}, "a": {"type": "direct"}, strange: {"type": "direct"}},
        bindings=[
            {"source": "a", "queue": "letrade.dlq", "routing_key": "x] -> queue:letrade.dlq [y"},
            {"source": "a -> queue:letrade.dlq [x]", "queue": "letrade.dlq", "routing_key": "y"},
        ],
    )
    document["exchanges"]["a -> queue:letrade.dlq [x]"] = document["exchanges"].pop(strange)
    write(tool.folder / "topology.yaml", document)

    tool.run("apply", "--yes").check(0)

    made = {(source, key) for source, _, key, _ in bindings(broker, vhost_name) if source.startswith("a")}
    assert made == {("a", "x] -> queue:letrade.dlq [y"), ("a -> queue:letrade.dlq [x]", "y")}
    tool.run("drift").check(0)
    way = f"bindings/{vhost_name}/e/{quote('a -> queue:letrade.dlq [x]', safe='')}/q/letrade.dlq/y"
    ok(broker, "DELETE", way)
    (missing,) = json.loads(tool.run("drift", "--format", "json").check(2).out)["changes"]
    assert missing["address"] == 'binding:"a -> queue:letrade.dlq [x]" -> queue:letrade.dlq [y]'
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)


@pytest.mark.one_version
@pytest.mark.parametrize("section", ["queues", "services", "bindings", "exchanges"])
def test_a_section_that_is_left_empty_deletes_nothing_without_its_word(
    tool: Tool, broker: RunningBroker, vhost_name: str, section: str
) -> None:
    """As a bad merge leaves it: a warning, a refusal of the whole run, and with the word it is done."""
    kept: dict[str, Any] = {
        "messages": None,
        "services": {"clerk": {"user": f"{vhost_name}-clerk"}},
        "queues": {"clerk.orders": {"service": "clerk"}},
        "bindings": [
            {"source": "orders", "queue": "clerk.orders", "routing_key": key} for key in ("placed", "paid", "sent")
        ],
    }
    if section == "services":
        kept["queues"]["clerk.orders"] = {"dead_letter": "none"}
    if section == "exchanges":
        kept["bindings"] = None
        kept["exchanges"] = {name: {} for name in ("one", "two", "three")}
    declare(tool, vhost_name, **kept)
    tool.run("apply", "--yes").check(0)
    before = ok(broker, "GET", f"definitions/{vhost_name}"), bindings(broker, vhost_name)
    file = tool.folder / "topology.yaml"
    gone = {"queues": ("queues", "bindings")}.get(section, (section,))
    declare(tool, vhost_name, **kept | dict.fromkeys(gone))
    file.write_text(file.read_text(encoding="utf-8") + "".join(f"{name}:\n" for name in gone), encoding="utf-8")

    assert "[empty-section]" in tool.run("validate").check(0).err + tool.run("validate").check(0).out
    assert "--allow delete-many" in tool.run("apply", "--yes").check(77).err
    assert (ok(broker, "GET", f"definitions/{vhost_name}"), bindings(broker, vhost_name)) == before
    tool.run("apply", "--yes", "--allow", "delete-many").check(0)
    tool.run("drift").check(0)


POLICY = {"pattern": r"^(letrade\.dlq|clerk\.orders\.rejected)$", "definition": {"max-length": 5}, "priority": 9}
KEPT_OFF = {"pattern": r"^clerk\.orders$", "definition": {"max-length": 5, "max-age": "1D"}, "priority": 9}


@pytest.mark.one_version
@pytest.mark.parametrize(("policy", "rule"), [(POLICY, "policy-displaces"), (KEPT_OFF, "policy-kept-off")])
def test_a_policy_that_takes_limits_away_or_does_nothing_is_no_topology(
    tool: Tool, vhost_name: str, policy: dict[str, Any], rule: str
) -> None:
    """Found offline, before any broker has it."""
    declare(tool, vhost_name, policies={"mine": policy})
    answer = tool.run("validate").check(65)
    assert f"[{rule}]" in answer.out + answer.err
    assert rule == "policy-displaces" or "'max-age'" in answer.out + answer.err


def test_the_policies_in_force_are_the_brokers_word(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Over declared and derived queues and exchanges, whatever the pattern, also of policies that are declared."""
    unread = r"^clerk[[:punct:]]orders[[:punct:]]rejected$"  # by Python
    policy = {"pattern": unread, "definition": {"max-length": 5}, "priority": 9}
    declare(tool, vhost_name, policies={"mine": policy})
    assert "is lost by max-length" in tool.run("apply", "--yes").check(0).out

    (found,) = findings(tool)["policy-effect"]
    assert found["address"] == "queue:clerk.orders.rejected"
    assert "is lost by max-length" in found["text"]
    declare(tool, vhost_name)
    tool.run("apply", "--yes", "--allow", "delete-many").check(0)
    tool.run("drift").check(0)
    for number, name in enumerate(("clerk.orders", "clerk.orders.retry.1", "letrade.dlq", "orders")):
        by_hand = {"pattern": rf"^\Q{name}\E$", "definition": {"alternate-exchange": "amq.fanout"}, "priority": 9}
        ok(broker, "PUT", f"policies/{vhost_name}/by-hand-{number}", by_hand)
    addresses = {one["address"] for one in findings(tool)["policy-effect"]}
    expected = {"queue:clerk.orders", "queue:clerk.orders.retry.1", "queue:letrade.dlq", "exchange:letrade.dlq"}
    assert addresses == expected | {"exchange:orders"}


def test_a_policy_that_a_key_keeps_off_is_drift(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Where only the broker reads the pattern, or only its version decides about a key."""
    kept_off = {"pattern": "^clerk[[:punct:]]orders$", "definition": {"max-length": 5, "max-age": "1D"}, "priority": 9}
    by_version = {"pattern": "^classic$", "definition": {"max-length": 5, "queue-leader-locator": "balanced"}}
    queues = orders()["queues"] | {"classic": {"type": "classic"}}
    bindings = [{"source": "orders", "queue": "classic", "routing_key": "k"}]
    policies = {"mine": kept_off, "by-version": by_version}
    declare(tool, vhost_name, queues=queues, bindings=bindings, policies=policies)
    answer = tool.run("apply", "--yes")
    if answer.code == 77:  # what this version refuses is refused beforehand
        declare(tool, vhost_name, queues=queues, bindings=bindings, policies={"mine": kept_off})
        answer = tool.run("apply", "--yes")
    answer.check(0)

    found = {one["address"]: one["text"] for one in findings(tool)["policy-effect"]}

    assert "max-age is not taken there" in found.pop("policy:mine")
    assert set(found) <= ({"policy:by-version"} if broker.version.startswith("3.10.") else set())


@pytest.mark.parametrize(
    "pattern",
    [r"^\Qletrade.dlq\E$", r"^letrade[[:punct:]]dlq$", r"^\p{Ll}+\.d(?|l)q$", r"(*LIMIT_MATCH=100)^letrade\.dlq$"],
)
def test_an_operator_policy_is_seen_whatever_its_pattern(
    tool: Tool, broker: RunningBroker, vhost_name: str, pattern: str
) -> None:
    """At once, and what it does to messages that wait; one that means other names is none of ours."""
    declare(tool, vhost_name)
    tool.run("apply", "--yes").check(0)
    other = {"pattern": pattern.replace("letrade", "LETRADE").replace("Ll", "Lu"), "definition": {"message-ttl": 1}}
    ok(broker, "PUT", f"operator-policies/{vhost_name}/other", other)
    tool.run("drift").check(0)

    ok(broker, "PUT", f"operator-policies/{vhost_name}/cap", {"pattern": pattern, "definition": {"message-ttl": 60000}})

    (found,) = findings(tool)["operator-policy"]
    assert found["address"] == "operator-policy:cap"
    assert "what waits in 'letrade.dlq' is lost by message-ttl" in found["text"]


@pytest.mark.one_version
@pytest.mark.parametrize(("source", "key"), [("letrade.retry", "#"), ("letrade.dlq", "order.#")])
def test_a_circle_of_dead_letters_is_refused_and_found(
    tool: Tool, broker: RunningBroker, vhost_name: str, source: str, key: str
) -> None:
    """Declared it is an error; made by hand it is drift, with the words that end it."""
    declare(tool, vhost_name, bindings=[{"source": source, "queue": "clerk.orders", "routing_key": key}])
    answer = tool.run("validate").check(65)
    assert "[dead-letter-cycle]" in answer.out + answer.err
    declare(tool, vhost_name, ownership="shared")
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)

    ok(broker, "POST", f"bindings/{vhost_name}/e/{source}/q/clerk.orders", {"routing_key": key})

    (found,) = findings(tool)["dead-letter-cycle"]
    assert found["address"] == "queue:clerk.orders"
    assert found["fix"] == f"remove binding:{source} -> queue:clerk.orders [{key}]"


def published(broker: RunningBroker, vhost: str, exchange: str, key: str) -> bool:
    """Whether the broker routes a message somewhere."""
    message = {"routing_key": key, "properties": {}, "payload": "x", "payload_encoding": "string"}
    return bool(ok(broker, "POST", f"exchanges/{vhost}/{exchange}/publish", message)["routed"])


@pytest.fixture(scope="module")
def khepri(tmp_path_factory: pytest.TempPathFactory, broker_version: str) -> Iterator[RunningBroker]:
    """A broker that keeps its metadata in Khepri: by choice on 4.0, always on newer ones."""
    with running_broker(tmp_path_factory.mktemp("khepri"), broker_version) as broker:
        if broker.version.startswith("3."):
            pytest.skip("there is no Khepri before 4.0")
        if broker.version.startswith("4.0."):
            broker.ctl("enable_feature_flag", "--experimental", "khepri_db")
        yield broker


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout"])
def test_a_binding_whose_twin_goes_leads_on(khepri: RunningBroker, kind: str, tmp_path: Path) -> None:
    """Declared and dropped, or made by hand and deleted: what stays is made again, as the plan says."""
    tool, vhost = Tool.at(khepri, tmp_path), f"twins-{kind}"
    exchanges = {"orders": {}, "x": {"type": kind}, "y": {"type": "fanout"}}
    queue = {"source": "x", "queue": "letrade.dlq", "routing_key": "k"}
    exchange = {"source": "x", "exchange": "y", "routing_key": "l"}
    twins = [{**one, "arguments": {"a": 1}} for one in (queue, exchange)]
    onward = {"source": "y", "queue": "letrade.dlq"}
    declare(tool, vhost, exchanges=exchanges, bindings=[queue, exchange, onward, *twins])
    assert "[binding-arguments]" in tool.run("apply", "--yes").check(0).err
    declare(tool, vhost, exchanges=exchanges, bindings=[queue, exchange, onward])

    answer = tool.run("apply", "--yes").check(0)

    assert "may lead nowhere" in answer.out
    assert published(khepri, vhost, "x", "k")
    assert published(khepri, vhost, "x", "l")
    ok(khepri, "POST", f"bindings/{vhost}/e/x/q/letrade.dlq", {"routing_key": "k", "arguments": {"b": 1}})
    tool.run("apply", "--yes", "--allow", "delete-unmanaged").check(0)
    assert published(khepri, vhost, "x", "k")
    tool.run("drift").check(0)
    assert not [one for one in ok(khepri, "GET", f"exchanges/{vhost}") if "bridge" in one["name"]]


def test_tracing_is_drift(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Every message is copied to an exchange that others may read."""
    declare(tool, vhost_name)
    tool.run("apply", "--yes").check(0)
    broker.ctl("trace_on", "-p", vhost_name)
    assert [one["address"] for one in findings(tool)["tracing"]] == [f"vhost:{vhost_name}"]
    broker.ctl("trace_off", "-p", vhost_name)
    tool.run("drift").check(0)


def test_a_declared_queue_of_one_connection_is_drift(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """All its attributes are as declared, but nobody else may use it."""
    declare(
        tool,
        vhost_name,
        queues={"clerk.orders": {"type": "classic", "dead_letter": "none"}},
        messages=None,
        services={"clerk": {"user": f"{vhost_name}-clerk"}},
    )
    tool.run("apply", "--yes").check(0)
    queue = ok(broker, "GET", f"queues/{vhost_name}/clerk.orders")
    ok(broker, "DELETE", f"queues/{vhost_name}/clerk.orders")
    with amqp(broker, vhost_name) as channel:
        channel.queue_declare("clerk.orders", durable=True, exclusive=True, arguments=queue["arguments"])
        assert [one["address"] for one in findings(tool)["exclusive-queue"]] == ["queue:clerk.orders"]
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)


def test_a_queue_that_is_down_is_drift(tool: Tool, broker: RunningBroker, vhost_name: str) -> None:
    """Where the broker says so: 4.0 calls a quorum queue `running` whose only member was stopped."""
    declare(tool, vhost_name)
    tool.run("apply", "--yes").check(0)
    found = f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost_name}">>, queue, <<"clerk.orders">>))'
    stop = "{Name, _} = amqqueue:get_pid(Q), ra:stop_server(quorum_queues, {Name, node()})."
    broker.ctl("eval", f"{found}, {stop}")
    if broker.version.startswith("4.0."):
        assert tool.run("drift").code in {0, 2}
    else:
        assert [one["address"] for one in findings(tool)["queue-state"]] == ["queue:clerk.orders"]


@pytest.mark.one_version
def test_a_shovel_that_drains_a_queue_is_drift(
    start_broker: BrokerFactory, broker_version: str, tmp_path: Path
) -> None:
    """It consumes like a service, and shows among no queues, exchanges or bindings."""
    broker = start_broker(broker_version, plugins=("rabbitmq_shovel",))
    tool = Tool.at(broker, tmp_path)
    declare(tool, "drained", ownership="shared")
    tool.run("apply", "--yes").check(0)
    for name, source in (("drain", "clerk.orders"), ("theirs", "elsewhere")):
        value = {"src-protocol": "amqp091", "src-uri": "amqp://u:geheim@localhost", "src-queue": source}
        value |= {"dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-queue": "elsewhere"}
        ok(broker, "PUT", f"parameters/shovel/drained/{name}", {"value": value})

    (found,) = findings(tool)["parameter"]

    assert found["address"] == "parameter:shovel/drain"
    assert "takes messages out of queue 'clerk.orders'" in found["text"]
    assert "geheim" not in json.dumps(found)


@pytest.mark.one_version
@pytest.mark.parametrize(("declared", "by_hand"), [(1, 1.0), ([1, {"a": 2}], [1, {"a": "2"}])])
def test_arguments_of_another_type_are_another_binding(
    tool: Tool, broker: RunningBroker, vhost_name: str, declared: Any, by_hand: Any
) -> None:
    """To a headers exchange 1, 1.0, true and "1" are four values, also deep in a table."""
    arguments = {"x-match": "all", "n": declared}
    declare(
        tool,
        vhost_name,
        exchanges={"orders": {}, "h": {"type": "headers"}},
        bindings=[{"source": "h", "queue": "letrade.dlq", "arguments": arguments}],
        ownership="shared",
    )
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)
    (live,) = ok(broker, "GET", f"bindings/{vhost_name}/e/h/q/letrade.dlq")
    key = quote(live["properties_key"], safe="")
    ok(broker, "DELETE", f"bindings/{vhost_name}/e/h/q/letrade.dlq/{key}")
    ok(broker, "POST", f"bindings/{vhost_name}/e/h/q/letrade.dlq", {"arguments": arguments | {"n": by_hand}})

    (missing,) = json.loads(tool.run("drift", "--format", "json").check(2).out)["changes"]

    assert missing["reason"] == "missing"
