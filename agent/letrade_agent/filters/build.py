"""All filters of one service, put together from topology, keys and settings; made anew at every reload."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from letrade_agent.config import DeclareMode, Undeclared
from letrade_agent.filters.claims import claims_of
from letrade_agent.filters.contents import Contents
from letrade_agent.filters.dead_letters import DeadLetters
from letrade_agent.filters.declared import Declared
from letrade_agent.filters.declares import DeclareFilter
from letrade_agent.filters.destinations import Destinations
from letrade_agent.filters.failures import Failures, HopSigning
from letrade_agent.filters.in_force import Filters
from letrade_agent.filters.inbound import Checks, InboundFilter
from letrade_agent.filters.keeping_up import KeepingUp
from letrade_agent.filters.outbound import OutboundFilter, Signing
from letrade_agent.filters.repeats import Repeats
from letrade_agent.filters.retry_copies import RetryCopies
from letrade_agent.limits import DEFAULT_LIMITS, Limits
from letrade_agent.measures import Measures
from letrade_topo.errors import TopoError
from letrade_topo.keys.hop import HopRules, hop_tolerance
from letrade_topo.keys.jws import SigningKey
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.replay import Replay
from letrade_topo.keys.token import Verifier
from letrade_topo.messages.decryption import FieldDecryption
from letrade_topo.messages.encryption import FieldEncryption, SentKeys
from letrade_topo.messages.schema import compile_schemas
from letrade_topo.model.topology import Topology

NO_KEYS = KeySet(None, MappingProxyType({}))
"""Of an agent without a key folder: nothing can be signed and nothing verified."""


class UnknownService(TopoError):
    """The topology has no such service."""


class FilterSettings(Protocol):
    """What of the agent's settings the filters need."""

    @property
    def service(self) -> str:
        """The service beside which the agent runs."""

    @property
    def undeclared(self) -> Undeclared:
        """What becomes of what the topology does not know."""

    @property
    def declares(self) -> DeclareMode:
        """What becomes of declares of what it owns."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """What the router needs of the filters.

    Args:
        declared: the topology's names.
        failures: reads what failed.
        retry_copies: makes what comes back.
        dead_letters: makes what does not.
    """

    declared: Declared
    failures: Failures
    retry_copies: RetryCopies
    dead_letters: DeadLetters


@dataclass(frozen=True, slots=True)
class Chance:
    """What filters take from outside beside messages.

    Args:
        random_bytes: gives so many random bytes, fit for secrets.
        clock: seconds, for measuring alone.
    """

    random_bytes: Callable[[int], bytes] = os.urandom
    clock: Callable[[], float] = time.perf_counter


REAL_CHANCE = Chance()


def build_filters(
    topology: Topology,
    keys: KeySet | None,
    settings: FilterSettings,
    replay: Replay,
    measures: Measures,
    limits: Limits = DEFAULT_LIMITS,
    chance: Chance = REAL_CHANCE,
    sent: SentKeys | None = None,
    keeping_up: KeepingUp | None = None,
) -> Filters:
    """Make the filters of a service.

    Args:
        topology: a valid one.
        keys: the service's key set; None: it has none, so that what has to be signed is refused, and what has to be
            verified goes to the dead letters.
        settings: of the agent.
        replay: the memory against repeats, which outlives the filters.
        measures: what is counted, likewise.
        limits: of the agent.
        chance: randomness and the measuring clock.
        sent: the content keys of what may be returned, which outlive the filters; None: they do not.
        keeping_up: how long each queue has been kept up with, likewise.

    Raises:
        UnknownService: the topology does not have the service.
        InvalidSchema: the schema of a message type cannot be compiled.
    """
    common = _common(topology, keys, settings.service, chance)
    declared, policy = common.declared, common.policy
    schemas = compile_schemas(topology.messages)
    sent = SentKeys() if sent is None else sent
    outbound = OutboundFilter(
        settings.service,
        Destinations(declared, policy, schemas, settings.undeclared),
        Signing(common.key_at, policy.audience, chance.random_bytes, chance.clock),
        FieldEncryption(settings.service, common.keys, sent, chance.random_bytes),
        sent,
        measures,
        claims=claims_of(topology, settings.service, chance.random_bytes),
        message_size=topology.limits.message_size.bytes,
        upstream_frame_max=limits.upstream.frame_max_bytes,
    )
    contents = Contents(FieldDecryption(common.keys), schemas)
    keeping_up, hold_seconds = KeepingUp() if keeping_up is None else keeping_up, limits.relay.hold_seconds
    repeats = Repeats(common.verifier, replay, keeping_up, topology, hold_seconds)
    inbound = InboundFilter(
        declared,
        Checks(common.keys, common.policy, common.verifier, contents, repeats, chance.clock, hold_seconds),
        common.dead_letters,
        measures,
        undeclared=settings.undeclared,
    )
    declares = DeclareFilter(
        declared, mode=settings.declares, undeclared=settings.undeclared, random_bytes=chance.random_bytes
    )
    return Filters(outbound, inbound, declares)


def build_rejected(
    topology: Topology,
    keys: KeySet | None,
    service: str,
    chance: Chance = REAL_CHANCE,
) -> Rejected:
    """Make what reads rejected messages of a service and writes their copies; arguments as of `build_filters`.

    Raises:
        UnknownService: the topology does not have the service.
    """
    common = _common(topology, keys, service, chance)
    copies = RetryCopies(topology.dead_letter.retry_exchange, common.failures)
    return Rejected(common.declared, common.failures, copies, common.dead_letters)


@dataclass(frozen=True, slots=True)
class _Common:
    """What filters of both kinds stand on."""

    declared: Declared
    policy: TopologyPolicy
    keys: KeySet
    key_at: Callable[[float], SigningKey | None]
    verifier: Verifier
    failures: Failures
    dead_letters: DeadLetters


def _common(topology: Topology, given: KeySet | None, service_name: str, chance: Chance) -> _Common:
    service = topology.services.get(service_name)
    if service is None:
        raise UnknownService(
            f"the topology {topology.name!r} has no service {service_name!r}",
            why=f"its services are {', '.join(topology.services)}",
            fix="give --service one of these names, or declare the service",
        )
    keys = NO_KEYS if given is None else given
    policy, jwt = TopologyPolicy(topology, service_name), topology.security.jwt
    outage = jwt.outage_tolerance.seconds
    verifier = Verifier(keys, policy, leeway_seconds=jwt.leeway.seconds, outage_seconds=outage)
    key_at = _key_of(keys, service_name)
    signing = HopSigning(key_at, HopRules(keys, policy.audience, service_name, "", policy.movers), chance.random_bytes)
    failures = Failures(verifier, signing, hop_tolerance(outage))
    dead_letters = DeadLetters(topology.dead_letter.exchange, failures)
    return _Common(Declared(topology, service), policy, keys, key_at, verifier, failures, dead_letters)


def _key_of(keys: KeySet, service: str) -> Callable[[float], SigningKey | None]:
    """Signs as this service and as nobody else, whosever private keys these are."""

    def key_at(now: float) -> SigningKey | None:
        key = keys.signing_key(now)
        return key if key is not None and key.issuer == service else None

    return key_at
