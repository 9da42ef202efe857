"""The application chart: what every value renders, what is refused, and what the schemas of Kubernetes overlook."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import cel
import jsonschema
import pytest
import yaml

from letrade_topo.cli.main import letrade_topo
from tests.helm.extensions import SHAPES
from tests.helm.helm import LATEST, OLDEST, ROOT, VERSIONS, Chart, Manifest, pod_of, some_of, validate, workloads
from tests.helm.releases import EVERYTHING, FOLDER, LEAST, MISSHAPEN, REFUSED, USED, Values
from tests.helm.rules import breaches, restricted
from tests.helm.sidecars import changed

pytestmark = pytest.mark.wide

CHART = Chart(FOLDER)
WITHOUT_ADMISSION = {"admissionPolicy": {"enabled": False}}
MONITORING = [
    part for kind in ("PodMonitor", "PrometheusRule") for part in ("--api-versions", f"monitoring.coreos.com/v1/{kind}")
]
TOPOLOGY = "/etc/letrade-topo/topology/topology.yaml"
_RESTRICTED_VERSION = "1.30"
"""Of Kubernetes: from there on it has ValidatingAdmissionPolicy v1."""


@cache
def rendered(name: str, version: str = LATEST) -> list[Manifest]:
    """The manifests of one of USED; rendered once."""
    return CHART.template(_for(USED[name], version), version=version).manifests


def _for(values: Values, version: str) -> Values:
    return changed(values, WITHOUT_ADMISSION) if version == OLDEST else values


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [one for one in manifests if one["kind"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", some_of(USED))
def test_every_version_takes_it(name: str, version: str) -> None:
    """Everything, the least, and nothing at all are valid for Kubernetes 1.29 to 1.37."""
    validate(rendered(name, OLDEST if version == OLDEST else LATEST), version)


def test_a_namespace_can_hold_two_releases() -> None:
    """Each owns objects of its own; one called like the chart makes the ConfigMap that agents look for by default."""
    first, second = (
        {(one["kind"], one["metadata"]["name"]) for one in CHART.template(LEAST, release=release).manifests}
        for release in ("letrade-topo", "billing")
    )
    assert not first & second
    assert {("ConfigMap", "letrade-topo-topology")} <= first
    keys = CHART.template(changed(LEAST, {"publicKeys": {"content": '{"keys": []}'}}), release="billing").manifests
    assert {one["metadata"]["name"] for one in of_kind(keys, "ConfigMap")} >= {
        "billing-letrade-topo-topology",
        "billing-letrade-topo-public-keys",
    }


@pytest.mark.parametrize("name", some_of(USED))
def test_what_the_schemas_overlook(name: str) -> None:
    """Enums, ports, quantities, selectors and mounts are right; every pod is of the "restricted" standard."""
    for manifest in rendered(name):
        assert breaches(manifest) == []
    for manifest in workloads(rendered(name)):
        assert restricted(manifest) == []
        spec = pod_of(manifest)["spec"]
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", some_of(USED))
def test_names(name: str) -> None:
    """No two objects of a kind have one name, none is too long, and all carry the release's labels."""
    manifests = rendered(name)
    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    assert len(names) == len(set(names))
    for manifest in manifests:
        assert len(manifest["metadata"]["name"]) <= 63
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "r"


def test_usual_name_of_a_release() -> None:
    """A release that is called like the chart has no two objects of one name either."""
    names = [(one["kind"], one["metadata"]["name"]) for one in CHART.template(LEAST, release="letrade-topo").manifests]
    assert ("Deployment", "letrade-topo-controller") in names
    assert len(names) == len(set(names))


def test_long_names() -> None:
    """A long release's name is cut, so that a CronJob's 52 characters are kept."""
    manifests = CHART.template(LEAST, release="r" * 53).manifests
    (cron_job,) = of_kind(manifests, "CronJob")
    assert len(cron_job["metadata"]["name"]) <= 52


