"""However many queues and keys a service has, its rights reach the broker, and mean there what they mean here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from letrade_topo.broker.objects import Permission, Policy, Queue, TopicPermission
from letrade_topo.expand.desired import DesiredState
from letrade_topo.model.name_patterns import LONGEST_PATTERN_BYTES
from tests.access import Access
from tests.brokers import RunningBroker
from tests.tool import Tool
from tests.topologies import Document, expanded, loaded, orders, write

pytestmark = pytest.mark.broker

EACH = 24
QUEUE_NAMES = {
    "first": "first.{area}.orders_of_customers_{number:03}",
    "last": "orders_{number:05}.{area}.last",
    "amid": "{area}.amid-{number}.[a+b]",
}
AREAS = ("eu", "asia", "서울", "zürich")
RIGHTS = ("configure", "write", "read")


def topology(vhost: str) -> Document:
    """Three services with names of three manners, beyond ASCII too; of their queues, some have limits or a ladder."""
    kinds: list[Document] = [{}, {"max_length": 9}, {"delivery_limit": -1}, {}, {"max_length": 9}]
    keys = {
        service: [f"{service}.{{shop}}.something_that_happened_{number:02}" for number in range(EACH)]
        for service in QUEUE_NAMES
    }
    queues = {
        name.format(area=AREAS[number % len(AREAS)], number=number): {
            "service": service,
            "messages": [keys[service][number]],
            "retry": {"max_retries": 1, "delay": "1s"} if number == 0 else "none",
            **kinds[number % len(kinds)],
        }
        for service, name in QUEUE_NAMES.items()
        for number in range(EACH)
    }
    return orders(
        name=vhost,
        vhost=vhost,
        messages={key: {"exchange": "orders", "lifetime": "60s"} for own in keys.values() for key in own},
        services={
            service: {"user": f"{vhost}-{service}", "publishes": keys[service], "consumes": keys[service]}
            for service in QUEUE_NAMES
        },
        queues=queues,
    )


@pytest.fixture
def desired(broker: RunningBroker, vhost_name: str, tmp_path: Path) -> Iterator[DesiredState]:
    """The topology, applied and in sync; its users go at the end."""
    document = topology(vhost_name)
    write(tmp_path / "topology.yaml", document)
    tool = Tool.at(broker, tmp_path)
    tool.run("apply", "--yes").check(0)
    tool.run("drift").check(0)
    yield expanded(loaded(document), broker.version)
    for service in QUEUE_NAMES:
        broker.api("DELETE", f"/api/users/{vhost_name}-{service}")
    broker.api("DELETE", f"/api/global-parameters/letrade-topo.{vhost_name}.{vhost_name}")


def judged(broker: RunningBroker, *questions: tuple[str, str]) -> list[bool]:
    """What the broker's own code answers, asked all at once: Erlang expressions that are true or false, each of every
    value of its generator."""
    answers = (f"<< <<(case {question} of true -> 1; _ -> 0 end + $0)>> || {of} >>" for question, of in questions)
    said = broker.ctl("eval", f"[{', '.join(answers)}].")
    return [answer == "1" for answer in re.findall("[01]", said)]


def erlang(text: str) -> str:
    """A text as a binary."""
    plain = text.isascii() and not set(text) & set('"\\')
    return f'<<"{text}">>' if plain else f"<<{','.join(map(str, text.encode()))}>>"


def binaries(texts: Iterable[str]) -> str:
    """Texts as a list of binaries."""
    return f"[{','.join(map(erlang, texts))}]"


def test_the_broker_judges_names_and_keys_as_is_meant(
    broker: RunningBroker, desired: DesiredState, vhost_name: str
) -> None:
    """By its own functions, with its own limits on length and steps: every service, every right, every name and key."""
    for one in desired.objects.values():
        if isinstance(one.object, Permission | TopicPermission | Policy):
            for text in one.object.attributes.values():
                assert len(str(text).encode()) <= LONGEST_PATTERN_BYTES
    names = [one.object.name for one in desired.objects.values() if isinstance(one.object, Queue)]
    names += [
        "orders",
        "letrade.retry",
        "amq.topic",
        "first.reply.1",
        "last.reply.1",
        "서울",
        "x" * 255,
        "first." + "é" * 124,
    ]
    keys = [f"{service}.x.something_that_happened_{number:02}" for service in QUEUE_NAMES for number in range(EACH + 1)]
    retry_keys = [f"{name}.{last}" for name in names for last in ("rejected", "retry.1", "x")]
    for service in QUEUE_NAMES:
        user = f"{{auth_user, {erlang(f'{vhost_name}-{service}')}, [], none}}"
        access = Access(desired, f"{vhost_name}-{service}")
        vhost, check = erlang(vhost_name), "rabbit_auth_backend_internal:check"
        questions = [
            (
                f"{check}_resource_access({user}, rabbit_misc:r({vhost}, queue, Name), Right, #{{}})",
                f"Name <- {binaries(names)}, Right <- [{','.join(RIGHTS)}]",
            )
        ]
        for exchange, asked in (("orders", keys), ("letrade.retry", retry_keys)):
            topic = f"rabbit_misc:r({vhost}, topic, {erlang(exchange)})"
            context = "#{routing_key => Key, variable_map => #{}}"
            questions.append(
                (f"{check}_topic_access({user}, {topic}, write, {context})", f"Key <- {binaries(asked)}"),
            )
        assert judged(broker, *questions) == [
            *(access.may(right, name) for name in names for right in RIGHTS),
            *(access.may_publish("orders", key) for key in keys),
            *(access.may_publish("letrade.retry", key) for key in retry_keys),
        ]


def test_every_queue_is_under_its_own_policy(broker: RunningBroker, desired: DesiredState, vhost_name: str) -> None:
    """With a policy for each role and each set of limits, not for each queue."""
    listed = broker.api("GET", f"/api/queues/{vhost_name}?disable_stats=true").json()
    in_force = {queue["name"]: queue.get("policy") for queue in listed if queue["name"] in desired.policies}
    assert in_force == desired.policies
    assert len(set(in_force.values()) - {None}) <= 4
