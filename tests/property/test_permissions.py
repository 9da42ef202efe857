"""Permissions and topic permissions allow exactly what a topology declares, whatever it declares."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.model.messages import MessageType
from letrade_topo.model.routing import KeyTemplate, binding_matches
from letrade_topo.model.services import Service
from letrade_topo.model.topology import DeadLettering, DeclaredExchange, DeclaredQueue, Topology
from letrade_topo.model.units import Duration
from tests.access import Access
from tests.topologies import expanded

# Few words, so that templates overlap; one has what regular expressions treat in a special way.
WORDS = ("a", "b+c", "a_1", "{x}", "a_{x}")
KEYS = [".".join(words) for length in (1, 2, 3) for words in product(("a", "b+c", "a_1", "bxc"), repeat=length)]
BINDINGS = [".".join(words) for length in (1, 2, 3) for words in product(("a", "a_1", "b+c", "*", "#"), repeat=length)]
BROUGHT = {binding: [key for key in KEYS if binding_matches(binding, key)] for binding in BINDINGS}
EXCHANGES = ("e1", "e.2")

templates = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(".".join)
patterns = st.lists(st.sampled_from((*WORDS, "*", "#")), min_size=1, max_size=3).map(".".join)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Types on two exchanges; services that publish and consume some of them; queues for some of those."""
    keys = draw(st.lists(templates, unique=True, min_size=1, max_size=5))
    messages = {
        key: MessageType(key, draw(st.sampled_from(EXCHANGES)), KeyTemplate.parse(key), Duration(1000)) for key in keys
    }
    some = st.lists(st.sampled_from(keys), unique=True, max_size=3).map(tuple)
    services = {
        name: Service(
            name,
            publishes=draw(some),
            consumes=draw(some),
            patterns=tuple(KeyTemplate.parse(text, wildcards=True) for text in draw(st.lists(patterns, max_size=1))),
            user=name,
        )
        for name in ("s", "s.x", "t")
    }
    queues = {
        f"q{number}": DeclaredQueue(
            f"q{number}",
            service=draw(st.sampled_from(sorted(services))),
            messages=draw(some),
            dead_lettering=draw(st.sampled_from(DeadLettering)),
        )
        for number in range(draw(st.integers(0, 3)))
    }
    exchanges = {name: DeclaredExchange(name) for name in EXCHANGES}
    return Topology("t", "v", exchanges=exchanges, messages=messages, services=services, queues=queues)


@given(topologies())
def test_exactly_the_declared_keys_may_be_published(topology: Topology) -> None:
    """A key passes on an exchange exactly when a type that the service publishes there has it."""
    state = expanded(topology)
    for service in topology.services.values():
        access = Access(state, service.user)
        own = [topology.messages[name] for name in service.publishes]
        for exchange in (*EXCHANGES, "", "amq.topic"):
            for key in KEYS:
                declared = any(one.exchange == exchange and one.key.matches(key) for one in own)
                assert access.may_publish(exchange, key) == declared, (service.name, exchange, key)


@given(topologies())
def test_no_binding_brings_more_than_is_consumed(topology: Topology) -> None:
    """Whatever a permitted binding key lets through is a key of a consumed type or of a pattern."""
    state = expanded(topology)
    for service in topology.services.values():
        access, queue = Access(state, service.user), f"{service.name}.sub.1"
        for exchange in EXCHANGES:
            consumed = (topology.messages[name] for name in service.consumes)
            allowed = [message.key for message in consumed if message.exchange == exchange] + [*service.patterns]
            declared = {key for key in KEYS if any(one.matches(key) for one in allowed)}
            for binding in BINDINGS:
                if access.may_bind(queue, exchange, binding):
                    assert declared.issuperset(BROUGHT[binding]), (service.name, exchange, binding)


@given(topologies())
def test_every_declared_subscription_may_be_bound(topology: Topology) -> None:
    """Each concrete key of a consumed type may be bound, and the type's own pattern where it asks for no more."""
    state = expanded(topology)
    for service in topology.services.values():
        access, queue = Access(state, service.user), f"{service.name}.reply.1"
        for message in (topology.messages[name] for name in service.consumes):
            for key in KEYS:
                if message.key.matches(key):
                    assert access.may_bind(queue, message.exchange, key)
            if "a_{x}" not in message.key.words:
                assert access.may_bind(queue, message.exchange, message.key.binding_key)


@given(topologies())
def test_queues_are_read_by_their_service_alone_and_touched_by_nobody(topology: Topology) -> None:
    """Durable queues belong to the tool; a service reads its own and makes only what has its prefix."""
    state = expanded(topology)
    queues = {address.removeprefix("queue:") for address in state.objects if address.startswith("queue:")}
    for service in topology.services.values():
        access = Access(state, service.user)
        own = {queue.name for queue in topology.queues.values() if queue.service == service.name}
        rejected = {f"{name}.rejected" for name in own if topology.queues[name].has_rejected_queue}
        assert {queue for queue in queues if access.may_consume(queue)} == own | rejected
        assert not any(access.may_declare(queue) for queue in queues)
        listens = bool(service.consumes or service.patterns)
        for owner, suffix in product(topology.services, ("reply.1", "sub.1")):
            mine = listens and owner == service.name
            assert access.may_declare(f"{owner}.{suffix}") == mine
            assert access.may_consume(f"{owner}.{suffix}") == mine
