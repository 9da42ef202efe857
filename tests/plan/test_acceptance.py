"""What a broker refuses is refused before anything is written, and nothing else is: our tables against real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import requests

from letrade_topo.broker.objects import BrokerObject, Permission, Policy, Queue, TopicPermission, User
from letrade_topo.broker.state import BrokerInfo
from letrade_topo.model.messages import Json
from letrade_topo.model.rules.arguments import QUEUE_FIELDS, argument_value, header_match
from letrade_topo.model.rules.policies import policy_key, policy_setting
from letrade_topo.model.settings import NO_POLICY_SETTINGS, POLICY_SETTINGS, QUEUE_ARGUMENTS, OneOf
from letrade_topo.model.topology import (
    DeclaredBinding,
    DeclaredExchange,
    DeclaredPolicy,
    DeclaredQueue,
    DestinationType,
    ExchangeType,
    PolicyTarget,
    QueueType,
    Topology,
)
from letrade_topo.plan.acceptance import reasons_to_refuse
from tests.brokers import BrokerFactory, RunningBroker

VALUES: tuple[Json, ...] = (
    0, 1, -1, 3, 15, 256, 2**32, 3_000_000_001, 315_360_000_001, True, "", "x", "1D", "1d", ["a"],
)  # fmt: skip
ODD: tuple[Json, ...] = (1.5, {})
"""3.10 does not answer at all to some of these."""

KEPT_UNREAD = frozenset(
    {
        "x-delivery-limit",
        "x-delayed-retry-type",
        "x-delayed-retry-min",
        "x-delayed-retry-max",
        "x-quorum-target-group-size",
        "x-consumer-timeout",
        "x-consumer-disconnected-timeout",
        "x-queue-mode",
        "x-queue-master-locator",
        "x-stream-filter-size-bytes",
    }
)
"""Arguments of which some version takes any value, or on any queue, and then does nothing, or anything, with it."""


TOGETHER: tuple[dict[str, Json], ...] = (
    {"max-length": 1, "max-age": "1D"},
    {"ha-mode": "all", "ha-sync-mode": "automatic"},
    {"ha-mode": "all", "ha-params": 1},
    {"ha-mode": "exactly", "ha-params": 2},
    {"ha-mode": "exactly"},
    {"ha-mode": "nodes", "ha-params": ["a@b"]},
    {"ha-mode": "nodes"},
    {"delayed-retry-type": "all"},
    {"delayed-retry-type": "all", "delayed-retry-min": 1},
    {"delayed-retry-type": "all", "delayed-retry-max": 1},
    {"delayed-retry-type": "disabled"},
    {"delayed-retry-type": "failed", "delayed-retry-min": 2, "delayed-retry-max": 1},
    {"delayed-retry-type": "failed", "delayed-retry-min": 1, "delayed-retry-max": 2},
)


def info(version: str, *plugins: str) -> BrokerInfo:
    """A broker of a version, with plug-ins beyond those that every broker of ours has."""
    return BrokerInfo(version, "c", "admin", plugins=frozenset({"rabbitmq_management", *plugins}))


def values_of(words: object, version: str) -> Iterator[Json]:
    """What is tried: the words that are known, and much that is none."""
    known = words.words if isinstance(words, OneOf) else ()
    yield from chain(VALUES, known, () if version.startswith("3.10") else ODD)


def refuses_argument(kind: QueueType, name: str, value: Json, version: str) -> bool:
    """Our verdict on a queue with one argument: `validate`, or else `plan`."""
    queue = DeclaredQueue("q", type=kind, arguments={name: value})
    live = Queue("q", arguments={"x-queue-type": str(kind), name: value})
    offline = list(argument_value.check(Topology("t", "v", queues={"q": queue})))
    return bool(offline or list(reasons_to_refuse(live, info(version))))


def refuses_policy(definition: dict[str, Json], broker: BrokerInfo) -> bool:
    """Our verdict on a policy: `validate`, or else `plan`."""
    policy = DeclaredPolicy("p", "^a$", PolicyTarget.ALL, definition)
    offline = list(policy_setting.check(Topology("t", "v", policies={"p": policy})))
    return bool(offline or list(reasons_to_refuse(Policy("p", "^a$", "all", definition), broker)))


class VhostProbe:
    """A vhost of a broker, over one connection: there are thousands of questions."""

    def __init__(self, broker: RunningBroker, vhost: str) -> None:
        self.version = broker.version
        self._base = f"{broker.management_url}/api"
        self._vhost = vhost
        self._session = requests.Session()
        self._session.auth = (broker.username, broker.password)
        self._session.verify = str(broker.ca_file)
        self._session.trust_env = False
        assert self("PUT", f"/vhosts/{vhost}", {}) == 201

    def __call__(self, method: str, path: str, body: object = None) -> int:
        """The status of an answer; `V` in the path is the vhost."""
        path = path.replace("/V/", f"/{self._vhost}/")
        return self._session.request(method, self._base + path, json=body, timeout=30).status_code

    def refuses(self, path: str, body: dict[str, Any]) -> bool:
        """The broker's own verdict; a breakdown is one, too."""
        status = self("PUT", path, body)
        if status < 400:
            self("DELETE", path)
        return status >= 400