def test_names_that_yaml_would_not_read_as_text() -> None:
    """A release, a namespace, a Secret may be called `1234`, `on` or `null`: all of them are legal names."""
    values = changed(
        EVERYTHING,
        {
            "fullnameOverride": "1234",
            "nameOverride": "on",
            "image": {"pullSecrets": ["1"]},
            "broker": {"passwordSecret": "2", "caSecret": "3"},
            "topology": {"configMap": "4", "passwords": {"NO": {"secret": "5", "key": "6"}}},
            "publicKeys": {"configMap": "7"},
            "serviceAccountName": "8",
            "priorityClassName": "null",
            "networkPolicy": {"protectBroker": {"namespace": "9", "agentNamespaces": []}},
            "externalSecrets": {"items": [{"name": "10", "remoteKey": "11"}]},
        },
    )
    manifests = CHART.template(values, "--namespace", "12", release="13").manifests
    validate(manifests, LATEST)
    names = [one["metadata"]["name"] for one in manifests]
    names += [name for one in manifests for name in one["metadata"]["labels"].values()]
    names += [one["spec"]["target"]["name"] for one in of_kind(manifests, "ExternalSecret")]
    assert [name for name in names if not isinstance(name, str)] == []
    validate(CHART.template(changed(values, {"broker": {"caSecret": "", "caConfigMap": "3"}})).manifests, LATEST)


def test_the_log_of_helm_test_can_be_read() -> None:
    """`helm test --logs` asks for it when Helm has deleted what `hook-succeeded` names."""
    for name in ("least", "everything"):
        (pod,) = of_kind(rendered(name), "Pod")
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"


@pytest.mark.parametrize("name", some_of(USED))
def test_extensions(name: str) -> None:
    """Objects of other operators have the shape that those want."""
    for manifest in rendered(name):
        if manifest["kind"] in SHAPES:
            version, shape = SHAPES[manifest["kind"]]
            assert manifest["apiVersion"] == version
            jsonschema.validate(manifest["spec"], shape)


@pytest.mark.parametrize("name", some_of(USED))
def test_commands_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each container's command line and environment are such that the tool takes them."""
    for manifest in workloads(rendered(name)):
        for container in pod_of(manifest)["spec"]["containers"]:
            program, subcommand, *arguments = container["command"]
            assert program == "letrade-topo"
            for variable in container["env"]:
                monkeypatch.setenv(variable["name"], variable.get("value", "from a Secret"))
            command = letrade_topo.get_command(None, subcommand)  # type: ignore[arg-type]  # it needs no context
            assert command is not None
            with command.make_context(subcommand, list(arguments)) as context:
                found = context.params
            assert found["file"] in (TOPOLOGY, (TOPOLOGY,)), "some commands take several files"
            assert found["management"].startswith("https://")
            overlays = USED[name]["topology"].get("overlays", {})
            assert list(found["overlays"]) == [f"/etc/letrade-topo/topology/{one}" for one in sorted(overlays)]


def test_hooks_come_in_order() -> None:
    """Before the release: what the Job stands on, then the Job; alike for Helm and for Argo CD."""
    for name, weight, kind, deletes in (
        ("everything with Helm's hooks", "helm.sh/hook-weight", "helm.sh/hook", "helm.sh/hook-delete-policy"),
        (
            "everything",
            "argocd.argoproj.io/sync-wave",
            "argocd.argoproj.io/hook",
            "argocd.argoproj.io/hook-delete-policy",
        ),
    ):
        before = [one for one in rendered(name) if one["kind"] != "Pod"]
        hooked = [one for one in before if kind in one["metadata"].get("annotations", {})]
        order = {(one["kind"], one["metadata"]["name"]): int(one["metadata"]["annotations"][weight]) for one in hooked}
        assert order == {
            ("ConfigMap", "bus-apply-topology"): -10,
            ("NetworkPolicy", "bus-apply"): -10,
            ("Job", "bus-apply"): -5,
        }
        (job,) = of_kind(hooked, "Job")
        volumes = pod_of(job)["spec"]["volumes"]
        assert {"name": "topology", "configMap": {"name": "bus-apply-topology"}} in volumes
        policies = {one["metadata"]["annotations"][deletes] for one in hooked}
        assert policies in ({"before-hook-creation"}, {"BeforeHookCreation"}), "none is gone before the Job has ended"
        if kind == "helm.sh/hook":
            moments = {one["metadata"]["annotations"][kind] for one in hooked}
            assert moments == {"pre-install,pre-upgrade,pre-rollback"}, "the broker is as the release in force says"
    assert not any("helm.sh/hook" in str(one["metadata"]) for one in rendered("everything") if one["kind"] != "Pod")


