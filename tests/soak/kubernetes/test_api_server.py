"""The charts and `k8s patch` at a real API server: `script/soak -k api_server`.

What the schemas of Kubernetes cannot tell: what is immutable, who owns a field, what admission refuses, and in which
order Helm has things made.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from letrade_topo.k8s.patch import patch
from letrade_topo.k8s.values import complete
from tests.helm.helm import Chart, Manifest, pod_of, workloads
from tests.helm.releases import FOLDER, LEAST, MISSHAPEN, REFUSED, USED, Values
from tests.helm.sidecars import LEAST as SIDECAR
from tests.helm.sidecars import MISSHAPEN as MISSHAPEN_SIDECARS
from tests.helm.sidecars import MOST as FULL_SIDECAR
from tests.helm.sidecars import changed
from tests.helm.test_release import PODS
from tests.k8s.test_manifests import FILES, read, titles
from tests.soak.conftest import Summarise
from tests.soak.kubernetes.api_server import REHEARSED, STRICT, KubeApiServer, pod_made_by
from tests.soak.kubernetes.jobs import JobEnds

pytestmark = pytest.mark.long_form
CHART = Chart(FOLDER)
HOOKS = [("ConfigMap", "v1"), ("NetworkPolicy", "networking.k8s.io/v1"), ("Job", "batch/v1")]
CONFLICT, FORBIDDEN, INVALID, NOT_FOUND = 409, 403, 422, 404
TOPOLOGIES = ("name: letrade\n", "name: letrade\nexchanges: {}\n")
POLICY = "admissionregistration.k8s.io/v1"


def topology(text: str) -> Values:
    """Values with this topology."""
    return {"topology": {"content": text}}


def objects(server: KubeApiServer, namespace: str) -> dict[tuple[str, str], Manifest]:
    """What a release makes in its namespace, by kind and name."""
    kinds = [*HOOKS, ("Deployment", "apps/v1"), ("CronJob", "batch/v1"), ("PodDisruptionBudget", "policy/v1")]
    return {
        (kind, name): one
        for kind, version in kinds
        for name, one in server.names(version, kind, namespace).items()
        if name != "kube-root-ca.crt"
    }


def revision(manifest: Manifest) -> int:
    """When it was written last, among all that the server has."""
    return int(manifest["metadata"]["resourceVersion"])


def held(server: KubeApiServer, namespace: str, name: str) -> str:
    """The topology that a ConfigMap holds."""
    found: str = server.names("v1", "ConfigMap", namespace)[name]["data"]["topology.yaml"]
    return found


def test_life_of_a_release(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise) -> None:
    """Installed, given another topology, rolled back, taken away, installed again; the Job comes first each time."""
    began = time.monotonic()
    namespace = api_server.make_namespace("life")
    first, second = (changed(LEAST, topology(text)) for text in TOPOLOGIES)
    at = ("--namespace", namespace)
    chart = str(FOLDER)

    def verify(content: str, runs: int) -> None:
        found = objects(api_server, namespace)
        assert held(api_server, namespace, "bus-letrade-topo-topology").strip() == content.strip()
        assert held(api_server, namespace, "bus-letrade-topo-apply-topology").strip() == content.strip()
        assert [name for name, _ in jobs.ended] == ["bus-letrade-topo-apply"] * runs
        before = [revision(found["ConfigMap", "bus-letrade-topo-apply-topology"])]
        before.append(revision(found["NetworkPolicy", "bus-letrade-topo-apply"]))
        made = api_server.ask("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs/bus-letrade-topo-apply").check()
        assert max(before) < jobs.ended[-1][1] == revision(made)
        assert jobs.ended[-1][1] < revision(found["ConfigMap", "bus-letrade-topo-topology"])

    api_server.helm("install", "bus", chart, *at, values=first).check()
    verify(TOPOLOGIES[0], 1)
    for one in objects(api_server, namespace).values():
        assert one["metadata"]["name"].endswith(("-apply", "-apply-topology")) or revision(one) > jobs.ended[-1][1]
    deployment = objects(api_server, namespace)["Deployment", "bus-letrade-topo-controller"]
    api_server.helm("upgrade", "bus", chart, *at, values=second).check()
    verify(TOPOLOGIES[1], 2)
    same = objects(api_server, namespace)["Deployment", "bus-letrade-topo-controller"]
    assert revision(same) == revision(deployment), "the controller reads the new file; no pod starts anew"
    api_server.helm("rollback", "bus", "1", *at).check()
    verify(TOPOLOGIES[0], 3)
    api_server.helm("test", "bus", *at).check()
    api_server.helm("uninstall", "bus", *at).check()
    left = {name for _, name in objects(api_server, namespace)}
    assert left == {"bus-letrade-topo-apply", "bus-letrade-topo-apply-topology"}
    api_server.helm("install", "bus", chart, *at, values=second).check()
    verify(TOPOLOGIES[1], 4)
    seconds = time.monotonic() - began
    summarise(
        "chart: life of a release",
        api_server.version,
        f"install, upgrade, rollback, test, uninstall, install: {seconds:.0f} s; the Job before the rest each time",
    )


def test_a_refused_topology_changes_nothing(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise) -> None:
    """Where the Job fails, Helm makes nothing else, or leaves the release as it was."""
    namespace = api_server.make_namespace("refused")
    first, second = (changed(LEAST, topology(text)) for text in TOPOLOGIES)
    arguments = (str(FOLDER), "--namespace", namespace)
    jobs.fails = True
    assert api_server.helm("install", "bus", *arguments, values=first).code == 1
    assert {name for _, name in objects(api_server, namespace)} == {
        "bus-letrade-topo-apply",
        "bus-letrade-topo-apply-topology",
    }
    jobs.fails = False
    api_server.helm("upgrade", "--install", "bus", *arguments, values=first).check()
    before = objects(api_server, namespace)
    jobs.fails = True
    assert api_server.helm("upgrade", "bus", *arguments, values=second).code == 1
    after = objects(api_server, namespace)
    assert held(api_server, namespace, "bus-letrade-topo-topology").strip() == TOPOLOGIES[0].strip()
    for key, one in before.items():
        if not key[1].endswith(("-apply", "-apply-topology")):
            assert revision(after[key]) == revision(one), key
    summarise("chart: a Job that fails", api_server.version, "install and upgrade end with 1, nothing else is touched")


@pytest.mark.parametrize("name", USED)
def test_every_way_to_use_the_chart(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise, name: str) -> None:
    """Least, everything, nothing: installed, upgraded from the least and back, uninstalled."""
    namespace = api_server.make_namespace(f"used-{list(USED).index(name)}")
    api_server.make_namespace("rabbitmq")
    arguments = (str(FOLDER), "--namespace", namespace)
    values = USED[name]
    api_server.helm("install", "bus", *arguments, values=LEAST).check()
    try:
        api_server.helm("upgrade", "bus", *arguments, values=values).check()
        for one in api_server.manifests(CHART, "bus", namespace, values):
            assert api_server.get(one, namespace).code == (NOT_FOUND if _is_test(one) else 200), one["metadata"]
        api_server.helm("upgrade", "bus", *arguments, values=values).check()
        api_server.helm("upgrade", "bus", *arguments, values=LEAST).check()
        api_server.helm("rollback", "bus", "2", "--namespace", namespace).check()
    finally:
        api_server.helm("uninstall", "bus", "--namespace", namespace).check()
    api_server.helm("install", "bus", *arguments, values=values).check()
    api_server.helm("uninstall", "bus", "--namespace", namespace).check()
    count = len(api_server.manifests(CHART, "bus", namespace, values))
    summarise(f"chart: {name}", api_server.version, f"{count} objects; upgraded to and from, rolled back, installed")


def _is_test(manifest: Manifest) -> bool:
    return bool(manifest["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")


@pytest.mark.parametrize("hooks", ["helm", "none"])
def test_any_value_can_change(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise, hooks: str) -> None:
    """An upgrade never meets a field that Kubernetes does not let anybody change."""
    namespace = api_server.make_namespace(f"changes-{hooks}")
    values = changed(LEAST, {"apply": {"hooks": hooks}})
    arguments = (str(FOLDER), "--namespace", namespace)
    api_server.helm("install", "bus", *arguments, values=values).check()
    changes: list[Values] = [
        topology(TOPOLOGIES[1]),
        {"broker": {"username": "other", "caSecret": "ca"}},
        {"apply": {"lockTimeout": 60, "allow": ["adopt"]}},
        {"apply": {"backoffLimit": 5, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 10}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"podLabels": {"team": "a"}, "podAnnotations": {"example.com/a": "b"}},
        {"nodeSelector": {"kubernetes.io/os": "linux"}, "priorityClassName": "high"},
        {"controller": {"replicas": 3, "interval": "5m", "port": 9999}},
        {"drift": {"schedule": "@daily", "format": "json"}},
        {"networkPolicy": {"enabled": False}},
    ]
    for change in changes:
        values = changed(values, change)
        ended = api_server.helm("upgrade", "bus", *arguments, values=values)
        assert ended.code == 0, (change, ended.err)
    api_server.helm("rollback", "bus", "2", "--namespace", namespace).check()  # it keeps ten
    api_server.helm("uninstall", "bus", "--namespace", namespace).check()
    summarise(
        f"chart: every value changed, hooks {hooks}", api_server.version, f"{len(changes)} upgrades and a rollback"
    )


def test_values_that_are_refused(api_server: KubeApiServer, summarise: Summarise) -> None:
    """What schema and checks refuse never reaches the server."""
    namespace = api_server.make_namespace("values")
    cases = {**MISSHAPEN, **REFUSED}
    for case, (change, words) in cases.items():
        ended = api_server.helm("install", "bus", str(FOLDER), "--namespace", namespace, values=changed(LEAST, change))
        assert ended.code == 1, case
        assert words in ended.err, case
    assert objects(api_server, namespace) == {}
    assert api_server.names("v1", "Secret", namespace) == {}, "not even a release"
    summarise("chart: values refused", api_server.version, f"{len(cases)} of {len(cases)}, nothing was made")


def test_two_releases_in_one_namespace(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise) -> None:
    """Each has its topology, and goes without the other."""
    namespace = api_server.make_namespace("two")
    at = ("--namespace", namespace)
    values = {name: changed(LEAST, topology(f"name: {name}\n")) for name in ("trading", "billing")}
    for name, given in values.items():
        api_server.helm("install", name, str(FOLDER), *at, values=given).check()
    for name in values:
        assert held(api_server, namespace, f"{name}-letrade-topo-topology").strip() == f"name: {name}"
    refused = api_server.helm(
        "install", "third", str(FOLDER), *at, values=changed(LEAST, {"fullnameOverride": "billing-letrade-topo"})
    )
    assert refused.code == 1
    assert "invalid ownership metadata" in refused.err
    api_server.helm("uninstall", "trading", *at).check()
    left = {name for kind, name in objects(api_server, namespace) if kind == "Deployment"}
    assert left == {"billing-letrade-topo-controller"}
    assert len(jobs.ended) >= len(values)
    summarise("chart: two releases in a namespace", api_server.version, "each its own; a third of one's names refused")


def test_charts_that_use_the_library(
    api_server: KubeApiServer, charts_of_others: dict[str, Chart], summarise: Summarise
) -> None:
    """Workloads of others with the agent: installed, upgraded to every value, rolled back, uninstalled."""
    namespace = api_server.make_namespace("workloads")
    at = ("--namespace", namespace)
    pods = 0
    for name, chart in charts_of_others.items():
        folder = str(chart.folder)
        without: Values = {"letrade-agent": SIDECAR, "withAgent": False}
        api_server.helm("install", name, folder, *at, values=without).check()
        has_job = "Job" in {one["kind"] for one in chart.template(without).manifests}
        least: Values = {"letrade-agent": SIDECAR, "withAgent": True}
        steps = [least, {"letrade-agent": FULL_SIDECAR, "withAgent": True}]
        for step in steps:
            if has_job or name == "other-kinds":  # neither a Job's pod nor a Pod can be changed
                api_server.helm("uninstall", name, *at).check()
                api_server.helm("install", name, folder, *at, values=step).check()
            else:
                api_server.helm("upgrade", name, folder, *at, values=step).check()
            pods += len(workloads(chart.template(step).manifests))
        if not has_job and name != "other-kinds":
            api_server.helm("rollback", name, "1", *at).check()
        refused = [
            api_server.helm("upgrade", name, folder, *at, values={"letrade-agent": changed(SIDECAR, change)})
            for change, _ in MISSHAPEN_SIDECARS.values()
        ]
        assert {one.code for one in refused} == {1}
        api_server.helm("uninstall", name, *at).check()
    summarise(
        "library chart",
        api_server.version,
        f"{len(charts_of_others)} charts, {pods} workloads; {len(MISSHAPEN_SIDECARS)} values refused by each",
    )


def all_pods(server: KubeApiServer, charts: dict[str, Chart]) -> dict[str, Manifest]:
    """Every pod that the charts make, by a name."""
    found: dict[str, Manifest] = {}
    for name, values in USED.items():
        for one in workloads(server.manifests(CHART, "bus", "default", values)):
            found[f"{name}: {one['kind']}/{one['metadata']['name']}"] = pod_made_by(one)
    for kind, values in (("least", SIDECAR), ("most", FULL_SIDECAR)):
        for name in ("plain-deployment",):
            for one in workloads(charts[name].template({"letrade-agent": values}).manifests):
                found[f"library, {kind}: {one['kind']}"] = pod_made_by(one)
    return found


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pod_security(
    api_server: KubeApiServer, charts_of_others: dict[str, Chart], summarise: Summarise, level: str
) -> None:
    """Every pod of the charts passes where a namespace enforces the standard, without a warning."""
    labels = {f"pod_security.kubernetes.io__{mode}": level for mode in ("enforce", "warn", "audit")}
    namespace = api_server.make_namespace(f"pods-{level}", **labels)
    pods = all_pods(api_server, charts_of_others)
    for name, pod in pods.items():
        answer = api_server.apply(pod, namespace, query=REHEARSED)
        answer.check()
        assert [one for one in answer.warnings if "PodSecurity" in one] == [], name
    spoilt = changed(next(iter(pods.values())), {"spec": {"hostNetwork": True}})
    refused = api_server.apply(spoilt, namespace, query=REHEARSED)
    refused.check(FORBIDDEN)
    assert f'violates PodSecurity "{level}:latest"' in refused.reason
    rooted = changed(next(iter(pods.values())), {"spec": {"securityContext": {"runAsNonRoot": False}}})
    api_server.apply(rooted, namespace, query=REHEARSED).check(*([FORBIDDEN] if level == "restricted" else []))
    summarise(
        f"Pod Security: {level}", api_server.version, f"{len(pods)} pods pass without a warning; controls refused"
    )


def test_an_admission_policy_of_the_cluster(
    api_server: KubeApiServer, charts_of_others: dict[str, Chart], summarise: Summarise
) -> None:
    """A policy that asks every container for requests and a limit of memory takes the charts' pods as they are."""
    namespace = api_server.make_namespace("bounded", bounded="yes")
    each = (
        "c, has(c.resources) && has(c.resources.requests) && 'cpu' in c.resources.requests "
        "&& 'memory' in c.resources.requests && has(c.resources.limits) && 'memory' in c.resources.limits"
    )
    expression = (
        f"(!has(object.spec.initContainers) || object.spec.initContainers.all({each}))"
        f" && object.spec.containers.all({each})"
    )
    install_policy(api_server, "bounded", expression, {"bounded": "yes"})
    pods = {name: pod for name, pod in all_pods(api_server, charts_of_others).items() if not name.startswith("library")}
    wait_until_enforced(api_server, changed(next(iter(pods.values())), {"metadata": {"name": "x"}}), namespace)
    for pod in pods.values():
        api_server.apply(pod, namespace, query=REHEARSED).check()
    for one in workloads(
        api_server.manifests(CHART, "bus", "default", changed(LEAST, {"resources": {"limits": {"memory": None}}}))
    ):
        refused = api_server.apply(pod_made_by(one), namespace, query=REHEARSED)
        refused.check(INVALID)
        assert "bounded" in refused.reason
    # of a workload of somebody else: the sidecar has all that is asked for
    (deployment,) = workloads(charts_of_others["plain-deployment"].template({"letrade-agent": SIDECAR}).manifests)
    pod = pod_made_by(deployment)
    api_server.apply(pod, namespace, query=REHEARSED).check(INVALID)
    pod["spec"]["containers"][0]["resources"] = pod["spec"]["initContainers"][0]["resources"]
    api_server.apply(pod, namespace, query=REHEARSED).check()
    summarise("admission: requests and limits", api_server.version, f"{len(pods)} pods pass; without them refused")