@pytest.fixture
def asking(broker: RunningBroker, vhost_name: str) -> VhostProbe:
    """A vhost of this test's own."""
    return VhostProbe(broker, vhost_name)


@pytest.mark.broker
@pytest.mark.parametrize("kind", QueueType)
def test_arguments_are_judged_as_the_broker_judges_them(asking: VhostProbe, kind: QueueType) -> None:
    """Every argument of the table with every value: refused by us if the broker refuses it, and hardly ever else."""
    missed, invented = [], []
    for name, argument in QUEUE_ARGUMENTS.items():
        if name in QUEUE_FIELDS:
            continue  # a field stands for it
        for value in values_of(argument.values, asking.version):
            arguments: dict[str, Json] = {"x-queue-type": str(kind), name: value}
            body = {"durable": True, "auto_delete": False, "arguments": arguments}
            theirs = asking.refuses("/queues/V/q", body)
            ours = refuses_argument(kind, name, value, asking.version)
            if theirs and not ours:
                missed.append((name, value))
            elif ours and not theirs and name not in KEPT_UNREAD:
                invented.append((name, value))

    assert missed == []
    assert invented == []


@pytest.mark.broker
def test_policies_are_judged_as_the_broker_judges_them(asking: VhostProbe) -> None:
    """Every setting with every value, what is no setting, and some together: refused exactly if the broker refuses."""
    known = {name: setting.values for name, setting in POLICY_SETTINGS.items()}
    none = dict.fromkeys((*NO_POLICY_SETTINGS, "x-queue-type", "x-max-length", "no-such-setting"))
    alone = [{name: value} for name, words in (known | none).items() for value in values_of(words, asking.version)]
    wrong = []
    for definition in (*alone, *TOGETHER):
        body = {"pattern": "^a$", "definition": definition, "apply-to": "all", "priority": 0}
        theirs = asking.refuses("/policies/V/p", body)
        if theirs is not refuses_policy(definition, info(asking.version)):
            wrong.append((definition, theirs))

    assert wrong == []


PLUGINS = ("rabbitmq_federation_management", "rabbitmq_sharding")
OF_PLUGINS: tuple[dict[str, Json], ...] = (
    {"federation-upstream": "a"},
    {"federation-upstream": 1},
    {"federation-upstream-set": "all"},
    {"federation-upstream-set": "all", "federation-upstream": "a"},
    {"federation-upstream-pattern": "^a"},
    {"shards-per-node": 2},
    {"shards-per-node": -1},
    {"routing-key": "x"},
    {"shards-per-node": 2, "routing-key": "x"},
)


@pytest.mark.wide
def test_settings_of_plugins(start_broker: BrokerFactory, broker_version: str) -> None:
    """With the plug-in as the broker judges them, without it never."""
    broker = start_broker(broker_version, plugins=PLUGINS)
    asking = VhostProbe(broker, "v")

    for definition in OF_PLUGINS:
        theirs = asking.refuses("/policies/V/p", {"pattern": "^a$", "definition": definition})
        assert theirs is refuses_policy(definition, info(broker.version, *PLUGINS)), definition
        assert refuses_policy(definition, info(broker.version))


@pytest.mark.broker
def test_matches_of_headers(asking: VhostProbe) -> None:
    """`x-match` is judged on a headers exchange, and nowhere else."""
    matches: tuple[Json, ...] = ("all", "any", "all-with-x", "any-with-x", "som", "ALL", "", 1, True, ["all"])
    asking("PUT", "/queues/V/q", {"durable": True})
    for kind in (ExchangeType.HEADERS, ExchangeType.TOPIC):
        asking("PUT", f"/exchanges/V/{kind}", {"type": str(kind)})
        for match in matches:
            body = {"routing_key": "", "arguments": {"x-match": match, "a": 1}}
            theirs = asking("POST", f"/bindings/V/e/{kind}/q/q", body) == 400
            binding = DeclaredBinding("e", "q", DestinationType.QUEUE, arguments={"x-match": match, "a": 1})
            topology = Topology("t", "v", exchanges={"e": DeclaredExchange("e", kind)}, bindings=(binding,))
            assert theirs is bool(list(header_match.check(topology))), (kind, match)


