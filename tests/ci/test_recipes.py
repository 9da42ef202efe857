"""Recipes for GitHub, GitLab, pre-commit, Argo CD and Flux: of the right form, and their steps do what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.brokers import RunningBroker
from tests.ci.forge import GitHub, gitlab
from tests.ci.steps import Runner
from tests.helm.helm import CHARTS, ROOT, Chart
from tests.tool import Tool
from tests.topologies import orders, write

pytestmark = pytest.mark.wide

CI = ROOT / "ci"
GITHUB = CI / "github" / "topology.yml"
RELEASE = CI / "github" / "release.yml"
GITLAB = CI / "gitlab" / "topology.gitlab-ci.yml"
QUEUE = "clerk.orders"
TOKEN = "glpat-of-nobody"


def read(path: Path) -> dict[str, Any]:
    """A recipe."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def checkout(one_broker: RunningBroker, tmp_path: Path) -> Iterator[Path]:
    """A folder with `topology.yaml`, for a vhost of its own."""
    name = f"ci-{uuid.uuid4().hex[:12]}"
    folder = tmp_path / "checkout"
    folder.mkdir()
    write(folder / "topology.yaml", orders(name, name))
    yield folder
    one_broker.api("DELETE", f"/api/vhosts/{name}")
    Tool.at(one_broker, folder).run("destroy", "--yes", "topology.yaml")


def runner(broker: RunningBroker, folder: Path, *programs: Path, **environment: str) -> Runner:
    """One that knows the broker as the recipes' variables name it."""
    contexts = {
        "vars.LETRADE_TOPO_MANAGEMENT": broker.management_url,
        "vars.LETRADE_TOPO_USERNAME": broker.username,
        "secrets.LETRADE_TOPO_PASSWORD": broker.password,
        "github.token": "ghs_nobody",
        "github.event.pull_request.number": "7",
    }
    given = {"GITHUB_REPOSITORY": "letrade/config", "LETRADE_TOPO_CA_FILE": str(broker.ca_file)}
    return Runner(folder, given | environment, contexts, programs)


def vhost_of(folder: Path) -> str:
    """The topology's."""
    return str(read(folder / "topology.yaml")["vhost"])


def test_github(one_broker: RunningBroker, checkout: Path, tmp_path: Path) -> None:
    """A pull request gets one comment, main is applied, drift opens one issue, and its end closes it."""
    github = GitHub.beginning(tmp_path / "github")
    workflow = read(GITHUB)
    here = runner(one_broker, checkout, github.folder)
    for _ in range(2):
        assert here.github(workflow, "plan").code == 0
        assert list(github.state["comments"]) == ["1"]
    assert f"queue:{QUEUE}" in github.state["comments"]["1"]
    assert here.github(workflow, "apply").code == 0
    assert here.github(workflow, "plan").code == 0
    assert f"queue:{QUEUE}" not in github.state["comments"]["1"], "the comment is rewritten"

    assert here.github(workflow, "drift").code == 0
    assert github.state["issues"] == {}
    one_broker.api("DELETE", f"/api/queues/{vhost_of(checkout)}/{QUEUE}")
    for _ in range(2):
        assert here.github(workflow, "drift").code == 0
        assert list(github.state["issues"]) == ["1"]
    assert QUEUE in github.state["issues"]["1"]["body"]
    assert here.github(workflow, "apply").code == 0
    assert here.github(workflow, "drift").code == 0
    assert github.state["issues"]["1"]["state"] == "closed"


def test_github_fails_where_it_should(one_broker: RunningBroker, checkout: Path, tmp_path: Path) -> None:
    """A broken file, a refused login and an unreachable broker fail the job; they are never taken for drift."""
    github = GitHub.beginning(tmp_path / "github")
    workflow = read(GITHUB)
    here = runner(one_broker, checkout, github.folder)
    stranger = Runner(
        checkout, here.environment, {**here.contexts, "secrets.LETRADE_TOPO_PASSWORD": "wrong"}, here.programs
    )
    for job in ("plan", "apply", "drift"):
        assert stranger.github(workflow, job).code == 69
    (checkout / "topology.yaml").write_text("topology: 1\nname: [\n", encoding="utf-8")
    ran = here.github(workflow, "plan")
    assert ran.code == 65
    assert "::error file=topology.yaml,line=" in ran.output
    assert github.state == {"comments": {}, "issues": {}}


