"""Shapes of objects that Kubernetes does not have itself; kubernetes-validate only warns of them.

Written from the documentation of Prometheus' operator (monitoring.coreos.com/v1), cert-manager (v1) and External
Secrets Operator (v1); only what the chart uses.
"""

from __future__ import annotations

from typing import Any

Shape = dict[str, Any]
_TEXT: Shape = {"type": "string", "minLength": 1}
_DURATION: Shape = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
_SELECTOR: Shape = {"type": "object", "required": ["matchLabels"]}


def _object(required: list[str], **properties: Shape) -> Shape:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def _list(items: Shape) -> Shape:
    return {"type": "array", "minItems": 1, "items": items}


_RULE: Shape = {
    "oneOf": [
        _object(
            ["alert", "expr", "labels", "annotations"],
            alert={"type": "string", "pattern": "^[A-Z][A-Za-z0-9]+$"},
            expr=_TEXT,
            **{"for": _DURATION, "keep_firing_for": _DURATION},
            labels={"type": "object", "required": ["severity"], "additionalProperties": _TEXT},
            annotations={"type": "object", "required": ["summary", "runbook_url"], "additionalProperties": _TEXT},
        ),
        _object(["record", "expr"], record=_TEXT, expr=_TEXT, labels={"type": "object", "additionalProperties": _TEXT}),
    ]
}

SHAPES: dict[str, tuple[str, Shape]] = {
    "PodMonitor": (
        "monitoring.coreos.com/v1",
        _object(
            ["selector", "podMetricsEndpoints"],
            selector=_SELECTOR,
            namespaceSelector=_object([], any={"const": True}, matchNames=_list(_TEXT)),
            podTargetLabels=_list(_TEXT),
            sampleLimit={"type": "integer"},
            podMetricsEndpoints=_list(_object(["port", "path"], port=_TEXT, path=_TEXT, interval=_DURATION)),
        ),
    ),
    "PrometheusRule": (
        "monitoring.coreos.com/v1",
        _object(
            ["groups"], groups=_list(_object(["name", "rules"], name=_TEXT, interval=_DURATION, rules=_list(_RULE)))
        ),
    ),
    "Certificate": (
        "cert-manager.io/v1",
        _object(
            ["secretName", "issuerRef", "commonName"],
            secretName=_TEXT,
            commonName={"type": "string", "maxLength": 64},
            duration=_DURATION,
            renewBefore=_DURATION,
            usages=_list({"enum": ["client auth", "digital signature", "server auth", "key encipherment"]}),
            privateKey=_object(
                ["rotationPolicy"],
                algorithm={"enum": ["ECDSA", "RSA", "Ed25519"]},
                size={"enum": [256, 384, 521]},
                rotationPolicy={"const": "Always"},
            ),
            issuerRef=_object(["name", "kind"], name=_TEXT, kind=_TEXT, group=_TEXT),
        ),
    ),
    "ExternalSecret": (
        "external-secrets.io/v1",
        _object(
            ["secretStoreRef", "target", "dataFrom"],
            refreshPolicy={"enum": ["Periodic", "OnChange", "CreatedOnce"]},
            refreshInterval=_DURATION,
            secretStoreRef=_object(["name"], name=_TEXT, kind={"enum": ["SecretStore", "ClusterSecretStore"]}),
            target=_object(["name"], name=_TEXT, creationPolicy={"enum": ["Owner", "Orphan", "Merge", "None"]}),
            dataFrom=_list(_object(["extract"], extract=_object(["key"], key=_TEXT))),
        ),
    ),
}
"""By kind: the version of its API, and the shape of its `spec`."""
