"""A checked document to the model. What it does not say has the default of the model's dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from letrade_topo.load.diagnostics import Path
from letrade_topo.load.entries import (
    Data,
    KeyTemplates,
    build_binding,
    build_exchange,
    build_message,
    build_parameter,
    build_policy,
    build_queue,
    build_retry,
    build_secret,
    build_service,
    build_user,
    given,
    relative_to,
    same,
)
from letrade_topo.load.nodes import Sources
from letrade_topo.load.report import Report
from letrade_topo.model.claim_check import DEFAULT_FOLDER, ClaimCheck
from letrade_topo.model.security import (
    Enforcement,
    JwtAlgorithm,
    JwtPolicy,
    SecretReference,
    SecurityPolicy,
    TlsPolicy,
    TlsVersion,
)
from letrade_topo.model.topology import (
    BrokerAccess,
    DeadLetterPolicy,
    Ownership,
    QueueType,
    RetryPolicy,
    Topology,
    TopologyLimits,
    VhostSettings,
)
from letrade_topo.model.units import ByteSize, Duration


def build_topology(document: Data, sources: Sources, report: Report) -> Topology:
    """The model of a document whose shape was checked.

    A required value that was missing or wrong is an empty one here; whoever calls has reported it.
    """

    def secret(path: Path, data: Data) -> SecretReference:
        return build_secret(sources.directory(path), data)

    templates = KeyTemplates(sources, report)
    retry = build_retry(document.get("retry", {}), RetryPolicy())
    broker, vhost = document.get("broker", {}), document.get("vhost", "")

    defaults = document.get("defaults", {})

    def entries(section: str) -> list[tuple[str, Data]]:
        """With the defaults of the file, where an entry does not say otherwise."""
        common = defaults.get(section, {})
        return [(name, {**common, **data}) for name, data in document.get(section, {}).items()]

    return Topology(
        name=document.get("name", ""),
        vhost=vhost.get("name", "") if isinstance(vhost, Mapping) else vhost,
        vhost_settings=_vhost_settings(vhost if isinstance(vhost, Mapping) else {}),
        broker=BrokerAccess(
            **given(
                broker,
                management=same,
                username=same,
                password=lambda reference: secret(("broker", "password"), reference),
                ca_file=lambda path: relative_to(sources.directory(("broker", "ca_file")), path),
            )
        ),
        limits=_limits(document.get("limits", {})),
        retry=retry,
        dead_letter=DeadLetterPolicy(
            **given(document.get("dead_letter", {}), exchange=same, queue=same, retry_exchange=same),
            is_declared="dead_letter" in document,
        ),
        security=_security(document.get("security", {})),
        claim_check=_claim_check(document.get("claim_check"), sources),
        exchanges={name: build_exchange(name, data) for name, data in entries("exchanges")},
        messages={name: build_message(name, data, templates) for name, data in entries("messages")},
        queues={name: build_queue(name, data, retry) for name, data in entries("queues")},
        services={name: build_service(name, data, templates, secret) for name, data in entries("services")},
        users={name: build_user(name, data, secret) for name, data in entries("users")},
        bindings=tuple(build_binding(data) for data in document.get("bindings", ())),
        policies={name: build_policy(name, data) for name, data in entries("policies")},
        operator_policies={name: build_policy(name, data) for name, data in entries("operator_policies")},
        parameters=tuple(
            build_parameter(component, name, value, secret)
            for component, named in document.get("parameters", {}).items()
            for name, value in named.items()
        ),
        global_parameters=dict(document.get("global_parameters", {})),
        **given(document, environment=same, ownership=Ownership, ignore=tuple, vhost_protected=same),
    )


def _limits(data: Data) -> TopologyLimits:
    converted = given(
        data,
        message_size=ByteSize.parse,
        delivery_limit=same,
        redelivery_delay=Duration.parse,
        max_connections=same,
        max_queues=same,
    )
    return TopologyLimits(**converted, hold_for_all=bool({"delivery_limit", "redelivery_delay"} & data.keys()))


def _vhost_settings(data: Data) -> VhostSettings:
    converted = given(data, description=same, tags=_sorted, default_queue_type=QueueType, tracing=same)
    return VhostSettings(**converted)


def _sorted(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _claim_check(data: Data | None, sources: Sources) -> ClaimCheck | None:
    if data is None:
        return None
    folder = data.get("store", DEFAULT_FOLDER)
    store = folder if "://" in folder else relative_to(sources.directory(("claim_check", "store")), folder)
    return ClaimCheck(store=store, **given(data, max_size=ByteSize.parse, retention=Duration.parse))


def _security(data: Data) -> SecurityPolicy:
    tls = given(data.get("tls", {}), required=same, minimum_version=TlsVersion, client_certificates=same)
    jwt = given(
        data.get("jwt", {}),
        algorithm=JwtAlgorithm,
        mode=Enforcement,
        leeway=Duration.parse,
        outage_tolerance=Duration.parse,
        movers=tuple,
    )
    return SecurityPolicy(TlsPolicy(**tls), JwtPolicy(**jwt))
