"""Values of the sidecar: defaults, what was given, and what stands against running like that.

The defaults and the schema lie beside this module; the library chart has a copy of both (script/reference), and the
same rules in `helm/letrade-agent/templates/_values.tpl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import yaml

from letrade_topo.k8s.errors import InvalidValues
from letrade_topo.k8s.yaml_text import TOO_DEEP, NotYaml, value_of

CHART = "letrade-agent"
"""Below this key a chart that uses the library has the values."""

Values = Mapping[str, Any]


def read_values(text: str, name: str) -> Values:
    """The values of a file, written for a chart that uses the library or for this tool alone.

    Args:
        text: its content.
        name: how messages call it.

    Raises:
        InvalidValues: it is no YAML mapping.
    """
    try:
        found = value_of(text)
    except NotYaml as error:
        raise _unreadable(name, error) from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidValues(
            f"{name} is not a mapping", fix=f"write the values of the chart {CHART}, for example service: x"
        )
    inner = found.get(CHART, found)
    if not isinstance(inner, dict):
        raise InvalidValues(f"{name}: {CHART} is not a mapping")
    return inner


def setting(text: str) -> Values:
    """What `--set PATH=VALUE` says; VALUE is YAML, PATH has dots between its names.

    Raises:
        InvalidValues: it is not of this form.
    """
    path, separator, value = text.partition("=")
    if not separator or not all(path.split(".")):
        raise InvalidValues(
            f"--set {text!r} has no value", fix="write PATH=VALUE, for example --set keys.secret=strategy-keys"
        )
    try:
        inner: Any = value_of(value) if value else ""
    except NotYaml as error:
        raise _unreadable(f"--set {path}: the value", error) from None
    for name in reversed(path.split(".")):
        inner = {name: inner}
    return dict(inner)


def complete(*given: Values) -> Values:
    """The defaults, changed by each of these in turn, and checked.

    Raises:
        InvalidValues: with every problem.
    """
    values: Values = yaml.safe_load(_read("values.yaml"))
    for changes in given:
        values = _merged(values, changes)
    _check_shape(values)
    values = {**values, "retry": "off" if values["retry"] in ("off", False) else "on"}
    problems = list(_problems(values))
    if problems:
        raise InvalidValues("the agent cannot run like this", why="\n  ".join(problems))
    return values


def schema() -> dict[str, Any]:
    """The JSON Schema of the values."""
    found: dict[str, Any] = json.loads(_read("values.schema.json"))
    return found


@cache
def _read(name: str) -> str:
    return (files("letrade_topo.k8s") / name).read_text(encoding="utf-8")


def _merged(values: Values, changes: Values) -> Values:
    """As Helm does it: mappings are merged, null takes a default away, everything else is replaced."""
    result = dict(values)
    for name, change in changes.items():
        old = result.get(name)
        result[name] = _merged(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return {name: value for name, value in result.items() if value is not None}


def _check_shape(values: Values) -> None:
    validator = jsonschema.Draft7Validator(schema())
    errors = sorted(validator.iter_errors(values), key=lambda error: [str(step) for step in error.absolute_path])
    if errors:
        lines = [f"{'.'.join(map(str, error.absolute_path)) or 'values'}: {error.message}" for error in errors]
        raise InvalidValues("the values are not as the schema wants them", why="\n  ".join(lines))


def _problems(values: Values) -> Iterator[str]:
    allow, login, image = values["allow"], values["login"], values["image"]
    if not values["service"]:
        yield "service: missing; name the service as the topology does"
    if not values["upstream"]:
        yield "upstream: missing; list the broker nodes, amqps://HOST:PORT"
    if not values["keys"]["secret"] and "unsigned" not in allow:
        yield (
            "keys.secret: missing, so nothing would be signed or verified; name the Secret with the service's keys, or "
            "take the risk with allow: [unsigned]"
        )
    if login["certificateSecret"] and login["passwordSecret"]:
        yield "login: both certificateSecret and passwordSecret; give one of them"
    if not login["certificateSecret"] and not login["passwordSecret"]:
        yield "login: neither certificateSecret nor passwordSecret; give one of them"
    if values["ca"]["secret"] and values["ca"]["configMap"]:
        yield "ca: both secret and configMap; give one of them"
    if values["undeclared"] == "pass" and "undeclared" not in allow:
        yield ("undeclared: pass lets messages through unsigned and unverified; take the risk with allow: [undeclared]")
    if not image["digest"] and image["tag"] in ("", "latest") and "any-image" not in allow:
        yield (
            "image: neither tag nor digest says which image runs; give one, or take the risk with allow: [any-image]"
        )
    if values["listenPort"] == values["admin"]["port"]:
        yield "listenPort: the same as admin.port"


def _unreadable(what: str, error: NotYaml) -> InvalidValues:
    if error.is_too_deep:
        return InvalidValues(f"{what} is nested too deeply", why=TOO_DEEP)
    where = f"{error.place.removeprefix(':')}: " if error.place else ""
    return InvalidValues(f"{what} is not YAML", why=f"{where}{error.why}")
