"""Whatever a broker holds, the topology that is exported of it, written and read again, expands to the same objects."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.broker.capabilities import for_version
from letrade_topo.broker.objects import (
    Binding,
    BrokerObject,
    Exchange,
    Permission,
    Policy,
    Queue,
    TopicPermission,
    User,
    UserLimit,
    Vhost,
    VhostLimit,
)
from letrade_topo.expand.expansion import expand
from letrade_topo.export.definitions import DefinedVhost, Definitions
from letrade_topo.export.exporting import export_vhosts
from letrade_topo.load.diagnostics import InvalidTopology
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.topology import Topology
from tests.topologies import VERSIONS

# What YAML could take for something else, and what a topology file gives a meaning of its own.
NAMES = st.one_of(
    st.sampled_from(
        ["on", "null", "1", "1e3", "~", "a: b", "${x}", "a b", "ä-ö", "#", "- a", "2026-01-01", "{a}", "'q'"]
    ),
    st.text(string.ascii_letters + string.digits + "._-:/# ", min_size=1, max_size=12).filter(
        lambda name: name == name.strip() and name.strip(".") and not name.startswith(("amq.", "letrade-topo."))
    ),
)
KEYS = st.text(string.ascii_letters + ".*#-", max_size=12).filter(lambda key: key not in {"null", "undefined"})
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.sampled_from(["", "on", "1", "${x}", "ü"]), st.just(1.5)
)
PATTERNS = st.sampled_from(["", "^$", ".*", r"^a\.b$", "^(?:a|b)$", "^${x}"])


@st.composite
def _queues(draw: Callable[..., Any], name: str) -> Queue:
    kind = draw(st.sampled_from(["classic", "quorum", "stream"]))
    arguments: dict[str, Any] = {"x-queue-type": kind}
    if kind != "stream":
        optional = {
            "x-message-ttl": st.integers(0, 10**9),
            "x-expires": st.integers(1, 10**9),
            "x-max-length": st.integers(0, 10**6),
            "x-overflow": st.sampled_from(["drop-head", "reject-publish"]),
            "x-single-active-consumer": st.booleans(),
            "x-dead-letter-exchange": st.sampled_from(["", "dead", "orders"]),
        }
        arguments |= {key: draw(values) for key, values in optional.items() if draw(st.booleans())}
        if "x-dead-letter-exchange" in arguments:
            arguments |= {"x-dead-letter-routing-key": "k"} if draw(st.booleans()) else {}
            if kind == "quorum" and draw(st.booleans()):
                arguments["x-dead-letter-strategy"] = draw(st.sampled_from(["at-most-once", "at-least-once"]))
    durable = kind != "classic" or draw(st.booleans())
    return Queue(name, durable=durable, auto_delete=kind == "classic" and draw(st.booleans()), arguments=arguments)


@st.composite
def _exchanges(draw: Callable[..., Any], name: str) -> Exchange:
    arguments = draw(st.dictionaries(st.sampled_from(["a", "x-own", "hash-header"]), SCALARS, max_size=2))
    if draw(st.booleans()):
        arguments["alternate-exchange"] = "dead"
    return Exchange(
        name,
        draw(st.sampled_from(["topic", "direct", "fanout", "headers", "x-consistent-hash", "x-own"])),
        durable=draw(st.booleans()),
        auto_delete=draw(st.booleans()),
        internal=draw(st.booleans()),
        arguments=arguments,
    )


@st.composite
def vhosts(draw: Callable[..., Any]) -> tuple[DefinedVhost, tuple[User | UserLimit, ...]]:
    """A vhost and the users of its broker."""
    queues = [draw(_queues(name)) for name in draw(st.lists(NAMES, max_size=6, unique=True))]
    others = draw(st.lists(NAMES.filter(lambda name: name not in {"orders", "dead"}), max_size=3, unique=True))
    exchanges = [Exchange("orders", "topic"), Exchange("dead", "fanout"), *(draw(_exchanges(name)) for name in others)]
    sources = st.sampled_from([one.name for one in exchanges] + ["amq.topic"])
    bindings = [
        Binding(
            draw(sources), "queue", queue.name, draw(KEYS), draw(st.dictionaries(st.just("a"), SCALARS, max_size=1))
        )
        for queue in queues
        if draw(st.booleans())
    ]
    policies = [
        Policy(name, draw(PATTERNS), draw(st.sampled_from(["all", "queues", "exchanges"])), {"max-length": 5}, 3)
        for name in draw(st.lists(NAMES, max_size=2, unique=True))
    ]
    users = draw(st.lists(NAMES, max_size=3, unique=True))
    rights: list[BrokerObject] = []
    for user in users:
        if draw(st.booleans()):
            rights.append(Permission(user, draw(PATTERNS), draw(PATTERNS), "^r$"))
            rights += [TopicPermission(user, "orders", "^w$", draw(PATTERNS))] if draw(st.booleans()) else []
    limits = [VhostLimit("max-queues", 500)] if draw(st.booleans()) else []
    known: list[User | UserLimit] = [
        User(name, tuple(sorted(draw(st.sets(st.sampled_from(["administrator", "own"]))))), "aGFzaA==", SHA256)
        for name in users
    ]
    known += [UserLimit(users[0], "max-channels", 9)] if users and draw(st.booleans()) else []
    objects = (*exchanges, *queues, *bindings, *policies, *limits, *rights)
    return DefinedVhost(draw(st.sampled_from(["/", "trade", "Team A"])), objects), tuple(known)


SHA256 = "rabbit_password_hashing_sha256"


def read_again(text: str) -> Topology:
    """What a file says."""
    return load_sources([SourceText("exported.yaml", Path(), text)]).topology


def objects_of(topology: Topology, version: str) -> dict[str, BrokerObject]:
    """What it makes, but for the vhost; a password is known by where it is read."""
    things = (one.object for one in expand(topology, for_version(version)).objects.values())
    return {thing.address: thing for thing in things if not isinstance(thing, Vhost)}


@given(vhosts(), st.sampled_from(VERSIONS))
def test_any_broker_comes_back(state: tuple[DefinedVhost, tuple[User | UserLimit, ...]], version: str) -> None:
    """Object by object: nothing is lost, nothing added, nothing changed."""
    vhost, users = state
    (exported,) = export_vhosts(Definitions(version, {vhost.name: vhost}, users), vhosts=[vhost.name])

    assert not exported.unsaid
    try:
        topology = read_again(exported.text)
    except InvalidTopology:
        assert exported.errors  # and each of them is a comment
        topology = exported.topology
    else:
        assert topology == exported.topology
    made = objects_of(topology, version)
    expected = {one.address: one for one in (*vhost.objects, *users)}
    assert made.keys() == expected.keys()
    for address, thing in expected.items():
        if not isinstance(thing, User):
            assert made[address].attributes == thing.attributes
        else:
            made_user = made[address]
            assert isinstance(made_user, User)
            assert made_user.tags == thing.tags
            assert made_user.password is not None
            assert exported.secrets[made_user.password.name] == f"{SHA256}:{thing.password_hash}\n"
