"""What the schemas of Kubernetes do not check: enums, ports, references within a pod, the "restricted" standard.

kubernetes-validate takes `restartPolicy: Alwayz`, port 99999, `12Mib`, and a selector that selects nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.helm.helm import Manifest, pod_of

_ENUMS = {
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "validationActions": {"Deny", "Warn", "Audit"},
}
_QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
_PORT_NAME = re.compile(r"^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")
_LARGEST_PORT = 65_535
_VOLUME_KINDS = {
    "configMap",
    "emptyDir",
    "projected",
    "secret",
    "csi",
    "downwardAPI",
    "persistentVolumeClaim",
    "ephemeral",
}
"""Those that the "restricted" standard takes."""


def breaches(manifest: Manifest) -> list[str]:
    """Everything that is wrong with one manifest."""
    found = list(_enums(manifest, ""))
    if manifest["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}:
        found += _pod(manifest)
    if manifest["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
        wanted = manifest["spec"]["selector"]["matchLabels"].items()
        if not wanted <= pod_of(manifest)["metadata"]["labels"].items():
            found.append("selector does not select its own pods")
    return found


def restricted(manifest: Manifest, container_names: set[str] | None = None) -> list[str]:
    """What of a workload is not of the "restricted" Pod Security Standard, by container.

    Args:
        manifest: the workload.
        container_names: look at these alone.
    """
    spec = pod_of(manifest)["spec"]
    found = [f"{name}: true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if container_names is None:
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
        found += [f"volume of kind {kind}" for kind in kinds - _VOLUME_KINDS]
    pod_wide = spec.get("securityContext", {})
    for container in _containers(spec):
        if container_names is not None and container["name"] not in container_names:
            continue
        own = pod_wide | container.get("securityContext", {})
        checks = {
            "allowPrivilegeEscalation is not false": own.get("allowPrivilegeEscalation") is False,
            "runs as root": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
            "capabilities are not dropped": own.get("capabilities", {}).get("drop") == ["ALL"],
            "capabilities are added": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "no seccomp profile": own.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "privileged": not own.get("privileged", False),
            "has host ports": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {what}" for what, holds in checks.items() if not holds]
    return found


def _pod(manifest: Manifest) -> Iterator[str]:
    spec = pod_of(manifest)["spec"]
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    claims = [one["metadata"]["name"] for one in manifest["spec"].get("volumeClaimTemplates", [])]
    if len(volumes) != len(set(volumes)):
        yield f"two volumes of one name: {volumes}"
    names = [container["name"] for container in _containers(spec)]
    if len(names) != len(set(names)):
        yield f"two containers of one name: {names}"
    used = {mount["name"] for container in _containers(spec) for mount in container.get("volumeMounts", [])}
    if used - {*volumes, *claims}:
        yield f"mounts volumes that are not there: {used - {*volumes, *claims}}"
    if set(volumes) - used:
        yield f"volumes that nobody mounts: {set(volumes) - used}"
    for container in _containers(spec):
        yield from _container(container)
    for container in spec.get("initContainers", []):
        if "restartPolicy" in container and container["restartPolicy"] != "Always":
            yield f"{container['name']}: restartPolicy {container['restartPolicy']}"


def _container(container: Manifest) -> Iterator[str]:
    name = container["name"]
    ports = {port.get("name", ""): port["containerPort"] for port in container.get("ports", [])}
    for port_name, number in ports.items():
        if not 0 < number <= _LARGEST_PORT:
            yield f"{name}: port {number}"
        if port_name and not _PORT_NAME.match(port_name):
            yield f"{name}: port name {port_name}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        if port is not None and port not in ports and port not in ports.values():
            yield f"{name}: {probe} asks port {port}, which it does not have"
        if "exec" in container.get(probe, {}):
            yield f"{name}: {probe} runs a program; there is no shell in the image"
    for mount in container.get("volumeMounts", []):
        if "subPath" in mount:
            yield f"{name}: {mount['name']} by subPath, which is never updated"
    resources = container.get("resources", {})
    for amount in [*resources.get("requests", {}).values(), *resources.get("limits", {}).values()]:
        if not _QUANTITY.match(str(amount)):
            yield f"{name}: quantity {amount}"


def _enums(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _enums(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _enums(inner, name)
    elif name in _ENUMS and value not in _ENUMS[name]:
        yield f"{name}: {value}"


def _containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]
