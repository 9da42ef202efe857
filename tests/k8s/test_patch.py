"""`letrade-topo k8s patch`: lines put into manifests, and everything else left as it is written."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from letrade_topo.k8s.errors import InvalidManifest, InvalidValues, UnprotectedPod
from letrade_topo.k8s.patch import patch
from letrade_topo.k8s.values import complete, read_values, setting
from tests.helm.sidecars import LEAST, MOST
from tests.tool import Tool

VALUES = complete(LEAST)
PLAIN = """\
# what we run
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {x: "1"} # kept
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata:
      labels: {app: orders}
    spec:
      # the service itself
      containers:
        - name: orders
          image: orders:1
          command:
            - sh
            - -c
            - |
              exec orders # no comment

---
apiVersion: v1
kind: Service
metadata: {name: orders}
"""


def added(before: str, after: str) -> list[str]:
    """The lines that came; asserts that none went."""
    differences = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    assert [line for line in differences if line.startswith("- ")] == []
    return [line[2:] for line in differences if line.startswith("+ ")]


def deployment(pod: str, metadata: str = "{labels: {app: a}}") -> str:
    """A Deployment with these lines in its pod's spec."""
    lines = "".join(f"      {line}\n" for line in pod.splitlines())
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {app: a}}\n"
        f"  template:\n    metadata: {metadata}\n    spec:\n{lines}"
    )


CONTAINERS = "containers:\n- {name: a, image: a}"


def pod(text: str) -> dict[str, Any]:
    """The pod's spec of a Deployment."""
    found: dict[str, Any] = yaml.safe_load(text)["spec"]["template"]["spec"]
    return found


def test_everything_else_stays() -> None:
    """Comments, other documents, braces, block texts and blank lines stay; only lines come."""
    text = PLAIN.replace("labels: {app: orders}\n", "labels:\n        app: orders\n")
    lines = added(text, patch(text, "-", VALUES))
    assert lines[0] == '        letrade-topo.io/agent: "true"'
    assert "        - name: letrade-agent" in lines


def test_labels_in_braces() -> None:
    """A short mapping of labels in braces gets its labels between them."""
    (line,) = [line for line in patch(PLAIN, "-", VALUES).splitlines() if "letrade-topo.io/agent" in line]
    assert line == '      labels: {letrade-topo.io/agent: "true", letrade-topo.io/service: "strategy", app: orders}'


@pytest.mark.parametrize("break_", ["\n", "\r\n"])
def test_twice_is_once(break_: str) -> None:
    """Patched again, with other values and back, the text is the same to the last byte, whatever its line breaks."""
    text = PLAIN.replace("\n", break_)
    once = patch(text, "-", VALUES)
    assert patch(once, "-", VALUES) == once
    other = patch(once, "-", complete(MOST))
    assert "--service=capital_manager" in other
    assert "--service=strategy" not in other
    assert patch(other, "-", VALUES).replace('"capital_manager"', '"strategy"').count("fsGroup: 65532") == 1
    assert once.count("\r\n") == (once.count("\n") if break_ == "\r\n" else 0)


@pytest.mark.parametrize(
    "pod_lines",
    [
        CONTAINERS,
        f"{CONTAINERS}\ninitContainers: []\nvolumes: []",
        f"{CONTAINERS}\ninitContainers: # none\nvolumes: ~ # none",
        f"initContainers:\n# first\n- {{name: i, image: i}}\n{CONTAINERS}\nvolumes:\n  - {{name: v, emptyDir: {{}}}}",
        "initContainers:\n  - name: i\n    image: i\ncontainers:\n  - name: a\n    image: a",
        "restartPolicy: Always\ncontainers:\n    - name: a\n      args:\n        - |-\n          two\n          lines",
        "initContainers:\n- # one-two\n  name: i\n  image: i\ncontainers:\n-\n  # a-b\n\n  name: a\n  image: a\n"
        "volumes:\n-\n\n  {name: v, emptyDir: {}}",
        f"volumes: {{}}\n{CONTAINERS}",
        f"initContainers: [] # none\n{CONTAINERS}",
        f"securityContext: {{}}\n{CONTAINERS}",
        f"securityContext: {{runAsNonRoot: true}}\n{CONTAINERS}",
        f"securityContext:\n  runAsNonRoot: true\n{CONTAINERS}",
        f"securityContext:\n{CONTAINERS}",
    ],
)
@pytest.mark.parametrize(
    "metadata",
    [
        "{labels: {app: a}}",
        "{name: x}",
        "{name: x, labels: {}}",
        "{labels: ~}",
        "\n      labels:\n        app: a",
        "\n      labels: &labels\n        app: a",
        "\n      annotations:\n        note: a",
        "{}",
        "",
    ],
)
@pytest.mark.wide
def test_ways_to_write_a_pod(pod_lines: str, metadata: str) -> None:
    """However lists and mappings are written: the agent is first, its volumes are there, nothing else has changed."""
    text = deployment(pod_lines, metadata)
    patched = patch(text, "-", VALUES)
    assert patch(patched, "-", VALUES) == patched
    before, after = pod(text), pod(patched)
    agent, *others = after.pop("initContainers")
    assert agent["name"] == "letrade-agent"
    assert others == (before.pop("initContainers", None) or [])
    volumes = [one for one in after.pop("volumes") if not one["name"].startswith("letrade-agent-")]
    assert volumes == (before.pop("volumes", None) or [])
    security = before.pop("securityContext", None) or {}
    assert after.pop("securityContext") == {**security, "fsGroup": 65532}
    assert after == before
    was, now = (yaml.safe_load(one)["spec"]["template"]["metadata"] or {} for one in (text, patched))
    assert now["labels"] == {
        **(was.get("labels") or {}),
        "letrade-topo.io/agent": "true",
        "letrade-topo.io/service": "strategy",
    }
    default = {"kubectl.kubernetes.io/default-container": "a"}
    assert now["annotations"] == {**(was.get("annotations") or {}), **default}


