"""One slip of the hand in a valid topology: which line it touched, and whether it must be an error.

Every kind is a function of the lines and a source of chance. Whether a slip must be refused is decided without the
loader: by what PyYAML makes of both texts, and by what the kind knows of the place.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

UNIT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(ms|s|m|h|d|B|KiB|MiB)\b")
KEY = re.compile(r"""^(?P<before>\s*(?:- )*)(?P<key>["']?[^\s#"'{}\[\],:][^#"':]*["']?):(?P<after>\s|$)""")
FLOW_KEY = re.compile(r"[{,] *(?P<key>[a-z_]+): ")
SECTIONS = ("exchanges", "messages", "services", "queues", "users", "policies")
NEEDED = ("exchanges", "messages", "services")
FREE_TEXT = (
    "description",
    "partner",
    "environment",
    "store",
    "username",
    "ca_file",
    "management",
    "alternate_exchange",
    "user",
)
"""Keys that take any text, as far as can be known without a broker."""

Lines: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A changed text.

    Args:
        kind: what slipped.
        line: the line that was changed, from 1.
        content: the text as a file holds it.
        must_fail: whether it means no longer what it meant, in a way that cannot be meant.
        also: another line that may be meant as well.
    """

    kind: str
    line: int
    content: bytes
    must_fail: bool
    also: int | None = None

    @property
    def lines(self) -> frozenset[int]:
        """Where errors may be: on the line or the next."""
        return frozenset({self.line, self.line + 1, *([self.also] if self.also else [])})


class MutatedLine:
    """What a mutation may know of each line: which section, how deep in a JSON Schema, whether a text."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.in_schema = [False] * len(lines)
        self.section = [""] * len(lines)
        self.entry = [False] * len(lines)
        schema_indent, section = None, ""
        for index, line in enumerate(lines):
            indent = len(line) - len(line.lstrip())
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if schema_indent is not None and (indent > schema_indent or line.strip() == "}"):
                self.in_schema[index] = True
            else:
                schema_indent = indent if re.match(r"\s*schema:", line) else None
            if indent == 0 and KEY.match(line):
                section = line.split(":")[0]
            self.section[index] = section
        first = dict.fromkeys(SECTIONS, 0)
        for index, line in enumerate(lines):
            indent = len(line) - len(line.lstrip())
            name = self.section[index]
            if name in first and indent:
                first[name] = first[name] or indent
                self.entry[index] = indent == first[name] and KEY.match(line) is not None

    def content(self) -> Iterator[int]:
        """The lines that say something."""
        for index, line in enumerate(self.lines):
            if line.strip() and not line.lstrip().startswith("#"):
                yield index

    def is_free_text(self, index: int) -> bool:
        """Whether the value that stands there may be any text."""
        return self.in_schema[index] or any(f"{key}:" in self.lines[index] for key in FREE_TEXT)


def comment_at(line: str) -> int:
    """Where the comment of a line begins; its length if it has none."""
    found = re.search(r"(?:^|\s)#(?=\s)", re.sub(r'"[^"]*"|\'[^\']*\'', lambda quoted: "x" * len(quoted[0]), line))
    return found.start() if found else len(line)


def misspelt(word: str, choose: random.Random) -> str:
    """The word with a letter lost, doubled or exchanged."""
    letters = [index for index, char in enumerate(word) if char.isalpha()]
    at = choose.choice(letters[1:] or letters)
    match choose.randrange(3):
        case 0 if len(letters) > 3:
            return word[:at] + word[at + 1 :]
        case 1 if at + 1 < len(word) and word[at + 1].isalpha() and word[at + 1] != word[at]:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case _:
            return word[:at] + word[at] + word[at:]


Change: TypeAlias = tuple[int, Lines, bool] | None
Kind: TypeAlias = Callable[[MutatedLine, random.Random], Change]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    """Register a kind."""
    KINDS[function.__name__] = function
    return function


def _replaced(place: MutatedLine, index: int, line: str, must: bool = True) -> Change:
    if line == place.lines[index]:
        return None
    return index, [*place.lines[:index], *line.split("\n"), *place.lines[index + 1 :]], must


def _pick(
    place: MutatedLine, choose: random.Random, expression: str, *, schemas: bool = False
) -> tuple[int, re.Match[str]] | None:
    found = [
        (index, match)
        for index in place.content()
        if schemas or not place.in_schema[index]
        for match in re.finditer(expression, place.lines[index][: comment_at(place.lines[index])])
    ]
    return choose.choice(found) if found else None


def _sub(line: str, match: re.Match[str], text: str, group: int | str = 0) -> str:
    return line[: match.start(group)] + text + line[match.end(group) :]


def _put(
    place: MutatedLine, picked: tuple[int, re.Match[str]], text: str, group: int | str = 0, *, must: bool = True
) -> Change:
    index, match = picked
    return _replaced(place, index, _sub(place.lines[index], match, text, group), must)


def _keys(place: MutatedLine) -> list[tuple[int, re.Match[str]]]:
    """Keys that the format knows: no names, none of a JSON Schema, no arguments."""
    found = []
    for index in place.content():
        line = place.lines[index]
        if place.in_schema[index] or (place.section[index] == "variables" and line[0] == " "):
            continue
        match = KEY.match(line)
        named = match and re.fullmatch("[a-z_]+", match["key"]) and match["key"] not in ("partner", "overflow")
        if match and named and not place.entry[index]:
            found.append((index, match))
        found += [(index, flow) for flow in FLOW_KEY.finditer(re.sub(r'"[^"]*"', lambda one: "x" * len(one[0]), line))]
    return found


@kind
def key_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    index, match = choose.choice(_keys(place))
    return _replaced(place, index, _sub(place.lines[index], match, misspelt(match["key"], choose), "key"))


@kind
def key_in_other_case(place: MutatedLine, choose: random.Random) -> Change:
    index, match = choose.choice([(index, match) for index, match in _keys(place)])
    key = match["key"]
    camel = re.sub("_(.)", lambda found: found[1].upper(), key)
    other = choose.choice([key.capitalize(), key.upper(), key.replace("_", "-"), camel])
    return _replaced(place, index, _sub(place.lines[index], match, other, "key"))


@kind
def key_with_a_space(place: MutatedLine, choose: random.Random) -> Change:
    index, match = choose.choice([(index, match) for index, match in _keys(place) if "_" in match["key"]])
    return _replaced(place, index, _sub(place.lines[index], match, match["key"].replace("_", " ", 1), "key"))


@kind
def unit_lost(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, UNIT.pattern)
    return picked and _put(place, picked, picked[1][1])


@kind
def unit_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, UNIT.pattern)
    unit = choose.choice([" sec", "sec", "seconds", "min", "hrs", "kb", "Kb", "K", "S", "mS", "days"])
    return picked and _put(place, picked, picked[1][1] + unit)


