"""Which queues an exchange routes a key to, over every kind of exchange."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.binding_tree import BindingTree
from letrade_topo.model.overlap import KeyFamily
from letrade_topo.model.routes import Routes
from letrade_topo.model.routing import KeyTemplate
from tests.load.marked import HEADER
from tests.model.test_routing import BINDINGS, PATTERNS

TEXT = """\
exchanges:
  t: {type: topic, alternate_exchange: rest}
  d: {type: direct}
  f: {type: fanout}
  h: {type: headers}
  rest: {type: fanout}
messages: {a.b: {exchange: t, lifetime: 1s}, 'c.{v}': {exchange: t, lifetime: 1s}}
services: {s: {publishes: [a.b, 'c.{v}'], consumes: [a.b, 'c.{v}']}}
queues:
  typed: {service: s, messages: [a.b, 'c.{v}']}
  direct:
  all:
  by_header:
  leftover:
bindings:
  - {source: t, exchange: d, routing_key: 'a.#'}
  - {source: t, exchange: f, routing_key: 'c.*'}
  - {source: f, exchange: t}
  - {source: d, queue: direct, routing_key: a.b}
  - {source: f, queue: all, routing_key: whatever}
  - {source: h, queue: by_header, arguments: {x-match: all, k: v}}
  - {source: rest, queue: leftover}
  - {source: amq.direct, queue: direct, routing_key: k}
"""


def routes() -> Routes:
    """The routes of the topology above."""
    return Routes(load_sources([SourceText("t.yaml", Path(), HEADER + TEXT)]).topology)


def reached(exchange: str, key: str) -> set[str]:
    """The queues that one key reaches."""
    return routes().queues(exchange, KeyFamily.of_key(key))


def test_a_topic_exchange_routes_by_pattern_and_over_bound_exchanges() -> None:
    """To every queue on the way, each once, and a circle of exchanges ends."""
    assert reached("t", "a.b") == {"typed", "direct"}
    assert reached("t", "c.x") == {"typed", "all"}


def test_a_direct_exchange_routes_by_equality() -> None:
    """Wildcards mean nothing to it."""
    assert reached("d", "a.b") == {"direct"}
    assert reached("d", "a.c") == set()
    assert reached("amq.direct", "k") == {"direct"}


def test_fanout_and_headers_exchanges_take_everything() -> None:
    """Headers are not known here, so a binding may match."""
    assert reached("f", "z") == {"all", "leftover"}
    assert reached("h", "z") == {"by_header"}


def test_an_alternate_exchange_takes_what_nothing_else_takes() -> None:
    """And only that."""
    assert reached("t", "nothing.like.it") == {"leftover"}


def test_the_default_exchange_leads_to_the_queue_of_that_name() -> None:
    """Also to the queue of dead letters."""
    assert reached("", "typed") == {"typed"}
    assert reached("", "letrade.dlq") == {"letrade.dlq"}
    assert reached("", "nobody") == set()


def test_dead_letters_and_rejected_messages_have_their_routes() -> None:
    """They are derived, not declared."""
    assert reached("letrade.dlq", "a.b.dead") == {"letrade.dlq"}
    assert reached("letrade.retry", "typed.rejected") == {"typed.rejected"}


def test_a_family_reaches_what_any_of_its_keys_reaches() -> None:
    """The answer for a pattern is the union."""
    assert routes().queues("t", KeyFamily.of_binding("#")) == {"typed", "direct", "all"}


@given(st.lists(BINDINGS, max_size=8), PATTERNS)
def test_the_tree_of_bindings_agrees_with_trying_each(keys: list[str], pattern: str) -> None:
    """It is quicker, and nothing else."""
    tree: BindingTree[int] = BindingTree()
    for number, key in enumerate(keys):
        tree.add(key, number)
    family = KeyFamily.of_template(KeyTemplate.parse(pattern, wildcards=True))

    found = sorted(tree.find(family))

    assert found == [number for number, key in enumerate(keys) if KeyFamily.of_binding(key).overlaps(family)]


def test_the_keys_of_a_queue() -> None:
    """Those of its bindings, or its own name for the default exchange."""
    assert [family.text for family in routes().keys_of("direct")] == ["a.b", "k"]
    assert routes().keys_of("typed.retry.1")[0].text == "typed.retry.1"
