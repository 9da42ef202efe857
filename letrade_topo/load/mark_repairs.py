"""Signs of YAML that are missing, too many, or others than were meant: quotes, brackets, colons, commas, comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from letrade_topo.load.repair import UNUSUAL, Repair, rewritten
from letrade_topo.load.slips import TYPOGRAPHIC, shown
from letrade_topo.load.yaml_line import CLOSING, OPENING, Line, pairing

_SPECIAL: Final = "*&!|>%@`{}[],#?:-"
_KEY: Final = r"""(?P<key>"[^"]+"|'[^']+'|[\w.{}-]+)"""
_SIGN: Final = re.compile(rf"{_KEY}(?P<sign>:|\s*(?::=|=>|=|;|->)\s*)(?P<value>\S.*)$")
_NO_SIGN: Final = re.compile(rf"{_KEY}(?P<space> +)(?P<value>[^:=].*)$")
_IN_BRACES: Final = re.compile(
    r"""(?<=[{,]) *(?P<key>["']?[\w.-]+["']?)(?P<sign> +[:=]? *|[:=] *)(?P<value>["'\[{\w])"""
)
_ITEM: Final = re.compile(r"""(?:(?<=^)|(?<=[\s\[{,]))(?P<text>[^\s\[\]{},"'][^,\[\]]*?)(?=\s*(?:[,\]}]|$))""")
ENDS_QUOTED: Final = re.compile(
    r"""(?:(?<=^)|(?<=[\s\[{,]))(?P<text>[^\s"'\[{,][^"',]*)(?P<quote>["'])(?=\s*(?:[,\]}:]|$))"""
)
"""A text that ends with a quote and does not begin with one."""
_BEHIND_QUOTED: Final = re.compile(r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?P<rest>[^\s,:\]}].*)$""")
_APOSTROPHE: Final = re.compile(r"(?<=[\s\[{,])'(?P<text>[^'\"]*\w'\w[^\"]*)'(?=\s*(?:[,\]}]|$))")
_BACKSLASH: Final = re.compile(r'"(?P<text>[^"\']*\\[^"\']*)"')
_NO_COMMA: Final = re.compile(r"""(?<=[\w"'}\]]) +(?=["']?[\w.-]+["']?: |["'{\[])|;""")

_NAMES: Final = {"[": "a list in brackets", "{": "a mapping in braces"}
_KINDS: Final = ("a bracket of the other kind", "A list stands in [ ], a mapping of `key: value` in { }.")
_NO_COLON: Final = ("a colon is missing", "A key ends with a colon and a space.")
_COMMA: Final = ("a comma is missing", "Items in brackets are separated by commas.")


def typographic(line: Line) -> Iterator[Repair]:
    """Characters of word processors and chats."""
    content = f"{line.indent}{line.content}"
    found = [at for at, char in enumerate(content) if char in TYPOGRAPHIC]
    if found:
        text = re.sub(" +$", "", "".join(TYPOGRAPHIC.get(char, char) for char in content))
        why = f"{shown(content[found[0]])} looks like a sign of YAML; word processors and chats put it there."
        yield Repair(line.number, found[0], text + line.comment, "a character that only looks right", why)


def quotes(line: Line) -> Iterator[Repair]:
    """Half a pair, or something behind a whole one."""
    yield from _unclosed_quote(line)
    for found in ENDS_QUOTED.finditer(line.content):
        quote, text = found["quote"], found["text"]
        start, end = found.start("text"), found.end()
        words = ("a quote that nothing opens", f"A text ends with {quote} and does not begin with it.")
        yield rewritten(line, start, end, f"{quote}{text}{quote}", *words)
        yield rewritten(line, start, end, text, *words)
    if inner := _APOSTROPHE.search(line.content):
        why = "A text in single quotes ends with the next one; in double quotes an apostrophe is only itself."
        start, end = inner.span()
        yield rewritten(line, start, end, f'"{inner["text"]}"', "a quote inside of a quoted text", why)
    if behind := _BEHIND_QUOTED.search(line.content):
        words = ("something behind a quoted text", "A quoted text is the whole value.")
        yield rewritten(line, behind.start("rest"), len(line.content), "", *words)
    if backslash := _BACKSLASH.search(line.content):
        why = "In double quotes a backslash begins an escape such as \\n; in single quotes it is only itself."
        start, end = backslash.span()
        yield rewritten(line, start, end, f"'{backslash['text']}'", "an escape that YAML does not know", why)


def _unclosed_quote(line: Line) -> Iterator[Repair]:
    start = pairing(line.content).quote
    if start is None:
        return
    quote, rest, whole = line.content[start], line.content[start + 1 :], len(line.content)
    other = "'" if quote == '"' else '"'
    words = ("a quoted text is not closed", f"The text that begins with {quote} here is not closed on its line.")
    ends = [found.start() for found in re.finditer(r"(?:\s*[\]},])+$|,\s|: |:$|[\]}]", rest)]
    is_part = re.search(r"[\]},]$", rest) or ":" in rest
    for end in [*ends, len(rest)] if is_part else [len(rest), *ends]:
        yield rewritten(line, start, whole, f"{quote}{rest[:end]}{quote}{rest[end:]}", *words)
    if other in rest:
        at = rest.rindex(other)
        yield rewritten(line, start, whole, f"{other}{rest}", *words)
        yield rewritten(line, start, whole, f"{quote}{rest[:at]}{quote}{rest[at + 1 :]}", *words)
    yield rewritten(line, start, whole, rest, *words)


def brackets(line: Line) -> Iterator[Repair]:
    """Those without their other half."""
    found, last = pairing(line.content), len(line.content) - 1
    if found.quote is not None:  # which hides what its brackets are
        return
    if line.content[-1] in OPENING and last not in found.unclosed:
        for other in "]}":
            yield rewritten(line, last, last + 1, other, *_KINDS)
    for at in found.unclosed:
        yield from _unclosed_bracket(line, at, found.unopened)
    for at in found.unopened:
        yield from _unopened_bracket(line, at)


def _unclosed_bracket(line: Line, at: int, unopened: tuple[int, ...]) -> Iterator[Repair]:
    char, whole = line.content[at], len(line.content)
    rest, closing = line.content[at:], OPENING[char]
    words = (f"{_NAMES[char]} is not closed", f"It begins with {char}, and the {closing} is missing.")
    for end in (whole, *(other for other in unopened if other > at)):
        text = line.content[at:end] + closing + line.content[end + (end in unopened) :]
        yield rewritten(line, at, whole, text, *words)
    for inner in re.finditer(r"(?=[\]},])|, (?=[\w.\"']+: )", rest[1:]):
        end = 1 + inner.start()
        yield rewritten(line, at, whole, rest[:end] + closing + rest[end:], *words)
    yield rewritten(line, at, at + 1, "", "a bracket too many", f"Nothing closes the {char}.")
    for other in "]}[{":
        yield rewritten(line, at, at + 1, other, *_KINDS)


def _unopened_bracket(line: Line, at: int) -> Iterator[Repair]:
    char = line.content[at]
    opening, why = CLOSING[char], f"Nothing opens what {char} closes here."
    before = [one.end() for one in re.finditer(r"(?:: |, |\[|\{)", line.content) if one.end() <= at]
    for start in dict.fromkeys([len(line.content) - len(line.value), *before]):
        yield rewritten(line, start, start, opening, f"{_NAMES[opening]} is not opened", why)
    yield rewritten(line, at, at + 1, "", "a bracket too many", why)
    for other in "]}[{":
        yield rewritten(line, at, at + 1, other, *_KINDS)


def colons(line: Line) -> Iterator[Repair]:
    """One that is missing, another sign in its place, or the space behind it."""
    base, whole = len(line.dashes), len(line.content)
    content = line.content[base:]
    if found := _SIGN.match(content):
        sign = found["sign"].strip()
        what = "no space behind a colon" if sign == ":" else f"{sign} where a colon belongs"
        why = "YAML writes `key: value`, with a space behind the colon."
        yield rewritten(line, base + found.end("key"), base + found.start("value"), ": ", what, why)
    if found := _NO_SIGN.match(content):
        yield rewritten(line, base + found.end("key"), base + found.end("key"), ":", *_NO_COLON)
    if content and not line.colon and not content.startswith(("{", "[")) and len(content.split()) == 1:
        kept = base + len(content.rstrip(";:="))
        yield rewritten(line, kept, whole, ":", *_NO_COLON)
    for found in _IN_BRACES.finditer(content):
        if found["sign"] != ": ":
            yield rewritten(line, base + found.end("key"), base + found.start("value"), ": ", *_NO_COLON)


def comments(line: Line) -> Iterator[Repair]:
    """One without its sign, or without the space before it."""
    why = "A comment begins with # and has a space before it."
    for found in re.finditer(r"(?<=\S)#(?=\s)", line.content):
        at = found.start()
        yield rewritten(line, at, at, " ", "no space before a comment", why, "Write a space before the #.")
    for found in re.finditer(r"(?<=\S)\s{2,}(?=[^\s\[{\"'&*])", line.content):
        at, what = found.end(), "a comment without its sign"
        yield rewritten(line, at, at, "# ", what, why, "Write # before the comment.", doubt=UNUSUAL)


def texts(line: Line) -> Iterator[Repair]:
    """Texts that need quotes."""
    value, base, whole = line.value, len(line.content) - len(line.value), len(line.content)
    why = "Without quotes {} has a meaning of its own in YAML."
    for found in re.finditer(r"\$\{(\w+)\}", value):
        words = ("a variable as shells write it", "An environment variable is named here, not replaced as by a shell.")
        yield rewritten(line, base + found.start(), base + found.end(), found[1], *words)
    if value and value[0] in _SPECIAL:
        words = (f"a text may not begin with {value[0]} without quotes", why.format(f"{value[0]} at the beginning"))
        if value[0] not in "{[":
            yield rewritten(line, base, whole, _quoted(value), *words)
    if not value.startswith(("{", "[", '"', "'")) and re.search(r":\s|:$", value):
        reason = why.format("a colon followed by a space")
        yield rewritten(line, base, whole, _quoted(value), "a text with a colon needs quotes", reason)
    for found in _ITEM.finditer(value) if value[:1] in ("{", "[") else ():
        yield from _item(line, base, found)
    if value and value[0] in "{[" and pairing(value).quote is None:
        yield rewritten(line, base, whole, _quoted(value), *words)


def _item(line: Line, base: int, found: re.Match[str]) -> Iterator[Repair]:
    """A text in brackets that begins with a sign, or has braces in it."""
    item = found["text"]
    at = item.rfind(": ") + 2 if ": " in item else 0
    text = item[at:]
    if text and (text[0] in _SPECIAL or "{" in text or "}" in text):
        bare = text.rstrip("}") if text.count("{") < text.count("}") else text
        start = base + found.start("text") + at
        what = f"a text with {bare[0] if bare[:1] in _SPECIAL else 'a brace'} needs quotes"
        why = "Without quotes it has a meaning of its own in YAML."
        yield rewritten(line, start, start + len(bare), _quoted(bare), what, why)


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'


def commas(line: Line) -> Iterator[Repair]:
    """One that is missing, or too many."""
    base, whole = len(line.content) - len(line.value), len(line.content)
    if line.value.endswith((",", ";")):
        what, why = f"{line.value[-1]} at the end of a line", "In YAML the end of the line ends a value."
        yield rewritten(line, base + len(line.value.rstrip(",; ")), whole, "", what, why)
    for found in _NO_COMMA.finditer(line.value):
        end = found.end() + len(line.value[found.end() :]) - len(line.value[found.end() :].lstrip())
        yield rewritten(line, base + found.start(), base + end, ", ", *_COMMA)
    if twice := re.search(r",(?=\s*,)", line.value):
        words = ("a comma too many", "Nothing stands between two commas.")
        yield rewritten(line, base + twice.start(), base + twice.end(), "", *words)
    if line.value.endswith(("}", "]", '"')):
        yield rewritten(line, whole, whole, ",", *_COMMA)