@kind
def indent_moved(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice(list(place.content()))
    line = place.lines[index]
    indent = len(line) - len(line.lstrip())
    by = choose.choice([by for by in (-4, -3, -2, -1, 1, 2, 3, 4) if indent + by >= 0])
    return _replaced(place, index, " " * (indent + by) + line.lstrip())


@kind
def tab_for_spaces(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice([index for index in place.content() if place.lines[index][0] == " "])
    line = place.lines[index]
    indent = len(line) - len(line.lstrip())
    return _replaced(
        place, index, choose.choice(["\t", " " * (indent - 1) + "\t", "\t" + " " * (indent - 1)]) + line.lstrip()
    )


@kind
def quote_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"""["']""", schemas=True)
    return picked and _put(place, picked, "")


@kind
def quotes_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r""""([^"]*)"|'([^']*)'""")
    if picked is None:
        return None
    index, match = picked
    text = match[1] or match[2] or ""
    free = place.is_free_text(index) or text == "off"  # which is a text here, as in YAML 1.2
    return _replaced(place, index, _sub(place.lines[index], match, text), not free)


@kind
def quote_added(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=: )[A-Za-z0-9^][\w.-]*(?=$|[,}\]])|(?<=- )[a-z][\w.-]*(?=$)")
    if picked is None:
        return None
    index, match = picked
    quote, first = choose.choice("\"'"), choose.random() < 0.5
    text = quote + match[0] if first else match[0] + quote
    return _replaced(place, index, _sub(place.lines[index], match, text), first or not place.is_free_text(index))


