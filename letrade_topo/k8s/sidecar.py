"""The sidecar as YAML text: what `helm/letrade-agent/templates/_sidecar.tpl` renders, byte for byte.

Lines come without indentation; who places them gives it. Texts are quoted as Go's `%q` does, because that is what the
chart uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from letrade_topo.k8s.values import Values

NAME = "letrade-agent"
VOLUME_PREFIX = "letrade-agent-"
ADMIN_PORT_NAME = "agent-admin"
PRIVATE_VOLUMES = frozenset({"letrade-agent-keys", "letrade-agent-login"})
AGENT_LABEL = "letrade-topo.io/agent"
SERVICE_LABEL = "letrade-topo.io/service"

_FOLDER = "/etc/letrade-agent"
_READABLE_BY_ALL = 0o444
_READABLE_BY_GROUP = 0o440
"""The pod's fsGroup is the group; nobody else may read what is secret."""


def quote(text: str) -> str:
    """As YAML in double quotes, as Go's `%q` writes it."""
    return '"' + "".join(_quoted(character) for character in text) + '"'


def container(values: Values) -> list[str]:
    """The entry of `initContainers`, which has to be the first."""
    image = values["image"]
    return [
        f"- name: {NAME}",
        f"  image: {quote(image_reference(image))}",
        f"  imagePullPolicy: {image['pullPolicy']}",
        "  restartPolicy: Always",
        '  command: ["letrade-agent", "run"]',
        "  args:",
        *(f"    - {quote(argument)}" for argument in _arguments(values)),
        *_environment(values),
        "  ports:",
        f"    - name: {ADMIN_PORT_NAME}",
        f"      containerPort: {values['admin']['port']}",
        "      protocol: TCP",
        *_probe("startupProbe", "/startup", values),
        *_probe("livenessProbe", "/livez", values),
        *(_probe("readinessProbe", "/readyz", values) if values["readinessProbe"]["enabled"] else ()),
        "  terminationMessagePolicy: FallbackToLogsOnError",
        *_security_context(values["securityContext"]["runAsUser"]),
        *_resources(values["resources"]),
        "  volumeMounts:",
        *(
            f"    - {{name: {VOLUME_PREFIX}{name}, mountPath: {_FOLDER}/{name}, readOnly: true}}"
            for name, _, _ in _volumes(values)
        ),
    ]


def volumes(values: Values) -> list[str]:
    """The entries of `volumes`."""
    lines: list[str] = []
    for name, mode, sources in _volumes(values):
        lines += [
            f"- name: {VOLUME_PREFIX}{name}",
            "  projected:",
            f"    defaultMode: {mode}",
            "    sources:",
            *(f"      {line}" for source in sources for line in source),
        ]
    return lines


def labels(values: Values) -> dict[str, str]:
    """Labels of the pod, with their values as YAML text."""
    return {AGENT_LABEL: quote("true"), SERVICE_LABEL: quote(values["service"])}


def image_reference(image: Values) -> str:
    """The image, by its digest if that is given."""
    path = f"{image['registry']}/{image['repository']}" if image["registry"] else str(image["repository"])
    if image["digest"]:
        return f"{path}@{image['digest']}"
    return f"{path}:{image['tag']}" if image["tag"] else path


def private_secrets(values: Values) -> frozenset[str]:
    """Names of the Secrets that no other container may have."""
    login = values["login"]
    named = (
        values["keys"]["secret"],
        login["certificateSecret"],
        login["passwordSecret"],
        values["claimCheck"]["secret"],
        values["traces"]["secret"],
    )
    return frozenset(filter(None, named))


def _arguments(values: Values) -> Iterator[str]:
    login, admin = values["login"], values["admin"]
    yield f"--service={values['service']}"
    yield f"--upstream={','.join(values['upstream'])}"
    yield f"--topology={_FOLDER}/topology/{values['topology']['key']}"
    if values["keys"]["secret"]:
        yield f"--keys={_FOLDER}/keys"
    if login["certificateSecret"]:
        yield f"--cert-file={_FOLDER}/login/tls.crt"
        yield f"--key-file={_FOLDER}/login/tls.key"
    else:
        yield f"--password-file={_FOLDER}/login/password"
    if login["username"]:
        yield f"--username={login['username']}"
    if values["ca"]["secret"] or values["ca"]["configMap"]:
        yield f"--ca-file={_FOLDER}/ca/ca.crt"
    if values["clientPassword"]["secret"]:
        yield f"--local-password-file={_FOLDER}/client/password"
    yield f"--listen=127.0.0.1:{values['listenPort']}"
    yield f"--admin={'[::]' if admin['host'] == '::' else admin['host']}:{admin['port']}"
    yield f"--undeclared={values['undeclared']}"
    yield f"--declares={values['declares']}"
    yield f"--retry={values['retry']}"
    yield f"--drain-timeout={values['drainTimeout']}"
    yield f"--log-format={values['logFormat']}"


