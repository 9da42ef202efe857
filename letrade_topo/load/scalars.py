"""What an unquoted scalar means.

YAML 1.1 reads `yes`, `no`, `on` and `off` as booleans, `1:30` as the number 90 and `010` as 8; YAML 1.2
and JSON do not. Here only `true` and `false` are booleans, so that `mode: off` means the word, dates are
text, and numbers on whose meaning the two versions differ are refused.
"""

from __future__ import annotations

import math
import re

import yaml

_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
_PREFIX = "tag:yaml.org,2002:"
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_LONGEST_NUMBER = 40

Value = bool | int | float | str | None


class ScalarError(ValueError):
    """A scalar has no clear meaning; the arguments are what is wrong, why, and what to do."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix


def implicit_value(text: str) -> Value:
    """The value of an unquoted, untagged scalar.

    Raises:
        ScalarError: a number that YAML versions read differently, or that JSON cannot hold.
    """
    for tag, expression in _RESOLVERS.get(text[:1], ()):
        if expression.match(text):
            return tagged_value(tag, text)
    return text


def tagged_value(tag: str, text: str) -> Value:
    """The value of a scalar with a tag such as `tag:yaml.org,2002:int`.

    Raises:
        ScalarError: as above; or the tag is none of JSON's types, or the text is not of that type.
    """
    match tag.removeprefix(_PREFIX):
        case "str" | "timestamp" | "value" | "!":
            return text
        case "null":
            return None
        case "bool":
            return _BOOLEANS.get(text, text)
        case "int":
            return _integer(text)
        case "float":
            return _number(text)
        case "merge":
            return text
        case other:
            raise ScalarError(
                "unknown YAML tag", f"{other} means nothing here; values are those of JSON.", "Remove it."
            )


def _integer(text: str) -> int:
    digits = text.replace("_", "").lstrip("+-")
    if ":" in digits:
        raise _sexagesimal(text)
    if len(digits) > 1 and digits[0] == "0" and "0" <= digits[1] <= "9":
        why = f"YAML 1.1 reads {text} as an octal number, YAML 1.2 as a decimal one."
        raise ScalarError("ambiguous number", why, f'Quote it if it is text: "{text}". Else drop the leading zero.')
    try:
        if len(digits) <= _LONGEST_NUMBER:
            return int(text.replace("_", ""), 0)
    except ValueError:
        pass
    raise ScalarError("unusable number", "It is too long, or malformed.", "Quote it if it is text.")


def _number(text: str) -> float:
    if ":" in text:
        raise _sexagesimal(text)
    try:
        value = float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text.replace("_", "").lower()))
    except ValueError:
        raise ScalarError("unusable number", "It is tagged as a number.", "Remove the tag, or write one.") from None
    if not math.isfinite(value):
        raise ScalarError(
            "unusable number", f"{text[:20]} is not finite, and JSON has no such number.", "Write another."
        )
    return value


def _sexagesimal(text: str) -> ScalarError:
    why = f"YAML 1.1 reads {text} as a number to the base 60, YAML 1.2 as text."
    return ScalarError("ambiguous number", why, f'Quote it if it is text: "{text}". Else write the number out.')