def test_without_hooks_another_topology_is_another_job() -> None:
    """A Job's pod cannot be changed: without hooks its name says which topology it applies, and how."""
    values = changed(LEAST, {"apply": {"hooks": "none"}})
    changes: list[Values] = [
        {},
        {"topology": {"content": "name: two"}},
        {"broker": {"username": "other"}},
        {"apply": {"lockTimeout": 60}},
        {"apply": {"allow": ["adopt"]}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"podLabels": {"team": "a"}},
    ]
    jobs: dict[str, Manifest] = {}
    for change in [{}, *changes]:
        (job,) = of_kind(CHART.template(changed(values, change)).manifests, "Job")
        assert "annotations" not in job["metadata"]
        name = job["metadata"]["name"]
        assert jobs.setdefault(name, job)["spec"]["template"] == job["spec"]["template"]
    assert len(jobs) == len(changes)


@pytest.mark.parametrize("release", ["a" * 39 + ".b", "a" * 39 + "-b", "a.b", "a" * 53])
def test_names_are_names(release: str) -> None:
    """Whatever a release may be called, every object's name is one for Kubernetes (RFC 1123), and its parts are."""
    part = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
    values = changed(EVERYTHING, {"fullnameOverride": ""})
    for manifest in CHART.template(values, release=release).manifests:
        name = manifest["metadata"]["name"]
        assert re.fullmatch(rf"{part}(\.{part})*", name), name


@pytest.mark.parametrize("name", ["least", "everything"])
def test_output_is_stable(name: str) -> None:
    """Rendered twice, it is the same to the last byte: nothing random, nothing of the clock."""
    assert CHART.template(USED[name]).check().out == CHART.template(USED[name]).check().out


@pytest.mark.parametrize("name", some_of(USED))
def test_policies_select_pods(name: str) -> None:
    """Each NetworkPolicy and PodMonitor of the chart's own pods selects some, and names a port that they have."""
    pods = [pod_of(one) for one in workloads(rendered(name))]
    for manifest in rendered(name):
        if manifest["kind"] not in {"NetworkPolicy", "PodMonitor"}:
            continue
        labels = (manifest["spec"].get("podSelector") or manifest["spec"]["selector"])["matchLabels"]
        if manifest["metadata"]["name"].endswith(("-broker", "-agents")):
            continue
        chosen = [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]
        assert chosen, manifest["metadata"]["name"]
        for endpoint in manifest["spec"].get("podMetricsEndpoints", []):
            ports = [port["name"] for pod in chosen for port in pod["spec"]["containers"][0]["ports"]]
            assert endpoint["port"] in ports


def test_deny_by_default() -> None:
    """The chart's pods are asked by nobody, and talk to the broker's management port and to DNS alone."""
    for policy in of_kind(rendered("least"), "NetworkPolicy"):
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in spec, "nobody may ask"
        assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[15671], [53, 53]]
        assert all(rule["to"] for rule in spec["egress"]), "an empty list would be everybody"


