"""The library chart: what it gives to workloads of somebody else, and what it refuses to give."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from letrade_topo.k8s.errors import InvalidValues, UnprotectedPod
from letrade_topo.k8s.patch import patch
from letrade_topo.k8s.values import complete
from tests.helm.helm import (
    CHARTS,
    FIXTURES,
    LATEST,
    OLDEST,
    VERSIONS,
    Chart,
    Manifest,
    pod_of,
    run_helm,
    some_of,
    validate,
    validate_as_process,
    with_library,
    workloads,
)
from tests.helm.rules import breaches, restricted
from tests.helm.sidecars import LEAST, MISSHAPEN, MOST, REFUSED, USED, Values, changed

pytestmark = pytest.mark.wide

Charts = dict[str, Chart]
KINDS = ("Deployment", "StatefulSet", "Job")


def without_agent(chart: Chart, **values: str) -> str:
    """The manifests as their owner wrote them."""
    return chart.template({"withAgent": False, "letrade-agent": LEAST, **values}).check().out


def render(chart: Chart, values: Values, version: str = LATEST, *options: str) -> list[Manifest]:
    """The chart's manifests with the agent's values."""
    return chart.template({"letrade-agent": values}, *options, version=version).manifests


def agent_of(manifest: Manifest) -> Manifest:
    """The sidecar's container; it has to be the first."""
    found: Manifest = pod_of(manifest)["spec"]["initContainers"][0]
    assert found["name"] == "letrade-agent"
    return found


@pytest.mark.parametrize("name", some_of(USED))
@pytest.mark.parametrize("kind", KINDS)
def test_every_version_takes_it(plain_charts: Charts, kind: str, name: str) -> None:
    """What is rendered is valid for Kubernetes 1.29 to 1.37, and has nothing that the schemas overlook."""
    manifests = render(plain_charts[kind], USED[name])
    for version in VERSIONS:
        validate(manifests, version)
    for manifest in manifests:
        assert breaches(manifest) == []


