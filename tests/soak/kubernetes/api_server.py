"""etcd and kube-apiserver as processes on loopback, and a client that says what the server answered.

There is no controller, scheduler or kubelet: what is stored stays as it is. `tests.soak.kubernetes.jobs` lets Jobs end.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helm.helm import HELM, ROOT, Chart, HelmRun, Manifest, pod_of
from tests.ports import free_ports

STRICT = {"fieldValidation": "Strict"}
REHEARSED = {**STRICT, "dryRun": "All"}
MANAGER = "tests"
_BUILD_SECONDS = 7_200
_START_SECONDS = 180
_END_SECONDS = 60
_ANSWER_SECONDS = 60
_HELM_SECONDS = 300
_LOOK_SECONDS = 0.2

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KubeAnswer:
    """What the API server said.

    Args:
        code: of HTTP.
        body: an object, or a Status with the reason.
        warnings: the texts of its warnings.
    """

    code: int
    body: Manifest
    warnings: tuple[str, ...] = ()

    def check(self, *codes: int) -> Manifest:
        """Assert that it ended so, by default well; the body."""
        assert self.code in (codes or (200, 201)), self.reason
        return self.body

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return f"{self.code}: {self.body.get('message', self.body)}"


@dataclass(slots=True)
class KubeApiServer:
    """A running API server.

    Args:
        version: as it says itself.
        url: where it listens.
        folder: with its certificate and the kubeconfig.
        token: of an administrator.
        ready_seconds: how long it took to start.
    """

    version: str
    url: str
    folder: Path
    token: str = field(repr=False)
    ready_seconds: float = 0.0
    _kinds: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    _session: requests.Session = field(default_factory=requests.Session)

    def ask(
        self, method: str, path: str, query: Query | None = None, body: str | Manifest | None = None, of: str = "json"
    ) -> KubeAnswer:
        """One call.

        Args:
            method, path, query: of HTTP.
            body: text, or an object that goes as JSON.
            of: the kind of the body, behind `application/`.
        """
        answer = self._session.request(
            method,
            self.url + path,
            params=query,
            data=(body if isinstance(body, str) else json.dumps(body)).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": f"application/{of}"},
            verify=str(self.folder / "certificates" / "apiserver.crt"),
            timeout=_ANSWER_SECONDS,
        )
        found = answer.json() if "json" in answer.headers.get("Content-Type", "") else {"message": answer.text}
        given = answer.headers.get("Warning", "")
        return KubeAnswer(answer.status_code, found, tuple(one for one in given.split('"')[1::2]))

    def path_of(self, manifest: Manifest, namespace: str, *, one: bool = True) -> str:
        """Where an object is, or those of its kind are."""
        version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._kinds:
            for found in self.ask("GET", base).check()["resources"]:
                if "/" not in found["name"]:
                    self._kinds[version, found["kind"]] = (found["name"], found["namespaced"])
        plural, is_namespaced = self._kinds[version, kind]
        within = f"/namespaces/{metadata.get('namespace') or namespace}" if is_namespaced else ""
        return f"{base}{within}/{plural}" + (f"/{metadata['name']}" if one else "")

    def apply(
        self,
        manifest: Manifest | str,
        namespace: str = "default",
        *,
        query: Query = STRICT,
        manager: str = MANAGER,
        force: bool = True,
    ) -> KubeAnswer:
        """Apply it on the server's side, a text as it is; what has a `generateName` alone is created."""
        parsed = yaml.safe_load(manifest) if isinstance(manifest, str) else manifest
        text = manifest if isinstance(manifest, str) else json.dumps(manifest, ensure_ascii=False)
        query = {**query, "fieldManager": manager}
        if "name" not in parsed["metadata"]:
            return self.ask("POST", self.path_of(parsed, namespace, one=False), query, text, "yaml")
        query["force"] = json.dumps(force)
        return self.ask("PATCH", self.path_of(parsed, namespace), query, text, "apply-patch+yaml")

    def get(self, manifest: Manifest, namespace: str = "default") -> KubeAnswer:
        """How the server has it."""
        return self.ask("GET", self.path_of(manifest, namespace))

    def names(self, api_version: str, kind: str, namespace: str) -> dict[str, Manifest]:
        """All objects of a kind in a namespace, by name."""
        some = {"apiVersion": api_version, "kind": kind, "metadata": {}}
        found = self.ask("GET", self.path_of(some, namespace, one=False)).check()
        return {one["metadata"]["name"]: one for one in found["items"]}

    def wait_for(self, versions: Iterable[str]) -> None:
        """Until it serves these versions of groups, `GROUP/VERSION`."""
        for version in set(versions):
            end = time.monotonic() + _START_SECONDS
            while self.ask("GET", f"/apis/{version}").code != requests.codes.ok:
                assert time.monotonic() < end, f"{version} is not served"
                time.sleep(_LOOK_SECONDS)

    def make_namespace(self, name: str, **labels: str) -> str:
        """A namespace with the service account that its pods have; what is there already stays."""
        given = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": given}}).check()
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}, name).check()
        return name

    def helm(self, *arguments: str, values: Manifest | None = None) -> HelmRun:
        """Run Helm at this server."""
        given = [*arguments, "--values", "-"] if values is not None else list(arguments)
        done = subprocess.run(
            [str(HELM), *given],
            input=json.dumps(values, ensure_ascii=False) if values is not None else "",
            capture_output=True,
            text=True,
            timeout=_HELM_SECONDS,
            check=False,
            env=dict(os.environ)
            | {"KUBECONFIG": str(self.folder / "kubeconfig"), "KUBECACHEDIR": str(self.folder / "kube-cache")}
            | {f"HELM_{kind}_HOME": str(self.folder / "helm") for kind in ("CACHE", "CONFIG", "DATA")},
        )
        return HelmRun(done.returncode, done.stdout, done.stderr)

    def manifests(self, chart: Chart, release: str, namespace: str, values: Manifest) -> list[Manifest]:
        """What Helm would send, as it sees this server."""
        minor = self.version.removeprefix("v")
        return chart.template(values, "--namespace", namespace, version=minor, release=release).manifests