def test_broker_takes_agents_alone() -> None:
    """The broker's pods: AMQP for pods with an agent, management for this chart's, everything among themselves."""
    (policy,) = [one for one in rendered("everything") if one["metadata"]["name"] == "bus-broker"]
    amqp, management, peers, metrics = policy["spec"]["ingress"]
    assert policy["metadata"]["namespace"] == "rabbitmq"
    assert [port["port"] for port in amqp["ports"]] == [5671]
    assert [one["podSelector"]["matchLabels"] for one in amqp["from"]] == [{"letrade-topo.io/agent": "true"}]
    assert all("namespaceSelector" in one for one in amqp["from"])
    assert [port["port"] for port in management["ports"]] == [15671], "of the pods; the URL leads to a proxy's 443"
    assert "ports" not in peers
    assert [port["port"] for port in metrics["ports"]] == [15692]


@pytest.mark.parametrize("case", some_of(REFUSED))
def test_unprotected_values_are_refused(case: str) -> None:
    """With values that would not run, or run unprotected, rendering fails and says what to do."""
    changes, reason = REFUSED[case]
    ended = CHART.template(changed(LEAST, changes))
    assert ended.code == 1
    assert reason in ended.err


@pytest.mark.parametrize("case", some_of(MISSHAPEN))
def test_misshapen_values_are_refused(case: str) -> None:
    """What the schema does not know is refused, and named."""
    changes, key = MISSHAPEN[case]
    ended = CHART.template(changed(LEAST, changes))
    assert ended.code == 1
    assert key in ended.err


def test_without_values() -> None:
    """Without any values nothing is rendered, and one message has everything that is missing."""
    ended = CHART.template()
    assert ended.code == 1
    assert ended.err.count("missing") == 5


def test_versions_of_kubernetes() -> None:
    """Helm refuses what is older than 1.29; the admission policy needs 1.30."""
    assert "chart requires kubeVersion" in CHART.template(LEAST, version="1.28").err
    refused = CHART.template(EVERYTHING, version=OLDEST)
    assert refused.code == 1
    assert "has no ValidatingAdmissionPolicy v1" in refused.err
    CHART.template(EVERYTHING, version=_RESTRICTED_VERSION).check()


def test_lint() -> None:
    """`helm lint --strict` passes with each of the values, and fails where the schema does."""
    for values in USED.values():
        CHART.lint(values).check()
    assert CHART.lint(changed(LEAST, {"apply": {"hooks": "flux"}})).code == 1


def test_as_a_dependency(tmp_path: Path) -> None:
    """The chart works below another one: Helm's `global` and a condition's `enabled` are no unknown values."""
    parent = tmp_path / "parent"
    shutil.copytree(FOLDER, parent / "charts" / "letrade-topo")
    (parent / "Chart.yaml").write_text(
        "apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies:\n"
        "  - {name: letrade-topo, version: 0.1.0, condition: letrade-topo.enabled}\n",
        encoding="utf-8",
    )
    values = {"global": {"a": 1}, "letrade-topo": {**LEAST, "enabled": True}}
    assert of_kind(Chart(parent).template(values).manifests, "Deployment")
    assert Chart(parent).template(changed(values, {"letrade-topo": {"enabled": False}})).manifests == []


def test_shipped_topology_is_carried_whole() -> None:
    """The file given with --set-file is in both ConfigMaps as it is, but for line breaks at its end."""
    text = (ROOT / "topology.yaml").read_text(encoding="utf-8")
    values = changed(LEAST, {"topology": {"content": "", "overlays": {"odd.yaml": "  # indented\n\ta: b\n\n"}}})
    manifests = CHART.template(values, "--set-file", f"topology.content={ROOT / 'topology.yaml'}").manifests
    found = [one["data"] for one in of_kind(manifests, "ConfigMap") if "topology.yaml" in one["data"]]
    assert [data["topology.yaml"] for data in found] == [text.rstrip("\n")] * 2
    assert [data["odd.yaml"] for data in found] == ["  # indented\n\ta: b"] * 2


