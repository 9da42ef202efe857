"""The image: small and harmless by its file, and its steps make programs that run without root, shell or a disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.agents import make_key_folder
from tests.helm.helm import ROOT
from tests.image.dockerfile import Instruction, in_context, stages
from tests.ports import free_ports
from tests.topologies import loaded, orders, write

DOCKERFILE = ROOT / "agent" / "Dockerfile"
STAND_IN = ROOT / "agent" / "base.Dockerfile"
PREFIX = "/opt/letrade-topo"
USER = 65532
START_SECONDS = 60.0
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
READ_ONLY = """
for mount in $(cut -d' ' -f2 /proc/mounts); do mount -o remount,bind,ro "$mount" 2>/dev/null || true; done
for folder in / /tmp /var/tmp /run; do
    ! touch "$folder/x" 2>/dev/null || { echo "$folder can be written"; exit 99; }
done
exec "$@"
"""
"""What a container's runtime does with `readOnlyRootFilesystem`; then the user changes and rights are dropped."""


@pytest.mark.parametrize("file", [DOCKERFILE, STAND_IN], ids=lambda file: file.name)
def test_lint(file: Path) -> None:
    """hadolint has nothing to say."""
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_last_stage() -> None:
    """It only takes what was built: runs nothing, has no shell form, is nobody's root, and says which version it is."""
    *_, last = stages(DOCKERFILE)
    assert last[0].text == "$BASE"
    assert "\nARG BASE=gcr.io/distroless/python3-debian13:nonroot\n" in DOCKERFILE.read_text(encoding="utf-8")
    names = [one.name for one in last]
    assert not {"RUN", "ADD", "SHELL", "VOLUME"} & set(names)
    assert _text(last, "USER") == f"{USER}:{USER}"
    assert json.loads(_text(last, "ENTRYPOINT")) == []
    assert json.loads(_text(last, "CMD")) == ["letrade-agent", "run"]
    assert all(one.text.startswith("--from=build ") for one in last if one.name == "COPY")
    values = yaml.safe_load((ROOT / "helm" / "letrade-agent" / "values.yaml").read_text(encoding="utf-8"))
    assert values["securityContext"]["runAsUser"] == USER
    assert f"VERSION={values['image']['tag']}" in [one.text for one in last if one.name == "ARG"]


def test_no_time_of_a_file_is_in_the_image() -> None:
    """Bytecode that holds a time would make two builds two images, and be of no use where times are set."""
    build, last = stages(DOCKERFILE)
    steps = [one.text for one in build if one.name == "RUN"]
    assert all("--no-compile" in step for text in steps for step in text.split("&&") if " pip install" in step)
    compiled = [step for text in steps for step in text.split("&&") if "compileall" in step]
    assert compiled
    assert all(re.search(r"--invalidation-mode (un)?checked-hash", step) for step in compiled)
    (prefix,) = re.findall(r"PYTHONPYCACHEPREFIX=(\S+)", next(text for text in steps if "compileall" in text))
    assert f"PYTHONPYCACHEPREFIX={prefix}" in _text(last, "ENV").split()


@pytest.mark.wide
def test_context() -> None:
    """The build sees the two packages and what describes them, and neither tests nor keys."""
    files = in_context(ROOT)
    tops = {str(Path(*file.parts[:2])) if file.parts[0] == "agent" else file.parts[0] for file in files}
    assert tops == {
        *("pyproject.toml", "requirements.lock", "script", "README.md", "LICENSE"),
        *("letrade_topo", "agent/letrade_agent"),
    }
    assert [str(file) for file in files if file.parts[0] == "script"] == ["script/requirements"]
    assert not any("__pycache__" in file.parts for file in files)
    build, _ = stages(DOCKERFILE)
    for sources in (one.text.split()[:-1] for one in build if one.name == "COPY"):
        for source in sources:
            assert any(file.is_relative_to(source) for file in files), source


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the first stage makes, in a folder of its own: its COPY and RUN but for Debian's, with another prefix."""
    folder = tmp_path_factory.mktemp("image-")
    folder.chmod(0o755)
    source, prefix = folder / "src", folder / "opt"
    build, _ = stages(DOCKERFILE)
    context = in_context(ROOT)
    for *names, target in (one.text.split() for one in build if one.name == "COPY"):
        for file in (file for file in context if any(file.is_relative_to(name) for name in names)):
            place = source / target / file.relative_to(names[0]) if (ROOT / names[0]).is_dir() else source / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, place)
    # bytecode, too, is made of that Debian's Python; script/image builds and runs all of it
    steps = [one.text for one in build if one.name == "RUN" and not {"apt-get", "compileall"} & set(one.text.split())]
    script = (
        " && ".join(steps).replace("/tmp/", f"{folder}/").replace(PREFIX, str(prefix)).replace("--no-cache-dir ", "")
    )
    # The dependencies are those of this environment, but for one: installing them once more takes minutes.
    wanted = "python3 script/requirements agent claim-check otel"
    assert wanted in script
    script = script.replace(wanted, f"{wanted} | grep h11")
    settings = {"HOME": os.environ["HOME"], "PIP_NO_COMPILE": "1"}
    environment = {"PATH": os.defpath, **settings} | {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")
    }
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = prefix.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(_dependencies(folder), encoding="utf-8")
    yield prefix
    shutil.rmtree(folder)