@pytest.mark.parametrize(
    ("thing", "version", "words"),
    [
        (Policy("p", "^a$", "all", {"ha-mode": "all"}), "4.0.5", "'ha-mode', which is taken before 4.0"),
        (Policy("p", "^a$", "all", {"consumer-timeout": 1}), "3.10.8", "taken from 3.12 on"),
        (Policy("p", "^a$", "all", {"delayed-retry-min": 1}), "4.3.0", "taken from 4.3.1 on"),
        (Policy("p", "^a$", "all", {"delivery-limit": -1}), "3.13.7", "`delivery-limit: -1`"),
        (Policy("p", "^a$", "all", {"federation-upstream-set": "all"}), "4.0.5", "enable rabbitmq_federation"),
        (Policy("p", "^a$", "all", {"mistake": 1}), "4.0.5", "'mistake'"),
        (Queue("q", arguments={"x-queue-type": "classic", "x-queue-version": 1}), "4.3.6", "before 4.3"),
        (Queue("q", arguments={"x-queue-type": "quorum", "x-delivery-limit": -1}), "3.12.0", "from 4.0 on"),
        (User("u", tuple(map(str, range(33)))), "4.3.0", "32 tags"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_the_version_and_what_to_do(thing: Policy | Queue | User, version: str, words: str) -> None:
    """And what is known of no version, or where the plug-ins are not known, is left to the broker."""
    (reason,) = reasons_to_refuse(thing, info(version))
    assert words in reason


def test_what_cannot_be_told_is_left_to_the_broker() -> None:
    """A plug-in that is not RabbitMQ's own may know any setting; so may a broker that does not name its plug-ins."""
    policy = Policy("p", "^a$", "all", {"mistake": 1, "federation-upstream-set": "all"})

    assert list(reasons_to_refuse(policy, BrokerInfo("4.0.5", "c", "admin"))) == []
    assert len(list(reasons_to_refuse(policy, info("4.0.5", "rabbitmq_lvc_exchange")))) == 1
    topology = Topology("t", "v", policies={"p": DeclaredPolicy("p", "^a$", PolicyTarget.ALL, {"mistake": 1})})
    assert len(list(policy_key.check(topology))) == 1


LONG = f"^(?:{'|'.join(f'name{number:03}' for number in range(128))})$"
"""1,029 bytes."""


@pytest.mark.parametrize(
    ("thing", "field"),
    [
        (Policy("p", LONG, "all", {"max-length": 1}), "pattern"),
        (Permission("u", LONG, "", ""), "configure"),
        (Permission("u", "", LONG, ".*"), "write"),
        (Permission("u", "", "", "é" * 513), "read"),
        (TopicPermission("u", "x", "", LONG), "read"),
    ],
    ids=lambda value: getattr(value, "address", value),
)
def test_an_expression_over_1024_bytes_is_refused_where_the_broker_does(thing: BrokerObject, field: str) -> None:
    """From 4.2.8 and 4.3.2 on, for each kind of object that has one, with the figures."""
    for version in ("3.10.8", "4.0.5", "4.2.7", "4.3.1"):
        assert list(reasons_to_refuse(thing, info(version))) == []
    for version in ("4.2.8", "4.3.2", "4.3.6"):
        (reason,) = reasons_to_refuse(thing, info(version), "topic")
        assert f"its {field} has 1,02" in reason
        assert "takes 1,024 bytes" in reason


def test_what_a_broker_has_of_an_expression_that_is_too_long(broker: RunningBroker, vhost_name: str) -> None:
    """The broker refuses exactly what is refused beforehand."""
    user = f"{vhost_name}-long"
    broker.api("PUT", f"/api/vhosts/{vhost_name}").raise_for_status()
    broker.api("PUT", f"/api/users/{user}", json={"password": "x", "tags": ""}).raise_for_status()
    for pattern in ("^" + "a" * 1023, "^" + "a" * 1024):
        permission = Permission(user, "", "", pattern)
        answer = broker.api("PUT", f"/api/permissions/{vhost_name}/{user}", json=permission.attributes)
        refused = list(reasons_to_refuse(permission, BrokerInfo(broker.version, "c", "admin")))
        assert bool(refused) == (answer.status_code == 400)
    broker.api("DELETE", f"/api/users/{user}").raise_for_status()