@pytest.mark.parametrize("kind", KINDS)
def test_native_sidecar(plain_charts: Charts, kind: str) -> None:
    """First to start, last to stop: first init container, always restarted, gates by its startup probe, no preStop."""
    (manifest,) = workloads(render(plain_charts[kind], LEAST))
    agent = agent_of(manifest)
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["httpGet"] == {"path": "/startup", "port": "agent-admin"}
    assert agent["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert "lifecycle" not in agent
    assert "readinessProbe" not in agent, "a draining agent would take the pod out of its Service while it still works"
    spec = pod_of(manifest)["spec"]
    drain = int(agent["args"][-2].removeprefix("--drain-timeout=").removesuffix("s"))
    assert drain < spec.get("terminationGracePeriodSeconds", 30)
    assert restricted(manifest, {"letrade-agent"}) == []
    assert agent["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_the_agents_alone(plain_charts: Charts, kind: str) -> None:
    """Keys and login are whole folders, readable by the pod's group, mounted by the agent and by nobody else."""
    (manifest,) = workloads(render(plain_charts[kind], MOST))
    spec = pod_of(manifest)["spec"]
    assert spec["securityContext"]["fsGroup"] in {1001, 2000}
    modes = {volume["name"]: volume["projected"]["defaultMode"] for volume in spec["volumes"] if "projected" in volume}
    assert modes["letrade-agent-keys"] == modes["letrade-agent-login"] == 0o440
    others = [one for one in [*spec["initContainers"], *spec["containers"]] if one["name"] != "letrade-agent"]
    assert not [mount for one in others for mount in one.get("volumeMounts", []) if "letrade-agent" in mount["name"]]
    from_secrets = [one["valueFrom"]["secretKeyRef"]["name"] for one in agent_of(manifest)["env"] if "valueFrom" in one]
    assert set(from_secrets) == {"claims", "collector-login"}, "only what has its variable by a standard of others"


def test_own_group_stays(plain_charts: Charts) -> None:
    """A pod that has an fsGroup keeps it; its own init containers come after the agent."""
    (manifest,) = workloads(render(plain_charts["StatefulSet"], LEAST))
    spec = pod_of(manifest)["spec"]
    assert spec["securityContext"] == {"fsGroup": 2000}
    assert [one["name"] for one in spec["initContainers"]] == ["letrade-agent", "folder"]


@pytest.mark.parametrize("name", some_of(USED))
@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
def test_patch_gives_the_same_bytes(plain_charts: Charts, kind: str, name: str) -> None:
    """`k8s patch` of the manifests without the agent is what Helm renders with it, to the last byte; twice, too."""
    chart, values = plain_charts[kind], USED[name]
    without = without_agent(chart)
    rendered = chart.template({"withAgent": True, "letrade-agent": values}).check().out
    patched = patch(without, "-", complete(values))
    assert patched == rendered
    assert patch(patched, "-", complete(values)) == patched


@pytest.mark.parametrize("name", some_of(USED))
def test_inject_and_patch_agree(plain_charts: Charts, name: str) -> None:
    """The template that does everything at once makes the same objects as `k8s patch`."""
    chart, values = plain_charts["Deployment"], USED[name]
    (injected,) = render(chart, values)
    patched = patch(without_agent(chart), "-", complete(values))
    assert injected == next(yaml.safe_load_all(patched))


@pytest.mark.parametrize("case", some_of(REFUSED))
def test_unprotected_values_are_refused(plain_charts: Charts, case: str) -> None:
    """With values that would not run or not protect, rendering fails, and `k8s patch` in the same words."""
    changes, reason = REFUSED[case]
    values = changed(LEAST, changes)
    ended = plain_charts["Deployment"].template({"letrade-agent": values})
    assert ended.code == 1
    assert reason in ended.err
    with pytest.raises(InvalidValues) as refused:
        complete(values)
    assert reason in str(refused.value)
    for line in refused.value.why.splitlines():
        assert line.strip() in ended.err


@pytest.mark.parametrize("case", some_of(MISSHAPEN))
def test_misshapen_values_are_refused(plain_charts: Charts, case: str) -> None:
    """What the schema does not know is refused, and named, by Helm and by `k8s patch`."""
    changes, key = MISSHAPEN[case]
    values = changed(LEAST, changes)
    ended = plain_charts["Job"].template({"letrade-agent": values})
    assert ended.code == 1
    assert key in ended.err
    with pytest.raises(InvalidValues, match=key):
        complete(values)


@pytest.mark.parametrize(
    ("version", "code"), [("1.27", 1), ("1.28.15", 1), ("1.29.0-gke.1", 0), (OLDEST, 0), ("v1.33.1+k3s1", 0)]
)
def test_version_guard(plain_charts: Charts, version: str, code: int) -> None:
    """Helm does not enforce a library's kubeVersion; the templates do, pre-releases of 1.29 included."""
    ended = plain_charts["Job"].template({"letrade-agent": LEAST}, version=version)
    assert ended.code == code
    assert ("native sidecars" in ended.err) is bool(code)


UNPROTECTED: dict[str, tuple[str, str]] = {
    "host network": ("hostNetwork: true", "hostNetwork"),
    "the node's processes": ("hostPID: true", "hostPID"),
    "shared processes": ("shareProcessNamespace: true", "shareProcessNamespace"),
    "another system": ("os: {name: windows}", "os.name: windows"),
    "short grace": ("terminationGracePeriodSeconds: 20", "25s"),
    "keys mounted": ("volumes: [{name: k, secret: {secretName: strategy-keys}}]", "volume k: holds the Secret"),
    "keys projected": (
        "volumes: [{name: k, projected: {sources: [{secret: {name: strategy-tls}}]}}]",
        "volume k: holds the Secret",
    ),
    "agent's port": (
        "initContainers: [{name: x, image: x, ports: [{containerPort: 5672}]}]",
        "container x: its port 5672",
    ),
    "agent's port name": (
        "initContainers: [{name: x, image: x, ports: [{name: agent-admin, containerPort: 1}]}]",
        "container x: its port 1 ",
    ),
    "keys by environment": (
        "initContainers: [{name: x, image: x, env: [{name: K, valueFrom: {secretKeyRef: {name: strategy-tls}}}]}]",
        "into its environment",
    ),
    "all keys by environment": (
        "initContainers: [{name: x, image: x, envFrom: [{secretRef: {name: strategy-keys}}]}]",
        "into its environment",
    ),
    "the store's credentials by environment": (
        "initContainers: [{name: x, image: x, envFrom: [{secretRef: {name: claims}}]}]",
        "takes the Secret claims into its environment",
    ),
    "the agent's volume": (
        "initContainers: [{name: x, image: x, volumeMounts: [{name: letrade-agent-keys, mountPath: /k}]}]",
        "mounts letrade-agent-keys",
    ),
}


@pytest.mark.parametrize("case", some_of(UNPROTECTED))
def test_unprotected_pods_are_refused(plain_charts: Charts, case: str) -> None:
    """A pod in which others could use the agent's keys or its signature is refused, alike by Helm and `k8s patch`."""
    line, reason = UNPROTECTED[case]
    chart, values = plain_charts["Deployment"], changed(LEAST, {"claimCheck": {"secret": "claims"}})
    ended = chart.template({"letrade-agent": values, "podLine": line})
    assert ended.code == 1
    assert reason in ended.err
    text = without_agent(chart, podLine=line)
    with pytest.raises(UnprotectedPod) as refused:
        patch(text, "orders.yaml", complete(values))
    assert reason in str(refused.value)
    assert "orders.yaml:" in str(refused.value)
    assert refused.value.why.partition(": ")[2] in ended.err


def test_services_of_one_chart(tmp_path: Path) -> None:
    """Several workloads of one chart may belong to several services: a call may change the values."""
    with with_library("several-services", tmp_path) as chart:
        manifests = render(chart, changed(LEAST, {"service": ""}))
    found = {one["metadata"]["name"]: pod_of(one)["metadata"]["labels"]["letrade-topo.io/service"] for one in manifests}
    assert found == {"strategy": "strategy", "core": "core_engine"}
    for one in manifests:
        assert agent_of(one)["args"][0] == f"--service={found[one['metadata']['name']]}"


def test_other_kinds(tmp_path: Path) -> None:
    """A CronJob, a Pod and a DaemonSet get it in their own places, alike from both; what has no pods is refused."""
    with with_library("other-kinds", tmp_path) as chart:
        injected = render(chart, LEAST)
        plain = chart.template({"withAgent": False, "letrade-agent": LEAST}).check().out
        refused = chart.template({"wrong": True, "letrade-agent": LEAST})
    assert "other.config-map has no pods (kind: ConfigMap)" in refused.err
    assert {one["kind"] for one in workloads(injected)} == {"CronJob", "Pod", "DaemonSet"}
    patched = plain
    for manifest in workloads(injected):
        assert breaches(manifest) == []
        assert agent_of(manifest)["restartPolicy"] == "Always"
        patched = patch(patched, "-", complete(LEAST), f"{manifest['kind']}/{manifest['metadata']['name']}")
    validate(injected, LATEST)
    assert [one for one in yaml.safe_load_all(patched) if one] == injected


def test_lint(plain_charts: Charts) -> None:
    """`helm lint --strict` passes for the library and for the charts that use it."""
    run_helm(["lint", "--strict", str(CHARTS / "letrade-agent"), "--kube-version", OLDEST]).check()
    for chart in plain_charts.values():
        chart.lint({"letrade-agent": LEAST}).check()


def test_dependency_by_path(tmp_path: Path) -> None:
    """`helm dependency build` takes the library from its folder, without a network."""
    shutil.copytree(CHARTS / "letrade-agent", tmp_path / "helm" / "letrade-agent")
    chart = Chart(tmp_path / "tests" / "helm" / "charts" / "plain-job")
    shutil.copytree(FIXTURES / "plain-job", chart.folder)
    run_helm(["dependency", "build", str(chart.folder)]).check()
    assert "letrade-agent" in chart.template({"letrade-agent": LEAST}).check().out


def test_as_a_pipeline_validates(plain_charts: Charts) -> None:
    """The command `kubernetes-validate --strict` says what these tests' own validation says."""
    out = plain_charts["StatefulSet"].template({"letrade-agent": MOST}).check().out
    assert validate_as_process(out, OLDEST) == 0
    assert validate_as_process(out.replace("startupProbe", "startupProb"), OLDEST) == 1


def test_what_the_schemas_overlook(plain_charts: Charts) -> None:
    """The rules of these tests see what kubernetes-validate does not."""
    (manifest,) = workloads(render(plain_charts["Deployment"], LEAST))
    agent = agent_of(manifest)
    agent["restartPolicy"] = "Alwayz"
    agent["ports"][0]["containerPort"] = 99_999
    agent["resources"]["limits"]["memory"] = "12Mib"
    agent["volumeMounts"][0]["name"] = "letrade-agent-topolgy"
    manifest["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "order"
    validate([manifest], LATEST)
    assert len(breaches(manifest)) == 7  # the restartPolicy is seen twice, the volume by both of its ends
    agent["securityContext"]["capabilities"]["drop"] = []
    assert restricted(manifest) == ["letrade-agent: capabilities are not dropped"]