def _environment(values: Values) -> list[str]:
    topology = values["topology"]
    variables: list[tuple[str, str]] = []
    if topology["overlays"]:
        variables.append(
            ("LETRADE_TOPO_OVERLAY", ":".join(f"{_FOLDER}/topology/{key}" for key in topology["overlays"]))
        )
    variables += [(f"LETRADE_TOPO_VAR_{name.upper()}", text) for name, text in sorted(topology["variables"].items())]
    variables += sorted(values["env"].items())
    lines = _given(variables)
    claim_check, traces = values["claimCheck"], values["traces"]
    for name in claim_check["variables"] if claim_check["secret"] else ():
        lines += _from_secret(name, claim_check["secret"])
    if traces["endpoint"]:
        lines += _given(
            [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", traces["endpoint"]),
                ("OTEL_TRACES_SAMPLER", traces["sampler"]),
                ("OTEL_TRACES_SAMPLER_ARG", traces["ratio"]),
            ]
        )
        lines += _from_secret("OTEL_EXPORTER_OTLP_HEADERS", traces["secret"]) if traces["secret"] else []
    return ["  env:", *lines] if lines else []


def _given(variables: list[tuple[str, str]]) -> list[str]:
    return [line for name, text in variables for line in (f"    - name: {quote(name)}", f"      value: {quote(text)}")]


def _from_secret(name: str, secret: str) -> list[str]:
    """A variable that is an entry of a Secret, of the same name."""
    return [
        f"    - name: {quote(name)}",
        "      valueFrom:",
        "        secretKeyRef:",
        f"          name: {quote(secret)}",
        f"          key: {quote(name)}",
    ]


def _probe(name: str, path: str, values: Values) -> list[str]:
    return [
        f"  {name}:",
        f"    httpGet: {{path: {path}, port: {ADMIN_PORT_NAME}}}",
        f"    periodSeconds: {values[name]['periodSeconds']}",
        "    timeoutSeconds: 2",
        f"    failureThreshold: {values[name]['failureThreshold']}",
    ]


def _security_context(user: int) -> list[str]:
    """What the "restricted" Pod Security Standard wants, and a root folder that cannot be written."""
    return [
        "  securityContext:",
        "    runAsNonRoot: true",
        f"    runAsUser: {user}",
        f"    runAsGroup: {user}",
        "    readOnlyRootFilesystem: true",
        "    allowPrivilegeEscalation: false",
        "    privileged: false",
        '    capabilities: {drop: ["ALL"]}',
        "    seccompProfile: {type: RuntimeDefault}",
    ]


def _resources(resources: Values) -> list[str]:
    kinds = [kind for kind in ("requests", "limits") if resources.get(kind)]
    lines = ["  resources:"] if kinds else []
    for kind in kinds:
        lines.append(f"    {kind}:")
        lines += [f"      {name}: {quote(quantity)}" for name, quantity in sorted(resources[kind].items())]
    return lines


_Volume = tuple[str, int, list[list[str]]]


def _volumes(values: Values) -> Iterator[_Volume]:
    """Name, mode and sources of each volume; whole folders, because a `subPath` is not updated when a key rotates."""
    topology, keys, login, ca = values["topology"], values["keys"], values["login"], values["ca"]
    files = [(key, key) for key in (topology["key"], *topology["overlays"])]
    yield "topology", _READABLE_BY_ALL, [_source("configMap", topology["configMap"], files)]
    if keys["secret"]:
        public = _source("configMap", keys["publicConfigMap"], [(keys["publicKey"], "jwks.json")])
        yield "keys", _READABLE_BY_GROUP, [_source("secret", keys["secret"]), public]
    if login["certificateSecret"]:
        files = [("tls.crt", "tls.crt"), ("tls.key", "tls.key")]
        yield "login", _READABLE_BY_GROUP, [_source("secret", login["certificateSecret"], files)]
    else:
        files = [(login["passwordKey"], "password")]
        yield "login", _READABLE_BY_GROUP, [_source("secret", login["passwordSecret"], files)]
    if ca["secret"] or ca["configMap"]:
        kind = "secret" if ca["secret"] else "configMap"
        yield "ca", _READABLE_BY_ALL, [_source(kind, ca["secret"] or ca["configMap"], [(ca["key"], "ca.crt")])]
    client: dict[str, Any] = values["clientPassword"]
    if client["secret"]:
        yield "client", _READABLE_BY_GROUP, [_source("secret", client["secret"], [(client["key"], "password")])]


def _source(kind: str, name: str, files: Sequence[tuple[str, str]] = ()) -> list[str]:
    lines = [f"- {kind}:", f"    name: {quote(name)}"]
    if files:
        lines.append("    items:")
        lines += [f"      - {{key: {quote(key)}, path: {quote(path)}}}" for key, path in files]
    return lines


def _quoted(character: str) -> str:
    if character.isascii() and character.isprintable():
        return json.dumps(character)[1:-1]
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"
