"""An API server for a whole campaign, and kinds that others bring into a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helm.extensions import SHAPES
from tests.helm.helm import FIXTURES, Chart, Manifest, with_library
from tests.soak.kubernetes.api_server import KubeApiServer, program, running
from tests.soak.kubernetes.jobs import JobEnds, jobs_end

VERSIONS = ("1.37.2",)
"""Of Kubernetes; each is built once."""


@pytest.fixture(scope="session", params=VERSIONS)
def api_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    """A server with the kinds of Prometheus' operator, cert-manager and External Secrets Operator."""
    folder = tmp_path_factory.mktemp("api-server-")
    with running(program(request.param), folder) as server:
        for kind, (version, _) in SHAPES.items():
            server.apply(_definition(kind, *version.split("/"))).check()
        server.wait_for(version for version, _ in SHAPES.values())
        for name in ("high", "important"):
            server.apply(_priority(name)).check()
        yield server
    shutil.rmtree(folder / "etcd", ignore_errors=True)


@pytest.fixture
def jobs(api_server: KubeApiServer) -> Iterator[JobEnds]:
    """Jobs end by themselves while a test runs."""
    with jobs_end(api_server) as ends:
        yield ends


@pytest.fixture(scope="session")
def charts_of_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Chart]]:
    """Charts that use the library chart, by name."""
    folder: Path = tmp_path_factory.mktemp("charts-")
    with ExitStack() as stack:
        yield {path.name: stack.enter_context(with_library(path.name, folder)) for path in sorted(FIXTURES.iterdir())}


def _definition(kind: str, group: str, version: str) -> Manifest:
    """A kind of which anything is taken."""
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


def _priority(name: str) -> Manifest:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": 1000,
    }