@pytest.mark.wide
def test_programs_run(built: Path, tmp_path: Path) -> None:
    """Both programs run from what was built alone, and bring the data that they need."""
    environment = {"PATH": str(built / "bin"), "PYTHONDONTWRITEBYTECODE": "1"}
    for command in (
        ["letrade-topo", "validate", str(ROOT / "topology.yaml")],
        ["letrade-topo", "watch", "--help"],
        ["letrade-agent", "--version"],
    ):
        done = subprocess.run(
            [str(built / "bin" / command[0]), *command[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    manifest = "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n"
    values = ["upstream=[amqps://rabbit]", "keys.secret=k", "login.certificateSecret=c"]
    patched = subprocess.run(
        [str(built / "bin" / "letrade-topo"), "k8s", "patch", "--service", "a", *(f"--set={one}" for one in values)],
        input=manifest,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "letrade-agent" in patched.stdout, patched.stderr
    assert not (built / "bin" / "pip").exists()


@pytest.mark.wide
@pytest.mark.skipif(os.geteuid() != 0, reason="making the root file system read-only takes root")
def test_agent_without_root_shell_or_disk(built: Path, tmp_path: Path) -> None:
    """The agent starts as user 65532, every file system read-only, without capabilities, PATH its own folder."""
    temporary = Path(tempfile.gettempdir())
    for folder in {tmp_path, *tmp_path.parents, *built.parents}:
        if temporary in folder.parents:
            folder.chmod(0o755)
    if obstacle := _obstacle():
        pytest.skip(f"this machine keeps another user from this Python, or root from mounts of its own: {obstacle}")
    password = tmp_path / "password"
    password.write_text("secret", encoding="utf-8")
    topology = tmp_path / "topology.yaml"
    document = orders()
    write(topology, document)
    keys = make_key_folder(tmp_path / "keys", loaded(document))
    password.chmod(0o600)
    for path in (password, keys, *keys.rglob("*")):
        os.chown(path, USER, USER)
    listen, admin = free_ports(2)
    agent = [
        *(str(built / "bin" / "letrade-agent"), "run", "--service=shop", f"--topology={topology}", f"--keys={keys}"),
        *("--upstream=amqps://127.0.0.1:1", f"--password-file={password}"),
        *(f"--listen=127.0.0.1:{listen}", f"--admin=127.0.0.1:{admin}"),
    ]
    drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all"]
    drop += ["--inh-caps=-all", "--no-new-privs"]
    variables = [f"PATH={built / 'bin'}", "PYTHONDONTWRITEBYTECODE=1"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*DIES_WITH_US, "unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", *drop, "env", "-i", *variables, *agent],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _started(admin):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "the agent does not start"
            time.sleep(0.05)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        assert f"Uid:\t{USER}\t{USER}" in status
        assert "CapEff:\t0000000000000000" in status
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_SECONDS) == 0, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()


def _obstacle() -> str:
    """Why nobody but its owner can run this environment's Python here, in a mount namespace; empty: it can be done."""
    look = f"import os; os.listdir({sysconfig.get_path('purelib')!r})"
    command = ["unshare", "--mount", "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    done = subprocess.run([*command, sys.executable, "-c", look], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def _dependencies(folder: Path) -> str:
    """A folder with everything that this environment has but for the two packages themselves."""
    here = folder / "dependencies"
    here.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "letrade" not in path.name and path.suffix != ".pth" and not path.name.startswith("h11"):
            (here / path.name).symlink_to(path)
    return f"{here}\n"


def _started(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/startup", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def _text(stage: list[Instruction], name: str) -> str:
    (found,) = [one.text for one in stage if one.name == name]
    return found