def test_pod_without_metadata_of_its_template() -> None:
    """A Job's template may have no metadata; then it gets them."""
    text = "kind: Job\nmetadata: {name: j}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: a}\n"
    patched = yaml.safe_load(patch(text, "-", VALUES))["spec"]["template"]
    assert patched["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "a"}


def test_no_line_break_at_the_end() -> None:
    """A file that does not end with a line break gets the volumes after its last line, and ends with one then."""
    text = deployment(CONTAINERS, "\n      labels: {app: a}").rstrip("\n")
    patched = patch(text, "-", VALUES)
    assert pod(patched)["volumes"]
    assert patch(patched, "-", VALUES) == patched


REFUSED = {
    "not YAML": ("a: [", r"in.yaml:[12]:"),
    "nested deeply": ("a: " + "[" * 5_000, r"in.yaml:1:103 is nested too deeply"),
    "deep and not YAML": ("{" * 90 + "@", r"in.yaml:1:91: .*token"),
    "a text": ("just a text", r"in.yaml:1:1: this is not a Kubernetes manifest"),
    "nothing with pods": ("kind: Service\n", "no manifest with pods"),
    "JSON": (
        '{"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}',
        "in.yaml:1:1: written",
    ),
    "a list": ("kind: List\nitems: []\n", "in.yaml:1:1: a list of manifests"),
    "no spec": ("kind: Deployment\nmetadata: {name: a}\nspec: {}\n", "in.yaml:3:7: no template here"),
    "no containers": (deployment("containers: []", ""), "in.yaml:9:7: Deployment/a has no containers"),
    "containers in brackets": (deployment("containers: [{name: a}]", ""), "in.yaml:9:19: written in braces"),
    "an alias": (
        "x: &p\n  containers:\n  - name: a\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    spec: *p\n",
        "in.yaml:8:5: spec is an alias",
    ),
    "a merge key": (deployment(f"<<: {{hostNetwork: true}}\n{CONTAINERS}", ""), "in.yaml:9:7: a merge key"),
    "a key twice": (deployment(f"{CONTAINERS}\n{CONTAINERS}", ""), "in.yaml:11:7: containers is there twice"),
    "a mapping of init containers": (
        deployment(f"initContainers:\n  a: b\n{CONTAINERS}", ""),
        "in.yaml:10:9: initCont",
    ),
    "labels that a selector has by an alias": (
        deployment(CONTAINERS, "\n      labels: &labels\n        app: a") + "  strategy: {}\nx: *labels\n",
        "in.yaml:8:15: this stands elsewhere by an alias",
    ),
    "a pod that stands elsewhere": (
        deployment(CONTAINERS).replace("    spec:\n", "    spec: &pod\n") + "x: *pod\n",
        "in.yaml:8:11: this stands elsewhere by an alias",
    ),
    "a security context of two": (
        deployment("securityContext: &s\n  runAsUser: 1\ncontainers:\n- name: a\n  securityContext: *s"),
        "in.yaml:9:24: this stands elsewhere by an alias",
    ),
    "a character that YAML does not have": (deployment(f"# a\x07bell\n{CONTAINERS}"), r"in.yaml:9:10: .*U\+0007"),
    "a tab before a comment": (deployment(f"hostname: a \t# why\n{CONTAINERS}"), "in.yaml:9:19: found character"),
    "a template of Helm": ("kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}-a\n", "in.yaml:3:"),
    "a Windows pod": (deployment(f"os: {{name: windows}}\n{CONTAINERS}"), "in.yaml:9:12: os.name: windows"),
    "a key twice in braces": (
        deployment(CONTAINERS, "{labels: {app: a}, labels: {b: c}}"),
        "in.yaml:7:34: labels is there",
    ),
    "an unknown tag": (deployment(f"{CONTAINERS}\nnodeName: !reference x", ""), "in.yaml:9:7: could not determine"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_place(case: str) -> None:
    """What cannot be patched is refused with file, line and column, and never half done."""
    text, reason = REFUSED[case]
    with pytest.raises((InvalidManifest, UnprotectedPod)) as refused:
        patch(text, "in.yaml", VALUES)
    assert re.search(reason, f"{refused.value}\n{refused.value.why}")


def test_which_of_several() -> None:
    """Of several workloads one has to be named; the others stay as they are."""
    text = "---\n".join(
        deployment(CONTAINERS, "\n      labels: {app: a}").replace("{name: a}\nspec", f"{{name: {name}}}\nspec")
        for name in ("a", "b")
    )
    with pytest.raises(InvalidManifest) as refused:
        patch(text, "-", VALUES)
    assert "Deployment/a, Deployment/b" in str(refused.value)
    first, second = yaml.safe_load_all(patch(text, "-", VALUES, "Deployment/b"))
    assert "initContainers" not in first["spec"]["template"]["spec"]
    assert "initContainers" in second["spec"]["template"]["spec"]
    with pytest.raises(InvalidManifest, match="no Deployment/c"):
        patch(text, "-", VALUES, "Deployment/c")


def test_values_of_a_chart() -> None:
    """A values file may be that of a chart, with the sidecar's values below `letrade-agent`, or only those."""
    assert read_values("letrade-agent: {service: a}\nother: 1\n", "v") == {"service": "a"}
    assert read_values("service: a\n", "v") == {"service": "a"}
    assert setting("keys.secret=k") == {"keys": {"secret": "k"}}
    assert setting("upstream=[amqps://a:1]") == {"upstream": ["amqps://a:1"]}
    for wrong in ("keys", "=x", "a..b=1", "a=["):
        with pytest.raises(InvalidValues):
            setting(wrong)
    with pytest.raises(InvalidValues, match="not a mapping"):
        read_values("- a", "v")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[" * 5_000, "nested too deeply"),
        ("- " * 101, "nested too deeply"),
        ("2001-99-99", "not YAML"),
        ("!!bool maybe", "not YAML"),
        ("!!timestamp soon", "not YAML"),
        ("!!float x", "not YAML"),
        ("!unknown x", "not YAML"),
        ("a: b: c", "not YAML"),
    ],
)
def test_values_that_cannot_be_read(value: str, words: str) -> None:
    """Whatever PyYAML raises for it, it is refused in our words, in a file and on the command line."""
    with pytest.raises(InvalidValues, match=words):
        read_values(value, "v")
    with pytest.raises(InvalidValues, match=rf"--set a: the value is {words}"):
        setting(f"a={value}")


@pytest.mark.wide
def test_command(tmp_path: Path) -> None:
    """From standard input to standard output, in a pipe; refusals say where, and have their exit codes."""
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({**LEAST, "service": "core_engine"}), encoding="utf-8")
    (tmp_path / "in.yaml").write_text(PLAIN, encoding="utf-8")
    tool = Tool(folder=tmp_path)
    given = ("--values", "values.yaml", "--service", "strategy", "in.yaml")
    assert tool.run("k8s", "patch", *given).check(0).out == patch(PLAIN, "in.yaml", VALUES)
    answer = tool.run("k8s", "patch", *given, "--set", "keys.secret=").check(65)
    assert "allow: [unsigned]" in answer.err
    (tmp_path / "in.yaml").write_text(
        PLAIN.replace("      # the service", "      hostNetwork: true\n      #"), encoding="utf-8"
    )
    answer = tool.run("k8s", "patch", *given).check(77)
    assert "in.yaml:17:7: hostNetwork: every process" in answer.err
    assert answer.out == ""
    (tmp_path / "in.yaml").write_bytes(b"kind: Pod\n# \xed\x95\x9c gr\xfc\xdfe\n")
    assert "in.yaml:2:7: this is not UTF-8" in tool.run("k8s", "patch", *given).check(65).err