def test_monitoring_follows_the_cluster() -> None:
    """Monitors and rules come where the cluster knows them, always when told so, or rendering fails."""
    assert of_kind(rendered("least"), "PodMonitor") == []
    known = CHART.template(LEAST, *MONITORING).manifests
    assert [one["metadata"]["name"] for one in of_kind(known, "PodMonitor")] == [
        "r-letrade-topo-agents",
        "r-letrade-topo-controller",
    ]
    ended = CHART.template(changed(LEAST, {"monitoring": {"render": "failIfMissing"}}))
    assert "the cluster does not know monitoring.coreos.com/v1/PodMonitor" in ended.err
    assert len(of_kind(rendered("everything"), "PodMonitor")) == 2


def test_alerts_and_dashboards(tmp_path: Path) -> None:
    """Rules get the address of their runbook; dashboards become ConfigMaps; Prometheus' own templates stay."""
    shutil.copytree(FOLDER, tmp_path / "letrade-topo", ignore=shutil.ignore_patterns("files"))
    files = tmp_path / "letrade-topo" / "files"
    chart = Chart(tmp_path / "letrade-topo")
    values = changed(LEAST, {"monitoring": {"render": "alwaysRender"}})
    assert of_kind(chart.template(values).manifests, "PrometheusRule") == []
    (files / "dashboards").mkdir(parents=True)
    rule = {
        "alert": "SomethingDown",
        "expr": "up == 0",
        "for": "5m",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "It is down", "description": "{{ $labels.pod }} is down", "runbook_url": "old"},
    }
    record = {"record": "a:b:c", "expr": "sum(up)"}
    (files / "alerts.yaml").write_text(
        json.dumps({"groups": [{"name": "g", "rules": [rule, record]}]}), encoding="utf-8"
    )
    dashboard = '{"title": "Agents",\n "x": "{{pod}} ${datasource}"}\n'
    (files / "dashboards" / "agents_overview.json").write_text(dashboard, encoding="utf-8")
    manifests = chart.template(values).manifests
    (found,) = of_kind(manifests, "PrometheusRule")
    jsonschema.validate(found["spec"], SHAPES["PrometheusRule"][1])
    alert, recorded = found["spec"]["groups"][0]["rules"]
    assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/SomethingDown.md")
    assert alert["annotations"]["description"] == "{{ $labels.pod }} is down"
    assert recorded == record
    (config_map,) = [one for one in of_kind(manifests, "ConfigMap") if "agents_overview.json" in one["data"]]
    assert config_map["metadata"]["name"] == "r-letrade-topo-dashboard-agents-overview"
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config_map["data"]["agents_overview.json"] == dashboard.strip()
    validate([config_map], LATEST)


AGENT = {"name": "letrade-agent", "restartPolicy": "Always", "volumeMounts": [{"name": "letrade-agent-keys"}]}
SERVICE = {"name": "orders"}
PODS: dict[str, tuple[Manifest, bool]] = {
    "with its agent": ({"initContainers": [AGENT], "containers": [SERVICE]}, True),
    "without init containers": ({"containers": [SERVICE]}, False),
    "with none": ({"initContainers": [], "containers": [SERVICE]}, False),
    "agent second": ({"initContainers": [{"name": "i"}, AGENT], "containers": [SERVICE]}, False),
    "agent that ends": ({"initContainers": [{"name": "letrade-agent"}], "containers": [SERVICE]}, False),
    "keys in the service": (
        {"initContainers": [AGENT], "containers": [{**SERVICE, "volumeMounts": [{"name": "letrade-agent-keys"}]}]},
        False,
    ),
    "login in another init container": (
        {
            "initContainers": [AGENT, {"name": "i", "volumeMounts": [{"name": "letrade-agent-login"}]}],
            "containers": [SERVICE],
        },
        False,
    ),
    "keys in a container for debugging": (
        {
            "initContainers": [AGENT],
            "containers": [SERVICE],
            "ephemeralContainers": [{"name": "d", "volumeMounts": [{"name": "letrade-agent-keys"}]}],
        },
        False,
    ),
    "host network": ({"initContainers": [AGENT], "containers": [SERVICE], "hostNetwork": True}, False),
    "shared processes": ({"initContainers": [AGENT], "containers": [SERVICE], "shareProcessNamespace": True}, False),
    "the node's processes": ({"initContainers": [AGENT], "containers": [SERVICE], "hostPID": True}, False),
}


