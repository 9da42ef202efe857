"""Tracing as the standard variables of OpenTelemetry ask for it; without an endpoint nothing is traced.

Specification 1.50, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from letrade_agent.config import InvalidSetting, SamplerKind, TraceSettings
from letrade_topo.version import VERSION

_PATH: Final = "/v1/traces"
_PROTOCOL: Final = "http/protobuf"
_PARENT_BASED: Final = "parentbased_"
_MILLISECONDS: Final = 1000.0


def trace_settings(environment: Mapping[str, str], service: str) -> TraceSettings | None:
    """What is traced and where it goes; None: nothing.

    Args:
        environment: variables; one that is empty is one that is not set.
        service: beside which the agent stands, for the name of the agent.

    Raises:
        InvalidSetting: a variable asks for what this agent cannot do. An agent that traces nothing where it was asked
            to would be found out when its traces are needed.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    endpoint = _endpoint(environment)
    if endpoint is None or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter != "otlp":
        raise InvalidSetting(
            f"OTEL_TRACES_EXPORTER {exporter!r} is none that this agent has", fix="write otlp, or none for no traces"
        )
    _check_protocol(environment)
    sampler, ratio, follows_parent = _sampler(environment)
    timeout = _number(environment, "TIMEOUT", 10.0 * _MILLISECONDS) / _MILLISECONDS
    compression = _of_traces(environment, "COMPRESSION") or "none"
    if compression not in ("gzip", "none"):
        raise InvalidSetting(f"OTEL_EXPORTER_OTLP_COMPRESSION {compression!r} is unknown", fix="write gzip or none")
    return TraceSettings(
        endpoint,
        _pairs(_of_traces(environment, "HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS"),
        _resource(environment, service),
        sampler,
        ratio,
        follows_parent,
        compression == "gzip",
        timeout,
        _file(environment, "CERTIFICATE"),
        _file(environment, "CLIENT_CERTIFICATE"),
        _file(environment, "CLIENT_KEY"),
    )


def _of_traces(environment: Mapping[str, str], name: str) -> str:
    """A variable of the exporter; that for traces alone goes first."""
    own = environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip()
    return own or environment.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def _endpoint(environment: Mapping[str, str]) -> str | None:
    """The URL to send to: that for traces as it is, that for everything with a path behind it."""
    own = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" if own else "OTEL_EXPORTER_OTLP_ENDPOINT"
    url = own or environment.get(name, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or "@" in url:  # a password may be in it: not repeated
        raise InvalidSetting(
            f"{name} is not the URL of a collector",
            why="OTLP over HTTP takes http:// or https://, a host, and no login",
            fix="write for example http://127.0.0.1:4318, and a login into OTEL_EXPORTER_OTLP_HEADERS",
        )
    return url if own else url.rstrip("/") + _PATH


def _check_protocol(environment: Mapping[str, str]) -> None:
    protocol = _of_traces(environment, "PROTOCOL") or _PROTOCOL
    if protocol != _PROTOCOL:
        raise InvalidSetting(
            f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r} is none that this agent speaks",
            fix=f"write {_PROTOCOL}; a collector takes it on port 4318",
        )


def _sampler(environment: Mapping[str, str]) -> tuple[SamplerKind, float, bool]:
    """Which traces, what part of them, and whether a publisher's own decision goes first."""
    text = environment.get("OTEL_TRACES_SAMPLER", "").strip() or f"{_PARENT_BASED}{SamplerKind.ON}"
    name = text.removeprefix(_PARENT_BASED)
    if name not in set(SamplerKind):
        known = ", ".join(f"{prefix}{kind}" for prefix in ("", _PARENT_BASED) for kind in SamplerKind)
        raise InvalidSetting(f"OTEL_TRACES_SAMPLER {text!r} is unknown", fix=f"write one of {known}")
    ratio = 1.0
    if name == SamplerKind.RATIO:
        argument = environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
        try:
            ratio = float(argument)
        except ValueError:
            ratio = math.nan
        if not 0 <= ratio <= 1:
            raise InvalidSetting(f"OTEL_TRACES_SAMPLER_ARG {argument!r} is no ratio", fix="write a number from 0 to 1")
    return SamplerKind(name), ratio, text != name


def _resource(environment: Mapping[str, str], service: str) -> tuple[tuple[str, str], ...]:
    given = dict(_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""), "OTEL_RESOURCE_ATTRIBUTES"))
    own = environment.get("OTEL_SERVICE_NAME", "").strip()
    named = {"service.name": own} if own else {}
    return tuple(({"service.name": f"{service}-agent", "service.version": VERSION} | given | named).items())


def _pairs(text: str, variable: str) -> tuple[tuple[str, str], ...]:
    """`name=value,…`, percent-encoded where needed (W3C Baggage, without properties)."""
    found: list[tuple[str, str]] = []
    for place, pair in enumerate((pair for pair in text.split(",") if pair.strip()), start=1):
        name, separator, value = pair.partition("=")
        name, value = unquote(name.strip()), unquote(value.strip())
        if not separator or not name.isascii() or not name.isprintable() or not name or not value.isprintable():
            raise InvalidSetting(  # what is wrong is not repeated: it may be a secret
                f"{variable} is no list of name=value: see entry {place}",
                fix="write NAME=VALUE with commas between, percent-encoded where needed",
            )
        found.append((name, value))
    return tuple(found)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = _of_traces(environment, name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not int(text):
        raise InvalidSetting(
            f"OTEL_EXPORTER_OTLP_{name} {text!r} is no number", fix="write milliseconds, such as 10000"
        )
    return float(text)


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    text = _of_traces(environment, name)
    if not text:
        return None
    if not Path(text).is_file():
        raise InvalidSetting(f"OTEL_EXPORTER_OTLP_{name} names no file: {text}", fix="name a PEM file")
    return Path(text)
