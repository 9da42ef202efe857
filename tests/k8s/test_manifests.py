"""`letrade-topo k8s patch` on manifests as people publish and generate them, `tests/k8s/manifests`.

`script/soak -k api_server` asks a real API server whether it takes each result.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from letrade_topo.k8s.manifests import read_workloads
from letrade_topo.k8s.patch import patch
from letrade_topo.k8s.values import complete
from tests.helm.helm import pod_of
from tests.helm.sidecars import LEAST, MOST

FOLDER = Path(__file__).resolve().parent / "manifests"
FILES = sorted(path.name for path in FOLDER.iterdir())
VALUES, OTHER = complete(LEAST), complete(MOST)
ENOUGH = 50
AGENT_LABELS = {"letrade-topo.io/agent": "true", "letrade-topo.io/service": "strategy"}
DEFAULT = "kubectl.kubernetes.io/default-container"
_NOTHING = ("{}", "[]", "~", "null", "")

CHANGED = {
    "cronjob-no-final-line-break.yaml": 'command: ["true"]',
    "deployment-from-helm.yaml": "{}",
}
"""Lines that are another line afterwards, or none, beside those in braces that hold labels or a `securityContext`."""
OF_AN_AGENT = "deployment-agent-of-an-older-version.yaml"
"""Has a sidecar already, which goes."""


def read(name: str) -> str:
    """A manifest, with the line breaks that it has."""
    return (FOLDER / name).read_bytes().decode()


def documents(text: str) -> list[Any]:
    """All documents, without those that are empty."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [one for one in yaml.load_all(text, Loader=loader) if one is not None]  # a safe one


@cache
def titles(name: str) -> list[str]:
    """The workloads of a file, as `--workload` takes them."""
    return [workload.title for workload in read_workloads(read(name), name)]


def test_there_are_many() -> None:
    """Fifty, of every kind that has pods."""
    assert len(FILES) >= ENOUGH
    kinds = {title.partition("/")[0] for name in FILES for title in titles(name)}
    assert kinds == {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"}


@pytest.mark.parametrize("name", FILES)
def test_everything_else_stays(name: str) -> None:
    """What is there before is there afterwards, byte for byte, but for lines that had to change; twice is once."""
    for title in titles(name):
        before = read(name)
        after = patch(before, name, VALUES, title)
        assert patch(after, name, VALUES, title) == after, title
        differences = list(difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0))[2:]
        gone, came = ([line[1:] for line in differences if line[0] == sign] for sign in "-+")
        if name != OF_AN_AGENT:
            assert [line for line in gone if not _may_go(name, line, came)] == [], title
        _same_but_for_the_agent(before, after, title)


@pytest.mark.wide
@pytest.mark.parametrize("name", FILES)
def test_there_and_back(name: str) -> None:
    """Patched with other values and then with the first ones again, the text is that of the first time."""
    title = titles(name)[0]
    once = patch(read(name), name, VALUES, title)
    other = patch(once, name, OTHER, title)
    assert other != once
    assert patch(other, name, VALUES, title) == once


def _may_go(name: str, line: str, came: list[str]) -> bool:
    """Whether a line may be another one: its value was nothing, or labels and the like came between its braces."""
    text = line.strip()
    if text == CHANGED.get(name):
        return True
    key, _, value = text.removeprefix("\ufeff").partition(":")
    if key not in ("labels", "annotations", "initContainers", "volumes", "securityContext", "metadata"):
        return False
    return value.partition("#")[0].strip() in _NOTHING or any(_has_all_of(one, line) for one in came)


def _has_all_of(longer: str, line: str) -> bool:
    """Whether a line is there in another one, character by character, in their order."""
    characters = iter(longer)
    return all(character in characters for character in line)


def _same_but_for_the_agent(before: str, after: str, title: str) -> None:
    was, now = documents(before), documents(after)
    assert len(was) == len(now)
    for old, new in zip(was, now, strict=True):
        metadata = old.get("metadata", {})
        if f"{old['kind']}/{metadata.get('name') or metadata.get('generateName')}" == title:
            assert pod_of(new)["metadata"]["labels"].items() >= AGENT_LABELS.items()
            assert pod_of(new)["spec"]["initContainers"][0]["name"] == "letrade-agent"
            for one in (new, old):
                _without_the_agent(one)
        assert new == old


def _without_the_agent(manifest: dict[str, Any]) -> None:
    """Take out what patching puts in, so that the rest can be compared."""
    pod = pod_of(manifest)
    spec = pod["spec"]
    inits = spec.pop("initContainers", None) or []
    spec["initContainers"] = [one for one in inits if one["name"] != "letrade-agent"]
    volumes = spec.pop("volumes", None) or []
    spec["volumes"] = [one for one in volumes if not one["name"].startswith("letrade-agent-")]
    security = dict(spec.pop("securityContext", None) or {})
    if security.get("fsGroup") == VALUES["securityContext"]["runAsUser"]:
        del security["fsGroup"]
    spec["securityContext"] = security
    metadata = dict(pod.get("metadata") or {})
    labels, annotations = metadata.pop("labels", None) or {}, metadata.pop("annotations", None) or {}
    metadata["labels"] = {key: text for key, text in labels.items() if key not in AGENT_LABELS}
    metadata["annotations"] = {key: text for key, text in annotations.items() if key != DEFAULT}
    pod["metadata"] = metadata
