"""Values of the chart `letrade-topo` that tests render: those of its `ci` folder, and every one that is refused."""

from __future__ import annotations

from typing import Any

import yaml

from tests.helm.helm import CHARTS
from tests.helm.sidecars import changed

Values = dict[str, Any]
FOLDER = CHARTS / "letrade-topo"


def _read(name: str) -> Values:
    found: Values = yaml.safe_load((FOLDER / "ci" / f"{name}-values.yaml").read_text(encoding="utf-8"))
    return found


LEAST, EVERYTHING, NOTHING = (_read(name) for name in ("least", "everything", "nothing"))
USED: dict[str, Values] = {
    "least": LEAST,
    "everything": EVERYTHING,
    "nothing": NOTHING,
    "everything with Helm's hooks": changed(EVERYTHING, {"apply": {"hooks": "helm"}}),
    "everything without hooks": changed(EVERYTHING, {"apply": {"hooks": "none"}}),
    "everything, and the controller applies": changed(
        EVERYTHING, {"apply": {"enabled": False}, "controller": {"mode": "repair"}}
    ),
}
PRIVATE_KEY = '{"keys": [{"kty": "EC", "kid": "strategy-1", "x": "AA", "y": "AA", "d": "AA"}]}'

REFUSED: dict[str, tuple[Values, str]] = {
    "no broker": ({"broker": {"management": ""}}, "broker.management: missing"),
    "plain http": ({"broker": {"management": "http://rabbit:15672"}}, "broker.management: plain text"),
    "a password in the URL": ({"broker": {"management": "https://a:b@rabbit:15671"}}, "holds a user name"),
    "no user": ({"broker": {"username": ""}}, "broker.username: missing"),
    "no password": ({"broker": {"passwordSecret": ""}}, "broker.passwordSecret: missing"),
    "two authorities": ({"broker": {"caSecret": "a", "caConfigMap": "b"}}, "broker: both"),
    "no topology": ({"topology": {"content": ""}}, "topology.content: missing"),
    "a topology that goes nowhere": ({"topology": {"create": False}}, "they would go nowhere"),
    "a topology that is nowhere": (
        {"topology": {"create": False, "content": "", "overlays": {}}},
        "topology.configMap: missing",
    ),
    "a topology that is none": ({"topology": {"content": "a: ["}}, "topology.content: not YAML"),
    "plain text": ({"topology": {"content": "security: {tls: {required: false}}"}}, "allow: [plain-text]"),
    "plain text by an overlay": (
        {"topology": {"overlays": {"a.yaml": "security: {tls: {required: false}}", "b.yaml": "name: b"}}},
        "allow: [plain-text]",
    ),
    "overlays too large": ({"topology": {"overlays": {"a.yaml": "#" * 1_000_001}}}, "1,000,000 bytes"),
    "a topology too large": ({"topology": {"content": "#" * 1_000_001}}, "1,000,000 bytes"),
    "keys that are none": ({"publicKeys": {"content": "[]"}}, "not a JSON Web Key Set"),
    "a private key": ({"publicKeys": {"content": PRIVATE_KEY}}, "strategy-1 is a private key"),
    "latest": ({"image": {"tag": "latest"}}, "allow: [any-image]"),
    "nowhere to go": ({"networkPolicy": {"broker": []}}, "networkPolicy.broker: missing"),
    "every pod protected": ({"networkPolicy": {"protectBroker": {"enabled": True}}}, "protectBroker.podSelector"),
    "two who apply": ({"controller": {"mode": "repair"}}, "controller.mode: repair, beside the apply Job"),
    "no issuer": ({"certificates": {"enabled": True, "services": [{"service": "a"}]}}, "certificates: no issuerRef"),
    "no store": ({"externalSecrets": {"enabled": True}}, "externalSecrets: no secretStoreRef"),
    "a password that comes too late": (
        {
            "externalSecrets": {
                "enabled": True,
                "secretStoreRef": {"name": "vault"},
                "items": [{"name": "rabbit-administrator", "remoteKey": "rabbit"}],
            }
        },
        "apply.hooks=none",
    ),
}
"""Changes of LEAST that are refused, and words of the reason."""

MISSHAPEN: dict[str, tuple[Values, str]] = {
    "an unknown value": ({"contoller": {}}, "contoller"),
    "an unknown inner value": ({"apply": {"hook": "helm"}}, "hook"),
    "an unknown hook": ({"apply": {"hooks": "flux"}}, "hooks"),
    "an unknown allowance": ({"apply": {"allow": ["everything"]}}, "allow"),
    "an unknown mode": ({"controller": {"mode": "fix"}}, "mode"),
    "an interval without unit": ({"controller": {"interval": "60"}}, "interval"),
    "a port too large": ({"controller": {"port": 99999}}, "port"),
    "no controller at all": ({"controller": {"replicas": 0}}, "replicas"),
    "a schedule that is none": ({"drift": {"schedule": "often"}}, "schedule"),
    "a quantity that is none": ({"resources": {"limits": {"memory": "12Mib"}}}, "memory"),
    "a label of the chart's own": ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels"),
    "a peer that is none": ({"networkPolicy": {"broker": [{"podSelektor": {}}]}}, "podSelektor"),
    "an unknown way to render": ({"monitoring": {"render": "maybe"}}, "render"),
    "a peer that is nobody": ({"networkPolicy": {"metricsFrom": [{}]}}, "metricsFrom"),
    "actions that exclude each other": (
        {"admissionPolicy": {"validationActions": ["Deny", "Warn"]}},
        "validationActions",
    ),
    "an unknown action": ({"admissionPolicy": {"validationActions": ["Refuse"]}}, "validationActions"),
    "a text for a switch": ({"apply": {"enabled": "false"}}, "enabled"),
    "a default taken away": ({"drift": {"schedule": None}}, "schedule"),
}
"""Changes of LEAST that the schema refuses, and the key that it names."""
