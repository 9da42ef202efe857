"""Values of the sidecar that tests render: least, most, and every one that is refused."""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]

LEAST: Values = {
    "service": "strategy",
    "upstream": ["amqps://rabbit.example.com:5671"],
    "keys": {"secret": "strategy-keys"},
    "login": {"certificateSecret": "strategy-tls"},
}
MOST: Values = {
    "service": "capital_manager",
    "upstream": ["amqps://rabbit-0.example.com:5671", "amqps://rabbit-1.example.com"],
    "allow": ["undeclared"],
    "undeclared": "pass",
    "declares": "allow",
    "retry": "off",
    "drainTimeout": "9s",
    "logFormat": "text",
    "listenPort": 5673,
    "admin": {"host": "::", "port": 9999},
    "image": {
        "registry": "registry.example.com:5000",
        "repository": "base/letrade",
        "tag": "0.1.0",
        "digest": "sha256:" + "0a" * 32,
        "pullPolicy": "Always",
    },
    "topology": {
        "configMap": "topology.prod",
        "key": "letrade.yaml",
        "overlays": ["production.yaml", "eu.yaml"],
        "variables": {"region": 'eu "west" \\ 1', "place": "한국어 — $(HOME) \u00a0 \U0001f680"},
    },
    "keys": {"secret": "capital-keys", "publicConfigMap": "public", "publicKey": "keys.json"},
    "login": {"passwordSecret": "capital-login", "passwordKey": "pass", "username": "capital: 'm'"},
    "ca": {"secret": "rabbit-ca", "key": "authority.pem"},
    "clientPassword": {"secret": "local", "key": "local-password"},
    "claimCheck": {"secret": "claims", "variables": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO"]},
    "traces": {
        "endpoint": "http://collector.observability:4318",
        "sampler": "parentbased_traceidratio",
        "ratio": "0.1",
        "secret": "collector-login",
    },
    "env": {"PYTHONASYNCIODEBUG": "1", "A": "b: c # d", "Y": "n"},
    "startupProbe": {"periodSeconds": 2, "failureThreshold": 30},
    "livenessProbe": {"periodSeconds": 20, "failureThreshold": 5},
    "readinessProbe": {"enabled": True, "periodSeconds": 3, "failureThreshold": 2},
    "resources": {"requests": {"cpu": "0.25", "memory": "128Mi"}, "limits": {"memory": "1Gi", "cpu": "2"}},
    "securityContext": {"runAsUser": 1001},
}
NOTHING_OPTIONAL: Values = {
    **LEAST,
    "allow": ["unsigned", "any-image"],
    "keys": {"secret": ""},
    "image": {"tag": "", "registry": ""},
    "login": {"passwordSecret": "strategy-login"},
    "ca": {"configMap": "rabbit-ca"},
    "retry": False,
    "resources": {"requests": None, "limits": {"memory": None}},
}
USED: dict[str, Values] = {"least": LEAST, "most": MOST, "nothing optional": NOTHING_OPTIONAL}

REFUSED: dict[str, tuple[Values, str]] = {
    "no service": ({"service": ""}, "service: missing"),
    "no broker": ({"upstream": []}, "upstream: missing"),
    "no keys": ({"keys": {"secret": ""}}, "allow: [unsigned]"),
    "no login": ({"login": {"certificateSecret": ""}}, "login: neither"),
    "two logins": ({"login": {"passwordSecret": "x"}}, "login: both"),
    "two authorities": ({"ca": {"secret": "x", "configMap": "y"}}, "ca: both"),
    "undeclared passes": ({"undeclared": "pass"}, "allow: [undeclared]"),
    "latest": ({"image": {"tag": "latest"}}, "allow: [any-image]"),
    "no tag": ({"image": {"tag": ""}}, "allow: [any-image]"),
    "one port twice": ({"listenPort": 9464}, "listenPort: the same"),
}
"""Changes of LEAST with which the agent would not run or not protect, and words of the reason."""

MISSHAPEN: dict[str, tuple[Values, str]] = {
    "plain text": ({"upstream": ["amqp://rabbit.example.com:5672"]}, "upstream"),
    "a password in the URL": ({"upstream": ["amqps://me:secret@rabbit.example.com"]}, "upstream"),
    "an unknown value": ({"servcie": "strategy"}, "servcie"),
    "an unknown risk": ({"allow": ["everything"]}, "allow"),
    "root": ({"securityContext": {"runAsUser": 0}}, "runAsUser"),
    "a privileged port": ({"listenPort": 80}, "listenPort"),
    "a listener for all": ({"admin": {"host": "example.com"}}, "host"),
    "a drain without unit": ({"drainTimeout": "25"}, "drainTimeout"),
    "an unknown mode": ({"declares": "maybe"}, "declares"),
    "a quantity that is none": ({"resources": {"limits": {"memory": "12Mib"}}}, "memory"),
    "a digest that is none": ({"image": {"digest": "sha256:12"}}, "digest"),
    "a name that is none": ({"keys": {"secret": "Keys_1"}}, "secret"),
    "a setting by the back door": ({"env": {"LETRADE_AGENT_UNDECLARED": "pass"}}, "env"),
    "a credential in the open": ({"env": {"AWS_SECRET_ACCESS_KEY": "x"}}, "env"),
    "a collector's login in the open": ({"env": {"OTEL_EXPORTER_OTLP_HEADERS": "x=y"}}, "env"),
    "a collector without a protocol": ({"traces": {"endpoint": "collector:4318"}}, "endpoint"),
    "a login in the collector's URL": ({"traces": {"endpoint": "https://me:x@collector:4318"}}, "endpoint"),
    "a ratio of more than all": ({"traces": {"ratio": "1.5"}}, "ratio"),
    "a setting by a Secret": ({"claimCheck": {"variables": ["LETRADE_AGENT_UNDECLARED"]}}, "variables"),
    "a line break": ({"login": {"username": "a\nb"}}, "username"),
}
"""Changes of LEAST that the schema refuses, and the key that it names."""


def changed(values: Values, changes: Values) -> Values:
    """As Helm merges them."""
    result = dict(values)
    for name, change in changes.items():
        old = result.get(name)
        result[name] = changed(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return result