@pytest.mark.parametrize("case", PODS)
def test_admission_policy(case: str) -> None:
    """Its expressions, evaluated: only a pod with the agent, first and native, gets the agent's label."""
    spec, admitted = PODS[case]
    (policy,) = of_kind(rendered("everything"), "ValidatingAdmissionPolicy")
    labels = {"letrade-topo.io/agent": "true"}

    def holds(expression: str, metadata: dict[str, Any]) -> bool:
        return bool(cel.evaluate(expression, {"object": {"metadata": metadata, "spec": spec}}))

    (condition,) = [one["expression"] for one in policy["spec"]["matchConditions"]]
    assert holds(condition, {"labels": labels})
    assert not holds(condition, {"labels": {"app": "x"}})
    assert not holds(condition, {})
    verdicts = []
    for validation in policy["spec"]["validations"]:
        try:
            verdicts.append(holds(validation["expression"], {"labels": labels}))
        except (RuntimeError, KeyError):
            verdicts.append(False)  # failurePolicy: Fail
    assert all(verdicts) is admitted
    assert policy["spec"]["failurePolicy"] == "Fail"


def test_certificates_and_secrets() -> None:
    """A client certificate for each service, with its broker user; no key is ever rendered."""
    made = {
        one["spec"]["secretName"]: one["spec"]["commonName"] for one in of_kind(rendered("everything"), "Certificate")
    }
    assert made == {"strategy-tls": "strategy", "capital-manager-tls": "capital"}
    for name in USED:
        assert of_kind(rendered(name), "Secret") == []
    assert of_kind(rendered("nothing"), "ConfigMap") == []


def test_values_are_documented() -> None:
    """Every value of both charts has a comment and a place in the schema."""
    from letrade_topo.k8s.reference import documented, shape_at, undocumented

    for folder in (FOLDER, FOLDER.parent / "letrade-agent"):
        text = (folder / "values.yaml").read_text(encoding="utf-8")
        schema = json.loads((folder / "values.schema.json").read_text(encoding="utf-8"))
        assert undocumented(text) == []
        for value in documented(text):
            assert shape_at(schema, value.path) is not None, value.path
            assert value.text.endswith("."), value.path


def test_versions_agree() -> None:
    """Charts, the sidecar's image and the distribution have one version."""
    from importlib.metadata import version

    charts = [
        yaml.safe_load((ROOT / "helm" / name / "Chart.yaml").read_text(encoding="utf-8"))
        for name in ("letrade-agent", "letrade-topo")
    ]
    sidecar = yaml.safe_load((ROOT / "helm" / "letrade-agent" / "values.yaml").read_text(encoding="utf-8"))
    found = {one[key] for one in charts for key in ("version", "appVersion")} | {sidecar["image"]["tag"]}
    assert found == {version("letrade-topo")}


@pytest.mark.parametrize("name", some_of(USED))
def test_nothing_is_empty(name: str) -> None:
    """An empty list is stored as none: whoever compares, as Argo CD does, would see a difference for ever."""

    def empty(value: Any, path: str) -> list[str]:
        if value is None or value in ([], {}):
            return [path]
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [found for key, one in inner for found in empty(one, f"{path}.{key}")]

    assert [found for one in rendered(name) for found in empty(one, one["kind"])] == []