def install_policy(server: KubeApiServer, name: str, expression: str, labels: dict[str, str]) -> None:
    """A ValidatingAdmissionPolicy on pods, in namespaces with these labels."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression}],
    }
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": labels}},
    }
    for kind, spec in (("ValidatingAdmissionPolicy", policy), ("ValidatingAdmissionPolicyBinding", binding)):
        server.apply({"apiVersion": POLICY, "kind": kind, "metadata": {"name": name}, "spec": spec}).check()


def wait_until_enforced(server: KubeApiServer, pod: Manifest, namespace: str) -> None:
    """A policy holds some time after it was made: until it refuses a pod without resources."""
    bare = {**pod, "spec": {**pod["spec"], "containers": [{"name": "a", "image": "a"}], "volumes": []}}
    end = time.monotonic() + 60
    while server.apply(bare, namespace, query=REHEARSED).code != INVALID:
        assert time.monotonic() < end, "the policy is not enforced"
        time.sleep(0.2)


def test_the_charts_admission_policy(api_server: KubeApiServer, jobs: JobEnds, summarise: Summarise) -> None:
    """The server compiles its expressions, and refuses what they are there to refuse."""
    namespace = api_server.make_namespace("labelled", letrade="yes")
    api_server.make_namespace("rabbitmq")
    values = USED["everything with Helm's hooks"]
    api_server.helm("install", "bus", str(FOLDER), "--namespace", namespace, values=values).check()
    try:
        _wait_for_denial(api_server, namespace)
        for case, (spec, admitted) in PODS.items():
            if "ephemeralContainers" in spec:
                continue  # not when a pod is made
            answer = api_server.apply(_complete(spec), namespace, query=REHEARSED)
            assert (answer.code, case) == ((201 if admitted else INVALID), case), answer.reason
        unlabelled = _complete(PODS["host network"][0])
        unlabelled["metadata"]["labels"] = {}
        api_server.apply(unlabelled, namespace, query=REHEARSED).check()
    finally:
        api_server.helm("uninstall", "bus", "--namespace", namespace).check()
    assert jobs.ended
    refused = sum(not admitted for _, admitted in PODS.values()) - 1
    summarise("chart: its admission policy", api_server.version, f"{refused} pods refused, one with its agent admitted")


def _complete(spec: Manifest) -> Manifest:
    """A pod as the server wants it, out of one that has what a policy looks at."""
    names = {mount["name"] for one in _containers(spec) for mount in one.get("volumeMounts", [])}
    filled: Manifest = {**spec, "volumes": [{"name": name, "emptyDir": {}} for name in sorted(names)]}
    for kind in ("initContainers", "containers"):
        if kind in spec:
            filled[kind] = [_complete_container(one) for one in spec[kind]]
    metadata = {"name": "a", "labels": {"letrade-topo.io/agent": "true"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": filled}


def _complete_container(container: Manifest) -> Manifest:
    mounts = [{**mount, "mountPath": "/x"} for mount in container.get("volumeMounts", [])]
    return {"image": "a", **container, "volumeMounts": mounts}


def _containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def _wait_for_denial(server: KubeApiServer, namespace: str) -> None:
    end = time.monotonic() + 60
    pod = _complete(PODS["without init containers"][0])
    while server.apply(pod, namespace, query=REHEARSED).code != INVALID:
        assert time.monotonic() < end, "the policy is not enforced"
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["least", "everything"])
def test_as_argo_applies_it(api_server: KubeApiServer, summarise: Summarise, name: str) -> None:
    """Server-side apply with force, twice: no difference, Argo owns what it sent; who else writes there is told."""
    namespace = api_server.make_namespace(f"argo-{name}")
    api_server.make_namespace("rabbitmq")
    manifests = [one for one in api_server.manifests(CHART, "bus", namespace, USED[name]) if not _is_test(one)]
    argo: dict[str, Any] = {"query": STRICT, "manager": "argocd-controller", "force": True}
    hooks = [one for one in manifests if "hook" in str(one["metadata"].get("annotations", {}))]
    rest = [one for one in manifests if one not in hooks]
    for one in hooks:
        read_back = api_server.apply(one, namespace, query=REHEARSED, manager="argocd-controller").check()
        assert read_back["metadata"]["annotations"] == one["metadata"]["annotations"]
        assert _weight(read_back) == (-5 if one["kind"] == "Job" else -10)
    for one in rest:
        made = api_server.apply(one, namespace, **argo)
        made.check()
        assert made.warnings == (), (one["metadata"]["name"], made.warnings)
        again = api_server.apply(one, namespace, **argo).check()
        assert revision(again) == revision(made.body), one["metadata"]["name"]
        owners = {entry["manager"] for entry in again["metadata"]["managedFields"]}
        assert owners == {"argocd-controller"}
    (deployment,) = [one for one in rest if one["kind"] == "Deployment"]
    theirs = {
        **{key: deployment[key] for key in ("apiVersion", "kind")},
        "metadata": {"name": deployment["metadata"]["name"]},
        "spec": {"replicas": 7},
    }
    conflict = api_server.apply(theirs, namespace, manager="autoscaler", force=False)
    conflict.check(CONFLICT)
    assert 'conflict with "argocd-controller": .spec.replicas' in conflict.reason
    taken = api_server.apply(theirs, namespace, manager="autoscaler").check()
    assert taken["spec"]["replicas"] == theirs["spec"]["replicas"]
    assert "autoscaler" in api_server.apply(deployment, namespace, manager="argocd-controller", force=False).reason
    back = api_server.apply(deployment, namespace, **argo).check()
    assert back["spec"]["replicas"] == deployment["spec"]["replicas"]
    for one in rest:
        api_server.ask("DELETE", api_server.path_of(one, namespace)).check()
    summarise(
        f"as Argo CD applies it: {name}",
        api_server.version,
        f"{len(rest)} objects twice: no difference; {len(hooks)} hooks; a second manager told of its conflict",
    )


def _weight(manifest: Manifest) -> int:
    annotations = manifest["metadata"]["annotations"]
    return int(annotations.get("helm.sh/hook-weight") or annotations["argocd.argoproj.io/sync-wave"])


def test_patched_manifests(api_server: KubeApiServer, summarise: Summarise) -> None:
    """Every manifest of `tests/k8s/manifests`, with the agent: taken strictly, also over what is there without it."""
    began = time.monotonic()
    for name in ("default", "shop", "monitoring", "kube-system"):
        api_server.make_namespace(name)
    patched, replaced = 0, 0
    refused: list[tuple[str, str, str]] = []
    for name in FILES:
        for title in titles(name):
            before = read(name)
            after = patch(before, name, complete(SIDECAR), title)
            for text in documents_of(after):
                answer = api_server.apply(text, query=REHEARSED)
                if answer.code not in (200, 201):
                    refused.append((name, title, answer.reason))
            patched += 1
            if not refused:
                replaced += _over_what_is_there(api_server, before, after, title)
    assert refused == []
    seconds = time.monotonic() - began
    summarise(
        "k8s patch",
        api_server.version,
        f"{len(FILES)} files, {patched} workloads, strictly: {seconds:.0f} s; {replaced} over what had no agent",
    )


def documents_of(text: str) -> list[str]:
    """The documents of a stream, each as it is written."""
    found, start = [], 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentEndEvent) and event.end_mark is not None:
            found.append(text[start : event.end_mark.index])
            start = event.end_mark.index
    return [one for one in found if yaml.safe_load(one) is not None]


def _over_what_is_there(server: KubeApiServer, before: str, after: str, title: str) -> bool:
    """Apply it without and then with the agent, and once more; False for kinds whose pod cannot be changed."""
    kind = title.partition("/")[0]
    if kind in {"Job", "Pod"}:
        return False
    plain, armed = (
        next(one for one in documents_of(text) if _title(yaml.safe_load(one)) == title) for text in (before, after)
    )
    server.apply(plain).check()
    made = server.apply(armed).check()
    assert revision(server.apply(armed).check()) == revision(made)
    assert pod_of(made)["spec"]["initContainers"][0]["name"] == "letrade-agent"
    server.ask("DELETE", server.path_of(made | _versions(armed), "default")).check()
    return True


def _versions(text: str) -> Manifest:
    parsed = yaml.safe_load(text)
    return {"apiVersion": parsed["apiVersion"], "kind": parsed["kind"]}


def _title(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']}/{metadata.get('name') or metadata.get('generateName')}"