@kind
def quote_of_the_other_kind(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"""["']""")
    if picked is None:
        return None
    other = "'" if picked[1][0] == '"' else '"'
    return _put(place, picked, other)


@kind
def colon_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r":(?=\s|$)", schemas=True)
    return picked and _put(place, picked, "")


@kind
def space_after_colon_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=^)[^:]*(?<=[\w])(?P<colon>: +)(?=\S)")
    return picked and _put(place, picked, ":", "colon")


@kind
def colon_replaced(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=^)[^:]*(?P<colon>: +)(?=\S)")
    other = choose.choice(["= ", " = ", "；", "：", ":= ", " => ", ";", " "])
    return picked and _put(place, picked, other, "colon")


@kind
def dash_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=^)(?P<before> *)- ", schemas=True)
    if picked is None:
        return None
    index, match = picked
    return _replaced(place, index, _sub(place.lines[index], match, match["before"] + choose.choice(["", "  "])))


@kind
def space_after_dash_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=^)(?P<before> *)- (?=\S)")
    return picked and _put(place, picked, picked[1]["before"] + "-")


@kind
def bracket_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?:(?<=: )|(?<=, )|(?<=\[)|(?<=\{))[\[{]|[\]}](?=$|[,\]}])", schemas=True)
    return picked and _put(place, picked, "")


@kind
def bracket_of_the_other_kind(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?:(?<=: )|(?<=, ))[\[{]|[\]}](?=$|[,\]}])", schemas=True)
    if picked is None:
        return None
    other = choose.choice([char for char in "[]{}" if char != picked[1][0]])
    return _put(place, picked, other)


@kind
def comma_dropped(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r",(?= ?\S)", schemas=True)
    return picked and _put(place, picked, "", must=not place.is_free_text(picked[0]))


@kind
def comma_or_semicolon_behind(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=\S)$")
    if picked is None:
        return None
    index = picked[0]
    line = place.lines[index].rstrip()
    if line.endswith(("{", "[", ",")):
        return None
    return _replaced(place, index, line + choose.choice(",;"), not place.is_free_text(index))


@kind
def none_by_another_word(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=retry: )none|(?<=dead_letter: )none")
    word = choose.choice(["false", "no", "off", "False", "null", "~", "never", "None", "'no'", "0", '""', "true", "[]"])
    return picked and _put(place, picked, word)


@kind
def boolean_by_another_word(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=: )(true|false)\b")
    word = choose.choice(["yes", "no", "on", "off", "y", "'true'", '"false"', "1", "0", "enabled", "none"])
    return picked and _put(place, picked, word)


@kind
def value_of_another_type(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=[a-z]: )(?P<value>[A-Za-z0-9.-]+)$")
    if picked is None:
        return None
    index, match = picked
    value = match["value"]
    others = ["[1, 2]", "{a: b}", "[]"]
    others += ["many", "1.5e3", "true"] if value.isdigit() else []
    free = place.is_free_text(index) or place.section[index] in ("variables", "policies") or "x-" in place.lines[index]
    must = not free
    return _replaced(place, index, _sub(place.lines[index], match, choose.choice(others)), must)


@kind
def value_lost(place: MutatedLine, choose: random.Random) -> Change:
    found = [(index, match) for index, match in _keys(place) if place.lines[index][match.end("key") + 1 :].strip()]
    found = [(index, match) for index, match in found if match.re is KEY]
    index, match = choose.choice(found)
    return _replaced(place, index, place.lines[index][: match.end("key") + 1], place.lines[index][0] == " ")


