"""Pods that their agent would not protect. `helm/letrade-agent/templates/_inject.tpl` has the same rules.

Knows a pod's spec and the sidecar's values; a problem is a path into the spec and a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from letrade_topo.k8s.sidecar import ADMIN_PORT_NAME, NAME, PRIVATE_VOLUMES, VOLUME_PREFIX, private_secrets
from letrade_topo.k8s.values import Values

DEFAULT_GRACE_SECONDS = 30
"""Kubernetes' own, where a pod says nothing."""

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
_Container = tuple[Path, Mapping[str, Any]]


def problems(spec: Mapping[str, Any], values: Values) -> Iterator[Problem]:
    """What stands against this pod, each with the path to the place in its spec."""
    if spec.get("hostNetwork"):
        yield (
            ("hostNetwork",),
            "hostNetwork: every process of the node could speak with the signature of the service",
        )
    for shared in ("hostPID", "shareProcessNamespace"):
        if spec.get(shared):
            yield (shared,), f"{shared}: other containers could read the agent's keys"
    if _inner(spec, "os").get("name") == "windows":
        yield ("os", "name"), "os.name: windows; the agent is a program for Linux"
    yield from _grace(spec, values)
    yield from _volumes(spec, values)
    for path, container in _containers(spec):
        yield from _ports(path, container, values)
        yield from _mounts(path, container)
        yield from _environment(path, container, private_secrets(values))
    for number, container in enumerate(_list(spec, "containers")):
        if container.get("name") == NAME:
            yield (
                ("containers", number),
                f"container {NAME}: the agent stands among `containers`, where it would stop together with the "
                "service; remove it there",
            )


def _grace(spec: Mapping[str, Any], values: Values) -> Iterator[Problem]:
    given = spec.get("terminationGracePeriodSeconds")
    seconds = DEFAULT_GRACE_SECONDS if given is None else given
    drain: str = values["drainTimeout"]
    if isinstance(seconds, int) and int(drain.removesuffix("s")) >= seconds:
        yield (
            ("terminationGracePeriodSeconds",),
            f"terminationGracePeriodSeconds: {seconds} s are not more than the agent's drainTimeout of {drain}",
        )


def _volumes(spec: Mapping[str, Any], values: Values) -> Iterator[Problem]:
    private = private_secrets(values)
    for number, volume in enumerate(_list(spec, "volumes")):
        name = str(volume.get("name"))
        if name.startswith(VOLUME_PREFIX):
            continue
        secrets = [_inner(volume, "secret").get("secretName")]
        secrets += [_inner(source, "secret").get("name") for source in _list(_inner(volume, "projected"), "sources")]
        for secret in secrets:
            if secret in private:
                yield ("volumes", number), f"volume {name}: holds the Secret {secret}, which only the agent may have"


def _ports(path: Path, container: Mapping[str, Any], values: Values) -> Iterator[Problem]:
    taken = (values["listenPort"], values["admin"]["port"])
    for number, port in enumerate(_list(container, "ports")):
        if port.get("containerPort") in taken or port.get("name") == ADMIN_PORT_NAME:
            yield (
                (*path, "ports", number),
                f"container {container.get('name')}: its port {port.get('containerPort')} is the agent's",
            )


def _mounts(path: Path, container: Mapping[str, Any]) -> Iterator[Problem]:
    for number, mount in enumerate(_list(container, "volumeMounts")):
        if mount.get("name") in PRIVATE_VOLUMES:
            yield (
                (*path, "volumeMounts", number),
                f"container {container.get('name')}: mounts {mount['name']}, which only the agent may have",
            )


def _environment(path: Path, container: Mapping[str, Any], private: frozenset[str]) -> Iterator[Problem]:
    found = [
        ((*path, "env", number), _inner(_inner(one, "valueFrom"), "secretKeyRef").get("name"))
        for number, one in enumerate(_list(container, "env"))
    ]
    found += [
        ((*path, "envFrom", number), _inner(one, "secretRef").get("name"))
        for number, one in enumerate(_list(container, "envFrom"))
    ]
    for place, secret in found:
        if secret in private:
            yield (
                place,
                f"container {container.get('name')}: takes the Secret {secret} into its environment, which only the "
                "agent may have",
            )


def _containers(spec: Mapping[str, Any]) -> Iterator[_Container]:
    for kind in ("initContainers", "containers"):
        for number, container in enumerate(_list(spec, kind)):
            if container.get("name") != NAME:
                yield (kind, number), container


def _list(mapping: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = mapping.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _inner(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = mapping.get(name)
    return found if isinstance(found, dict) else {}
