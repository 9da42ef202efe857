"""The standard variables of OpenTelemetry, as the agent reads them; what it cannot do it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from letrade_agent.cli.otel_variables import trace_settings
from letrade_agent.config import InvalidSetting, SamplerKind, TraceSettings

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def settings(**variables: str) -> TraceSettings:
    """Of an agent whose endpoint is set."""
    found = trace_settings(HERE | variables, "shop")
    assert found is not None
    return found


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        HERE | {"OTEL_SDK_DISABLED": "TRUE"},
        HERE | {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_TRACES_SAMPLER": "always_on"},
    ],
)
def test_off(environment: dict[str, str]) -> None:
    """Without an endpoint, or where the standard says so."""
    assert trace_settings(environment, "shop") is None


def test_defaults() -> None:
    """As the specification has them."""
    found = settings()
    assert found.endpoint == "http://127.0.0.1:4318/v1/traces"
    assert (found.sampler, found.ratio, found.follows_parent) == (SamplerKind.ON, 1.0, True)
    assert (found.gzip, found.timeout_seconds, found.headers, found.ca_file) == (False, 10.0, (), None)
    assert dict(found.resource)["service.name"] == "shop-agent"


def test_those_of_traces_go_first() -> None:
    """And an endpoint of traces is used as it is."""
    own = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/own",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
    }
    found = settings(**own)
    assert (found.endpoint, found.timeout_seconds, found.gzip) == ("https://collector.example/own", 2.5, True)


def test_the_name_of_the_agent() -> None:
    """`OTEL_SERVICE_NAME` before the resource's attributes."""
    given = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a, deployment.environment.name=test%2C1"}
    assert dict(settings(**given).resource)["service.name"] == "a"
    found = dict(settings(**given, OTEL_SERVICE_NAME="b").resource)
    assert (found["service.name"], found["deployment.environment.name"]) == ("b", "test,1")


@pytest.mark.parametrize("kind", list(SamplerKind))
@pytest.mark.parametrize("prefix", ["", "parentbased_"])
def test_samplers(kind: SamplerKind, prefix: str) -> None:
    """All six of the specification that need no further service."""
    found = settings(OTEL_TRACES_SAMPLER=f"{prefix}{kind}", OTEL_TRACES_SAMPLER_ARG="0.25")
    assert (found.sampler, found.follows_parent) == (kind, bool(prefix))
    assert found.ratio == (0.25 if kind is SamplerKind.RATIO else 1.0)


def test_secrets_are_not_shown() -> None:
    """Neither of the settings nor where they are wrong."""
    found = settings(OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20hush")
    assert found.headers == (("Authorization", "Bearer hush"),)
    assert "hush" not in repr(found)
    for variables in (
        {"OTEL_EXPORTER_OTLP_HEADERS": "hush"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=hush%0d%0aX:y"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:hush@collector.example"},
    ):
        with pytest.raises(InvalidSetting) as caught:
            settings(**variables)
        assert "hush" not in f"{caught.value} {caught.value.why} {caught.value.fix}"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=b"),
    ],
)
def test_what_it_cannot_do(variable: str, text: str) -> None:
    """It says which variable, and does not go on without traces."""
    with pytest.raises(InvalidSetting, match=variable):
        settings(**{variable: text})


@pytest.mark.parametrize("text", ["1.5", "-1", "nan", "half"])
def test_no_ratio(text: str) -> None:
    """It is from 0 to 1."""
    with pytest.raises(InvalidSetting, match="OTEL_TRACES_SAMPLER_ARG"):
        settings(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=text)


def test_certificates(tmp_path: Path) -> None:
    """Of the collector, and for it."""
    file = tmp_path / "ca.pem"
    file.touch()
    assert settings(OTEL_EXPORTER_OTLP_CERTIFICATE=str(file)).ca_file == file