def test_gitlab(one_broker: RunningBroker, checkout: Path) -> None:
    """A merge request gets one note, main is applied, drift fails the job and shows as failed tests."""
    pipeline = read(GITLAB)
    with gitlab(TOKEN) as forge:
        here = runner(
            one_broker,
            checkout,
            LETRADE_TOPO_MANAGEMENT=one_broker.management_url,
            LETRADE_TOPO_USERNAME=one_broker.username,
            LETRADE_TOPO_PASSWORD=one_broker.password,
            LETRADE_TOPO_GITLAB_TOKEN=TOKEN,
            CI_API_V4_URL=forge.url,
            CI_PROJECT_ID="3",
            CI_MERGE_REQUEST_IID="9",
        )
        assert here.gitlab(pipeline, "validate").code == 0
        for _ in range(2):
            assert here.gitlab(pipeline, "plan").code == 0
            assert list(forge.notes) == [1]
        assert f"queue:{QUEUE}" in forge.notes[1]
        assert here.gitlab(pipeline, "apply").code == 0
        assert here.gitlab(pipeline, "drift").code == 0
        one_broker.api("DELETE", f"/api/queues/{vhost_of(checkout)}/{QUEUE}")
        assert here.gitlab(pipeline, "drift").code == 2
        assert "<failure" in (checkout / "drift.xml").read_text(encoding="utf-8")


def test_pre_commit(tmp_path: Path) -> None:
    """The hook's command passes a good file, and fails with the position for a bad one."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert re.search(hook["files"], "topology.yaml")
    assert hook["pass_filenames"] is False, "several files are several topologies, and `validate` takes one"
    program, *words = shlex.split(hook["entry"])
    assert program == "letrade-topo"
    tool = Tool(folder=tmp_path)
    write(tmp_path / "topology.yaml", orders())
    tool.run(*words, *hook["args"]).check(0)
    (tmp_path / "topology.yaml").write_text("topology: 1\n", encoding="utf-8")
    assert "topology.yaml:1:1" in tool.run(*words, *hook["args"]).check(65).out


@pytest.mark.parametrize(
    ("schema", "options", "recipe"),
    [
        ("github-workflows", (), GITHUB),
        ("github-workflows", (), RELEASE),
        ("gitlab-ci", ("--data-transform", "gitlab-ci"), GITLAB),
    ],
)
def test_form(schema: str, options: tuple[str, ...], recipe: Path) -> None:
    """The forges' own schemas take the recipes."""
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [str(program), "--builtin-schema", f"vendor.{schema}", *options, str(recipe)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("recipe", [GITHUB, RELEASE], ids=lambda path: path.stem)
def test_github_has_few_rights(recipe: Path) -> None:
    """No job has rights that it does not name, actions are pinned by digest, and no expression is put into a script."""
    workflow = read(recipe)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        # a job that says who it is, to publish, runs nothing of the repository: it has not even read it
        more = {"id-token", "attestations"} if name == "publish" else {"contents", "pull-requests", "issues"}
        assert set(job["permissions"]) <= more
        assert name == "publish" or job["permissions"]["contents"] == "read"
        assert name != "publish" or not any("run" in step for step in job["steps"])
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}"))
            assert "${{" not in step.get("run", ""), "a title or a branch could be a command"


def test_argo_cd() -> None:
    """The values of the Application render the chart, hooks and monitors included, as Argo CD asks for them."""
    application = read(CI / "argo-cd" / "application.yaml")
    helm = application["spec"]["sources"][0]["helm"]
    (parameter,) = helm["fileParameters"]
    manifests = (
        Chart(CHARTS / "letrade-topo")
        .template(helm["valuesObject"], "--set-file", f"{parameter['name']}={ROOT / 'topology.yaml'}")
        .manifests
    )
    assert {"Job", "PodMonitor", "Deployment", "CronJob"} <= {one["kind"] for one in manifests}
    assert application["spec"]["sources"][0]["targetRevision"] == _version()


def test_flux() -> None:
    """The values of the HelmRelease render the chart; the topology is a ConfigMap of somebody else's, and repaired."""
    source, release = yaml.safe_load_all((CI / "flux" / "helm-release.yaml").read_text(encoding="utf-8"))
    manifests = Chart(CHARTS / "letrade-topo").template(release["spec"]["values"]).manifests
    (controller,) = [one for one in manifests if one["kind"] == "Deployment"]
    assert "--mode=repair" in controller["spec"]["template"]["spec"]["containers"][0]["command"]
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    assert ("ConfigMap", "letrade-topo-topology") not in names
    assert not any(kind == "Job" for kind, _ in names)
    assert source["spec"]["ref"]["tag"] == _version()


def _version() -> str:
    chart = read(CHARTS / "letrade-topo" / "Chart.yaml")
    return str(chart["version"])