def program(version: str) -> Path:
    """The server of this version; built where it is not there yet."""
    done = subprocess.run(
        [str(ROOT / "script" / "kube-apiserver"), version],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_BUILD_SECONDS,
        check=True,
    )
    return Path(done.stdout.strip())


@contextmanager
def running(server: Path, folder: Path) -> Iterator[KubeApiServer]:
    """The server with an etcd of its own; both end with the block.

    Args:
        server: the program.
        folder: an empty one, for data, certificates and logs.
    """
    began = time.monotonic()
    client_port, peer_port, port = free_ports(3)
    token = secrets.token_hex(16)
    key = folder / "service-accounts.key"
    _write_key(key)
    _write_privately(folder / "tokens.csv", f'{token},administrator,1,"system:masters"\n')
    store = f"http://127.0.0.1:{client_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    with ExitStack() as stack:
        stack.enter_context(
            _process(
                folder / "etcd.log",
                [
                    "etcd",
                    f"--data-dir={folder / 'etcd'}",
                    f"--listen-client-urls={store}",
                    f"--advertise-client-urls={store}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=default={peer}",
                ],
            )
        )
        process = stack.enter_context(
            _process(
                folder / "kube-apiserver.log",
                [
                    str(server),
                    f"--etcd-servers={store}",
                    "--bind-address=127.0.0.1",
                    "--advertise-address=127.0.0.1",
                    "--endpoint-reconciler-type=none",  # the others want an address that is not of loopback
                    f"--secure-port={port}",
                    f"--cert-dir={folder / 'certificates'}",
                    f"--token-auth-file={folder / 'tokens.csv'}",
                    "--authorization-mode=RBAC",
                    f"--service-account-key-file={key}",
                    f"--service-account-signing-key-file={key}",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    "--service-cluster-ip-range=10.96.0.0/16",
                ],
            )
        )
        made = KubeApiServer("", f"https://127.0.0.1:{port}", folder, token)
        _wait(made, process)
        made.version = made.ask("GET", "/version").check()["gitVersion"]
        made.ready_seconds = time.monotonic() - began
        _write_privately(folder / "kubeconfig", _kubeconfig(made))
        yield made


def _wait(server: KubeApiServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with {process.returncode}: {_tail(server.folder)}"
        try:
            if server.ask("GET", "/readyz").code == requests.codes.ok:
                return
        except (OSError, requests.RequestException):
            pass
        time.sleep(_LOOK_SECONDS)
    raise AssertionError(f"not ready after {_START_SECONDS} s: {_tail(server.folder)}")


def _tail(folder: Path) -> str:
    return (folder / "kube-apiserver.log").read_text(encoding="utf-8", errors="replace")[-2_000:]


@contextmanager
def _process(log: Path, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _write_key(path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write_privately(path, text.decode())


def _write_privately(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _kubeconfig(server: KubeApiServer) -> str:
    authority = str(server.folder / "certificates" / "apiserver.crt")
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": server.url, "certificate-authority": authority}}],
            "users": [{"name": "tests", "user": {"token": server.token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
    )


def pod_made_by(workload: Manifest) -> Manifest:
    """The pod that a controller would make of a workload."""
    template = pod_of(workload)
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{workload['metadata'].get('name', 'generated')}-0",
            "labels": metadata.get("labels") or {},
            "annotations": metadata.get("annotations") or {},
        },
        "spec": template["spec"],
    }
