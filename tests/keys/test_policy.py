"""What the topology says of a destination, against the meaning of bindings itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.keys.policy import TopologyPolicy, audience_of
from letrade_topo.keys.topic_index import TopicIndex
from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate, binding_matches
from letrade_topo.model.services import Service
from letrade_topo.model.topology import (
    DeclaredBinding,
    DeclaredExchange,
    DeclaredQueue,
    DestinationType,
    ExchangeType,
    Topology,
)
from letrade_topo.model.units import Duration
from tests.keys.world import policy_of, topology

WORD = st.sampled_from(["a", "b", "", "aa", "*", "#"])
BINDING_KEYS = st.lists(WORD, min_size=1, max_size=6).map(".".join)
KEYS = st.lists(st.sampled_from(["a", "b", "", "aa", "c"]), min_size=1, max_size=7).map(".".join)


@given(st.lists(BINDING_KEYS, max_size=8), KEYS)
def test_index_matches_what_bindings_match(binding_keys: list[str], routing_key: str) -> None:
    """The tree of words gives exactly the binding keys that match one by one."""
    index: TopicIndex[int] = TopicIndex()
    for place, binding_key in enumerate(binding_keys):
        index.add(binding_key, place)

    expected = [place for place, binding_key in enumerate(binding_keys) if binding_matches(binding_key, routing_key)]
    assert sorted(index.matches(routing_key)) == expected


def test_long_key_of_many_wildcards_is_quick() -> None:
    """A hostile key does not take time that grows with the number of ways to match it."""
    index: TopicIndex[int] = TopicIndex()
    index.add(".".join(["#", "a"] * 20), 1)

    assert index.matches(".".join(["a"] * 120)) == [1]
    assert index.matches(".".join(["a"] * 120 + ["b"])) == []


def test_letrade() -> None:
    """Who may publish a command, and where it is routed to, as the shipped topology says."""
    route = policy_of("exchange_connector").route(b"letrade.commands", b"commands.execute_trade")

    assert route is not None
    assert route.publishers == {"strategy", "core_engine"}
    assert route.queues == {"exchange_connector.execute_trade"}
    assert route.listeners == {"exchange_connector"}
    assert route.lifetime_seconds == 60


def test_template() -> None:
    """A key of a template belongs to its type; a pattern of a service makes it a listener."""
    policy = policy_of("strategy")
    route = policy.route(b"letrade.events", b"market_data.binance.btcusdt")

    assert route is not None
    assert route.message_type == "market_data.{exchange}.{symbol}"
    assert route.queues == {"strategy.market_data"}
    assert policy.route(b"letrade.events", b"market_data.binance") is None
    assert policy.route(b"letrade.events", b"market_data.binance.") is None
    assert policy.route(b"letrade.commands", b"market_data.binance.btcusdt") is None
    assert policy.route(b"", b"strategy.market_data") is None


def test_audience_percent_encodes_the_vhost() -> None:
    """A vhost may have any character; `/` in it does not look like a part of the path."""
    assert audience_of(replace(topology(), environment="prod", vhost="/a b%")) == "prod/letrade/%2Fa%20b%25"


def small(bindings: tuple[DeclaredBinding, ...], exchanges: dict[str, DeclaredExchange]) -> Topology:
    """One type on the topic exchange `in`, further exchanges and bindings as given."""
    message = MessageType("strategy_{id}.said", "in", KeyTemplate.parse("strategy_{id}.said"), Duration(1000))
    return Topology(
        name="small",
        vhost="/",
        exchanges={"in": DeclaredExchange("in"), **exchanges},
        messages={message.name: message},
        queues={name: DeclaredQueue(name) for name in ("q1", "q2", "q3")},
        services={
            "s": Service("s", publishes=(message.name,)),
            "l": Service("l", patterns=(KeyTemplate.parse("strategy_7.*", wildcards=True),)),
        },
        bindings=bindings,
    )


def queues(topology: Topology, key: bytes = b"strategy_7.said") -> frozenset[str]:
    """Where a key is routed to."""
    route = TopologyPolicy(topology, "l").route(b"in", key)
    assert route is not None
    return route.queues


def to_queue(source: str, queue: str, key: str = "") -> DeclaredBinding:
    """A binding of a queue."""
    return DeclaredBinding(source, queue, DestinationType.QUEUE, key)


def to_exchange(source: str, exchange: str, key: str = "") -> DeclaredBinding:
    """A binding of an exchange."""
    return DeclaredBinding(source, exchange, DestinationType.EXCHANGE, key)


def test_exchange_types() -> None:
    """Each exchange type gives binding keys its own meaning; one that decides by headers may lead anywhere."""
    others = {kind.value: DeclaredExchange(kind.value, kind) for kind in ExchangeType}
    for kind, key, is_routed in (
        ("topic", "strategy_7.*", True),
        ("topic", "strategy_*.*", False),
        ("direct", "strategy_7.said", True),
        ("direct", "strategy_7.*", False),
        ("fanout", "whatever", True),
        ("headers", "", True),
    ):
        topology = small((to_exchange("in", kind, "#"), to_queue(kind, "q1", key)), others)
        assert queues(topology) == ({"q1"} if is_routed else frozenset()), kind


def test_circle_of_exchanges() -> None:
    """Exchanges that are bound in a circle end the search."""
    bindings = (to_exchange("in", "x", "#"), to_exchange("x", "in", "#"), to_queue("x", "q1", "#"))

    assert queues(small(bindings, {"x": DeclaredExchange("x")})) == {"q1"}


def test_alternate_exchange() -> None:
    """What no binding takes goes to the alternate exchange, and only that."""
    exchanges = {
        "in": DeclaredExchange("in", alternate_exchange="rest"),
        "rest": DeclaredExchange("rest", ExchangeType.FANOUT),
    }
    bindings = (to_queue("in", "q1", "strategy_7.said"), to_queue("rest", "q2"))

    assert queues(small(bindings, exchanges)) == {"q1"}
    assert queues(small(bindings, exchanges), b"strategy_8.said") == {"q2"}


def test_listener_by_pattern() -> None:
    """A subscription pattern makes its service a listener of the keys that it matches, and of no others."""
    policy = TopologyPolicy(small((), {}), "l")
    heard, unheard = policy.route(b"in", b"strategy_7.said"), policy.route(b"in", b"strategy_8.said")

    assert heard is not None
    assert unheard is not None
    assert policy.reaches(heard, "l.sub.1")
    assert policy.reaches(heard, "l.reply.1")
    assert not policy.reaches(heard, "s.sub.1")
    assert not policy.reaches(unheard, "l.sub.1")
