"""What stands where a secret belongs is shown nowhere: in no format, whatever is wrong with the file around it."""

from __future__ import annotations

import itertools
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import pytest

from letrade_topo.load.diagnostics import Diagnostic, InvalidTopology
from letrade_topo.load.masking import find_secrets, masked
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.render.diagnostics import Format, render
from tests.load.marked import HEADER

SECRET = "Hunter2-geheim"

VALUES = {
    "plain": SECRET,
    "plain with a comma": f"x,{SECRET}",
    "plain with a bracket": f"x]{SECRET}",
    "quoted": f'"{SECRET}"',
    "quoted with a quote": f'"a\\"{SECRET}"',
    "single": f"'it''s {SECRET}'",
    "value": f"{{value: {SECRET}}}",
    "unknown": f"{{evn: {SECRET}}}",
    "key": f"{{{SECRET}}}",
    "key with a value": f"{{{SECRET}: x}}",
    "both": f"{{env: A, value: {SECRET}}}",
    "twice": f"{{{SECRET}: 1, {SECRET}: 2}}",
    "deep": f"{{from: {{vault: [{SECRET}]}}}}",
    "list": f"[{SECRET}]",
    "tag": f"!{SECRET}",
    "alias": f"*{SECRET}",
    "anchor": f"&a {SECRET}",
    "url": f"amqp://admin:{SECRET}@h/",
    "at sign": f"@{SECRET}",
    "percent": f"%{SECRET}",
    "colon": f"{SECRET}: x",
    "unclosed brace": f"{{value: {SECRET}",
    "unclosed quote": f'"{SECRET}',
    "variable": f"x{SECRET}${{y}}",
    "malformed variable": f"x${{{SECRET}",
}
BELOW = {
    "block": f"\n      value: {SECRET}",
    "block of two": f"\n      env: A\n      value: {SECRET}",
    "literal": f"|\n      {SECRET}",
    "folded": f">-\n      x\n      {SECRET}",
    "next line": f"\n      {SECRET}",
    "continued": f"x\n      {SECRET}",
    "items": f"\n    - {SECRET}",
    "quoted below": f"\n      '{SECRET}'",
    "key below": f"\n      {SECRET}: x",
}
KEYS = ("password", "pasword", "passwort", "'password'", "db_token")


def everything_said(*texts: str, variables: dict[str, str] | None = None) -> str:
    """All that is said about a file and its overlays, in every format."""
    sources = [SourceText(f"file{index}.yaml", Path(), text) for index, text in enumerate(texts)]
    try:
        found: tuple[Diagnostic, ...] = load_sources(sources, variables=variables).diagnostics
        said = ""
    except InvalidTopology as error:
        found, said = error.diagnostics, f"{error} {error!r}"
    assert found
    return said + "".join(render(found, form, subject="file0.yaml") for form in Format)


@pytest.mark.wide
@pytest.mark.parametrize("form", VALUES | BELOW)
@pytest.mark.parametrize("key", KEYS)
def test_a_literal_secret_is_shown_nowhere(key: str, form: str) -> None:
    """Not in the quoted line, not as a key, not in advice, in no format."""
    text = f"{HEADER}users:\n  u:\n    {key}: {(VALUES | BELOW)[form]}\n    tags: x\n"

    assert SECRET not in everything_said(text)


@pytest.mark.wide
@pytest.mark.parametrize("form", VALUES)
@pytest.mark.parametrize(
    "place",
    [
        "broker: {{password: {}, unknwn: 1}}\n",
        "broker: {{unknwn: 1, password: {}}}\n",
        "services: {{s: {{pasword: {}}}}}\n",
        "broker: {{management: x,\n  password: {}\n  }}\n",
        "users:\n  u: {{unknwn: 1, password:\n   {}}}\n",
    ],
    ids=["first", "last", "misspelt", "several lines", "below"],
)
def test_a_literal_secret_in_braces_is_shown_nowhere(place: str, form: str) -> None:
    """Whatever stands on the same line before or behind it."""
    assert SECRET not in everything_said(HEADER + place.format(VALUES[form]))