@kind
def line_twice(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice([index for index in place.content() if KEY.match(place.lines[index])])
    line = place.lines[index]
    if line.rstrip().endswith((",", "{", "[", "}", "]")) or line.lstrip().startswith("- "):
        return None
    lines = [*place.lines[: index + 1], *place.lines[index:]]
    return index + 1, lines, True


@kind
def two_lines_joined(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice(list(place.content())[:-1])
    if index + 1 not in set(place.content()) or "#" in place.lines[index]:
        return None
    joined = f"{place.lines[index]} {place.lines[index + 1].lstrip()}"
    return index, [*place.lines[:index], joined, *place.lines[index + 2 :]], True


@kind
def reference_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(
        place,
        choose,
        r"""(?<=^)\s*- "?(?P<name>[a-z][\w.{}]+)|"""
        r"""(?:[^_]service|[^_]exchange|source|messages): \[?"?(?P<name2>[a-z][\w.{}]+)""",
    )
    if picked is None:
        return None
    index, match = picked
    if "- source" in match[0] or "- exchange" in match[0] or place.section[index] in ("users", "ignore", "dead_letter"):
        return None
    group = "name" if match["name"] else "name2"
    if "*" in place.lines[index]:  # a pattern that nothing matches is a warning
        return None
    return _replaced(place, index, _sub(place.lines[index], match, misspelt(match[group], choose), group))


@kind
def declaration_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    found = [index for index in place.content() if place.entry[index] and place.section[index] in NEEDED]
    index = choose.choice(found)
    match = KEY.match(place.lines[index])
    assert match
    name = match["key"]
    if "{" in name:
        return None
    must = sum(name in line for line in place.lines) > 1
    return _replaced(place, index, _sub(place.lines[index], match, misspelt(name, choose), "key"), must)


@kind
def name_with_a_space(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"""(?<=^)\s*- "?[a-z]+(?P<dot>\.)|(?:service|messages): \[?"?[a-z]+(?P<dot2>[._])""")
    if picked is None:
        return None
    index, match = picked
    if place.section[index] == "ignore":
        return None
    group = "dot" if match["dot"] else "dot2"
    return _replaced(place, index, _sub(place.lines[index], match, choose.choice([" ", ". ", " ."]), group))


@kind
def section_emptied(place: MutatedLine, choose: random.Random) -> Change:
    tops = [index for index in place.content() if place.lines[index][0] not in " -}"]
    headers = [index for index in tops if place.lines[index].split(":")[0] in NEEDED]
    index = choose.choice(headers)
    end = next((top for top in tops if top > index), len(place.lines))
    text = choose.choice(["", " {}", " null"])
    return index, [*place.lines[:index], place.lines[index].split(":")[0] + ":" + text, *place.lines[end:]], True


@kind
def variable_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    found = [index for index in place.content() if place.section[index] == "variables" and place.lines[index][0] == " "]
    index = choose.choice(found)
    match = KEY.match(place.lines[index])
    assert match
    name = match["key"]
    must = any(f"${{{name}}}" in line for line in place.lines)
    return _replaced(place, index, _sub(place.lines[index], match, misspelt(name, choose), "key"), must)


@kind
def header_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice([index for index in place.content() if re.match(r"[a-z_]+:", place.lines[index])])
    name, _, rest = place.lines[index].partition(":")
    return _replaced(place, index, misspelt(name, choose) + ":" + rest)


@kind
def header_lost(place: MutatedLine, choose: random.Random) -> Change:
    found = [index for index in place.content() if re.fullmatch(r"[a-z_]+:", place.lines[index])]
    found = [index for index in found if "variables" not in (place.section[max(0, index - 2)], place.lines[index][:-1])]
    index = choose.choice(found)
    following = next(one for one in place.content() if one > index)
    return following - 1, [*place.lines[:index], *place.lines[index + 1 :]], True


@kind
def alias_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"\*(?P<name>[a-z_]+)(?=$|[,} ])", schemas=True)
    return picked and _replaced(
        place, picked[0], _sub(place.lines[picked[0]], picked[1], misspelt(picked[1]["name"], choose), "name")
    )


@kind
def anchor_misspelt(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"&(?P<name>[a-z_]+)", schemas=True)
    if picked is None:
        return None
    index, match = picked
    must = any(f"*{match['name']}" in line for line in place.lines)
    return _replaced(place, index, _sub(place.lines[index], match, misspelt(match["name"], choose), "name"), must)


@kind
def anchor_lost(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"\*(?P<name>[a-z_]+)(?=$|[,} ])", schemas=True)
    return picked and _replaced(
        place,
        picked[0],
        _sub(
            place.lines[picked[0]],
            picked[1],
            choose.choice(["*", "&", "* "]) + ("" if choose.random() < 0.5 else "x y"),
        ),
    )


@kind
def comment_glued(place: MutatedLine, choose: random.Random) -> Change:
    found = [index for index in place.content() if comment_at(place.lines[index]) < len(place.lines[index])]
    if not found:
        return None
    index = choose.choice(found)
    line = place.lines[index]
    at = comment_at(line)
    return _replaced(place, index, line[:at].rstrip() + line[at:].lstrip(), not place.is_free_text(index))


@kind
def comment_sign_lost(place: MutatedLine, choose: random.Random) -> Change:
    found = [index for index, line in enumerate(place.lines) if comment_at(line) < len(line)]
    index = choose.choice(found)
    line = place.lines[index]
    at = comment_at(line)
    rest = line[at:].replace("#", "", 1)
    if not rest.strip():
        return None
    return _replaced(place, index, line[:at] + rest, not place.is_free_text(index))


@kind
def list_for_mapping(place: MutatedLine, choose: random.Random) -> Change:
    index = choose.choice([index for index in place.content() if place.entry[index]])
    line = place.lines[index]
    indent = len(line) - len(line.lstrip())
    return _replaced(place, index, " " * indent + choose.choice(["- ", "- name: "]) + line.lstrip())


@kind
def mapping_for_list(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"(?<=^)(?P<before> *)- (?P<item>[\w.{}]+)$")
    if picked is None:
        return None
    index, match = picked
    return _replaced(place, index, f"{match['before']}{match['item']}:")


@kind
def secret_written_wrongly(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"\{file: [^}]*\}|(?<=env: )[A-Z_]+$")
    if picked is None:
        return None
    index, match = picked
    texts = ["{env: $P}", "{env: ${P}}", "hunter2", "{ env P }", "{envv: P}", "${pw}", "{env: P, file: x}", "$P"]
    if match[0][0] != "{":
        texts = ["$P", "${P}", "[P]", "{P: x}", "my password", "12", "%P%"]
    return _replaced(place, index, _sub(place.lines[index], match, choose.choice(texts)))


@kind
def variable_broken(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"\$\{(?P<name>\w+)\}")
    if picked is None:
        return None
    index, match = picked
    name = match["name"]
    texts = [
        f"${{{misspelt(name, choose)}}}",
        f"${{{name}",
        f"${name}",
        f"{{{{ {name} }}}}",
        f"${{{name}-x}}",
        f"$({name})",
        f"{{{name}}}",
    ]
    return _replaced(place, index, _sub(place.lines[index], match, choose.choice(texts)))


@kind
def template_brace_broken(place: MutatedLine, choose: random.Random) -> Change:
    picked = _pick(place, choose, r"\{(?P<name>exchange|symbol|id|vehicle)\}")
    if picked is None:
        return None
    index, match = picked
    texts = [
        f"{{{match['name']}",
        f"{match['name']}}}",
        "{}",
        f"{{{match['name']} x}}",
        f"<{match['name']}>",
        f"*{match['name']}",
    ]
    if "{exchange}.{symbol}" in place.lines[index] and place.entry[index]:
        return None
    return _replaced(place, index, _sub(place.lines[index], match, choose.choice(texts)))


@kind
def typographic_character(place: MutatedLine, choose: random.Random) -> Change:
    match choose.randrange(4):
        case 0:
            picked = _pick(place, choose, r"""(?P<q>["'])(?P<text>[^"',]*)(?P=q)""")
            return picked and _replaced(
                place,
                picked[0],
                _sub(place.lines[picked[0]], picked[1], f"“{picked[1]['text']}”"),
                not place.is_free_text(picked[0]),
            )
        case 1:
            index = choose.choice([index for index in place.content() if place.lines[index][0] == " "])
            return _replaced(place, index, "\u00a0" + place.lines[index][1:])
        case 2:
            picked = _pick(place, choose, r"(?<=^) *(?P<dash>-)(?= )")
            return picked and _put(place, picked, "–", "dash")
        case _:
            index, match = choose.choice(_keys(place))
            return _replaced(place, index, _sub(place.lines[index], match, match["key"] + "\u200b", "key"))


@kind
def line_lost(place: MutatedLine, choose: random.Random) -> Change:
    """A required key is gone; what is left of its mapping has to be pointed at."""
    found = [
        index
        for index in place.content()
        if re.match(r" +(lifetime|exchange|source|pattern): ", place.lines[index]) and not place.in_schema[index]
    ]
    found = [index for index in found if place.section[index] in ("messages", "policies")]
    index = choose.choice(found)
    entry = max(one for one in range(index) if place.entry[one])
    return entry, [*place.lines[:index], *place.lines[index + 1 :]], True


BYTES: dict[str, Callable[[str, int], tuple[bytes, bool]]] = {
    "crlf": lambda text, _: (text.replace("\n", "\r\n").encode(), False),
    "byte_order_mark": lambda text, _: (text.encode("utf-8-sig"), False),
    "nul": lambda text, at: ((text[:at] + "\0" + text[at:]).encode(), True),
    "bad_utf8": lambda text, at: (text[:at].encode() + b"\xe9" + text[at:].encode(), True),
    "control_character": lambda text, at: ((text[:at] + "\x07" + text[at:]).encode(), True),
    "utf16": lambda text, _: (text.encode("utf-16"), True),
}


NAMES = (*KINDS, *BYTES)


def mutate(text: str, name: str, seed: int) -> Mutation | None:
    """One mutation of a text; None where its kind finds no place.

    Args:
        text: a valid topology.
        name: of the kind.
        seed: decides about place and form.
    """
    choose = random.Random(f"{name} {seed}")  # noqa: S311  # repeatable, not secret
    if name in BYTES:
        at = choose.randrange(len(text))
        content, must = BYTES[name](text, at)
        return Mutation(name, text.count("\n", 0, at) + 1 if name != "utf16" else 0, content, must)
    try:
        change = KINDS[name](MutatedLine(text.split("\n")), choose)
    except IndexError:  # nothing to choose from
        return None
    if change is None:
        return None
    index, lines, must = change
    changed = "\n".join(lines)
    also = _only_other(text, lines, index) if name in ("declaration_misspelt", "anchor_misspelt") else None
    return Mutation(name, index + 1, changed.encode(), must and means_another_thing(text, changed), also)


def _only_other(text: str, lines: Lines, index: int) -> int | None:
    """Where a name or an anchor stands that was misspelt, if that is one place: nobody can tell which is right."""
    before = text.split("\n")[index]
    found = re.search(r"&(?P<anchor>[a-z_]+)", before) or KEY.match(before)
    assert found
    name = f"*{found['anchor']}" if "anchor" in found.groupdict() else found["key"].strip("\"'")
    whole = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])")
    places = [number for number, line in enumerate(lines, start=1) if whole.search(line[: comment_at(line)])]
    return places[0] if len(places) == 1 else None


def means_another_thing(before: str, after: str) -> bool:
    """Whether YAML reads two texts differently."""
    try:
        return _read(before) != _read(after)
    except (yaml.YAMLError, ValueError, TypeError):
        return True


class _Loader(yaml.CSafeLoader):
    """With duplicate keys refused, as YAML wants it."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    pairs = loader.construct_pairs(node, deep=True)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise yaml.YAMLError("duplicate key")
    return result


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _read(text: str) -> str:
    return repr(yaml.load(text, Loader=_Loader))  # noqa: S506  # made of SafeLoader