@pytest.mark.parametrize("separator", [" ", "=", " = ", ":"])
def test_a_literal_secret_without_its_colon_is_shown_nowhere(separator: str) -> None:
    """The slip that makes it no YAML at all."""
    assert SECRET not in everything_said(f"{HEADER}broker:\n  password{separator}{SECRET}\n  username: x\n")


@pytest.mark.parametrize("form", VALUES)
def test_a_literal_secret_of_an_overlay_is_shown_nowhere(form: str) -> None:
    """Also where it only takes away what is not there."""
    overlay = f"broker:\n  password: {VALUES[form]}\n"
    whole = f"{HEADER}broker: {{password: {{env: A}}}}\n"
    assert SECRET not in everything_said(whole, overlay)
    assert SECRET not in everything_said(whole, f"broker: {{password: {{{SECRET}: }}}}")


def test_a_secret_behind_an_alias_or_in_a_variable_is_shown_nowhere() -> None:
    """Where the anchor or the default stands, and where something else uses it, too."""
    said = everything_said(
        f"{HEADER}variables: {{db_password: {SECRET}}}\nbroker: {{password: '${{db_password}}'}}\n"
        "security: {jwt: {mode: '${db_password}'}}\n"
    )
    assert SECRET not in said
    said = everything_said(f"{HEADER}broker: {{username: &it {SECRET}, unknwn: 1}}\nusers: {{u: {{password: *it}}}}\n")
    assert SECRET not in said


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}@h",
        f"https://me:p/{SECRET}@h",
        f"https://me:p@{SECRET}@h",
        f"https://h/?token={SECRET}",
        f"https://h/?X-Amz-Signature=a&sig={SECRET}",
        f"https://{SECRET}@h",
    ],
)
def test_a_secret_in_an_address_is_shown_nowhere(url: str) -> None:
    """A login before the host, or a query behind the path."""
    said = everything_said(f"{HEADER}broker: {{management: '{url}', unknwn: 1}}\nclaim_check: {{store: '{url}'}}\n")
    assert SECRET not in said


@pytest.mark.parametrize(
    "line",
    [
        "    password: {env: BROKER_PASSWORD}",
        "password: { file: /run/secrets/x }  # mounted",
        "password_hash: {file: clerk.hash, algorithm: sha512}",
        "  u: {password: unmanaged, password_hash: {env: CLERK_HASH}}",
        "    password: unmanaged  # the platform team's",
        "  token.issued: {exchange: x, lifetime: 1s}",
        "queues: {secret.santa: {service: s, messages: [a.b]}}",
        "  tokens: {publishes: [a.b], unknwn: 1}",
        "consumes: [user.password.changed, token.issued]",
        "management: https://broker.example:15671/prefix",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    """References, names of queues and message types, addresses."""
    assert masked(line) == line


def test_a_reference_below_its_key_is_shown() -> None:
    """As it stands, between empty lines."""
    text = "users:\n  u:\n    password:\n      env: SOME_NAME  # set by CI\n\n    tags: [x]\n"

    assert find_secrets(text).spans == ()


@pytest.mark.parametrize(
    "text_of",
    [
        lambda size: "password: {" * size,
        lambda size: "password: '" * size,
        lambda size: "password: {\n" * size,
        lambda size: "\n".join(" " * (depth % 500) + "password:" for depth in range(size)),
        lambda size: "password: *a\n" * size,
        lambda size: "".join(f"password: *a{number}\nx: &a{number} y\n" for number in range(size)),
        lambda size: "p" * 20 * size,
        lambda size: "pw" * 5 * size + ": x",
        lambda size: "{" * 5 * size + "password: x",
        lambda size: "[password: x, " * size,
    ],
    ids=itertools.count(),
)
@pytest.mark.wide
def test_looking_for_secrets_takes_as_long_as_the_text_is(text_of: Callable[[int], str]) -> None:
    """Also in a file that was made to confuse it: of four times the size four times as long, not sixteen times."""
    small, large = text_of(1_000), text_of(4_000)

    assert cpu_seconds(lambda: find_secrets(large)) < 8 * cpu_seconds(lambda: find_secrets(small))


def cpu_seconds(call: Callable[[], object]) -> float:
    """Of some attempts, the one that others on the machine disturbed least."""
    return min(timeit.repeat(call, timer=time.process_time, number=1, repeat=3))
