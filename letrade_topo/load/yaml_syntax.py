"""What libyaml's syntax errors mean, in words for somebody who writes a topology."""

from __future__ import annotations

import yaml

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.source_text import SourceText

_EXPLANATIONS: tuple[tuple[str, str, str, str], ...] = (
    # a piece of libyaml's problem text, what is wrong, why, what to do
    (
        "tab character",
        "a tab is used for indentation",
        "YAML is indented with spaces only.",
        "Replace the tab by spaces.",
    ),
    (
        "mapping values are not allowed",
        "a colon that YAML does not expect here",
        "Either the line is indented differently from its neighbours, or the line before it lacks its own colon, "
        "or a text contains a colon followed by a space.",
        "Align the line with its neighbours; put a text with a colon in quotes.",
    ),
    (
        "expected ',' or ']'",
        "a list in brackets is not closed",
        "It begins with [ and YAML expects , or ] here.",
        "Add the missing comma or bracket; a text that contains , [ ] { or }, such as ${variable}, needs quotes.",
    ),
    (
        "expected ',' or '}'",
        "a mapping in braces is not closed",
        "It begins with { and YAML expects , or } here.",
        "Add the missing comma or brace; a text that contains , [ ] { or }, such as ${variable}, needs quotes.",
    ),
    (
        "unexpected end of stream",
        "a quoted text is not closed",
        "The file ends before the closing quote: it is cut off, or the quote is missing.",
        "Add the closing quote.",
    ),
    (
        "unexpected document indicator",
        "a quoted text is not closed",
        "A new document begins before the closing quote.",
        "Add the closing quote.",
    ),
    (
        "expected '-' indicator",
        "a line does not belong to the list above it",
        "At this indentation YAML expects the next `- item`.",
        "Indent the line as what it belongs to, or begin it with `- `.",
    ),
    (
        "block collection: expected <block end>",  # PyYAML's own parser, where libyaml is not there
        "a line does not belong to the list above it",
        "At this indentation YAML expects the next `- item`.",
        "Indent the line as what it belongs to, or begin it with `- `.",
    ),
    (
        "expected <block end>",
        "a line does not fit the mapping that it stands in",
        "YAML expects `key: value` here: the indentation differs from the neighbours', or a quote or bracket "
        "before this place is missing or one too many.",
        "Align the line with its neighbours, and check the line before it.",
    ),
    (
        "expected key",
        "a line does not fit the mapping that it stands in",
        "YAML expects `key: value` here: the indentation differs from the neighbours', or a quote or bracket "
        "before this place is missing or one too many.",
        "Align the line with its neighbours, and check the line before it.",
    ),
    (
        "could not find expected ':'",
        "a line is neither `key: value` nor part of the value above it",
        "The colon after the key is missing, or the space after the colon, or the file is cut off here.",
        "Write `key: value`, with a space after the colon.",
    ),
    (
        "unknown escape character",
        "an unknown escape in a double-quoted text",
        "In double quotes a backslash begins an escape such as \\n.",
        "Use single quotes, in which a backslash is only itself, or write it twice.",
    ),
    (
        "expected node content",
        "a value is missing",
        "A list or mapping begins, and nothing that YAML knows follows.",
        "Write the value, or remove a bracket or comma too many; the file may be cut off here.",
    ),
    (
        "incompatible YAML document",
        "an unknown YAML version is asked for",
        "Only YAML 1.1 and 1.2 are known.",
        "Remove the %YAML line.",
    ),
)


def explain(error: yaml.YAMLError, source: SourceText) -> tuple[Location, str, str, str]:
    """Where a syntax error is, what is wrong, why, and what to do."""
    problem = str(getattr(error, "problem", None) or "").strip()
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    location = _location(source, mark.line, mark.column) if mark else Location(source.name)
    context = str(getattr(error, "context", None) or "")
    what, why, fix = _words(context, problem, source, location)
    begin = getattr(error, "context_mark", None)
    if begin is not None and (begin.line + 1, begin.column + 1) != (location.line, location.column) and context:
        beginning = Location(source.name, begin.line + 1, begin.column + 1)
        why = f"{why} The reader was {context.removeprefix('while ')} that begins at {beginning}."
    return location, what, why, fix


def _location(source: SourceText, line: int, column: int) -> Location:
    """A place behind the last text is moved to its end, where people can see something."""
    if any(
        text.strip()
        for text in (source.lines[line][column:] if line < len(source.lines) else "", *source.lines[line + 1 :])
    ):
        return Location(source.name, line + 1, column + 1)
    while line > 0 and (line >= len(source.lines) or not source.lines[line].strip()):
        line -= 1
    return Location(source.name, line + 1, len(source.lines[line].rstrip()) + 1)


def _words(context: str, problem: str, source: SourceText, location: Location) -> tuple[str, str, str]:
    if "cannot start any token" in problem:
        return _token(source, location)
    for piece, what, why, fix in _EXPLANATIONS:
        if piece in f"{context}: {problem}":
            return what, why, fix
    return "this is not YAML", f"The YAML reader says: {problem or 'unknown problem'}.", "Correct the syntax here."


def _token(source: SourceText, location: Location) -> tuple[str, str, str]:
    line = source.lines[location.line - 1] if 0 < location.line <= len(source.lines) else ""
    character = line[location.column - 1 : location.column]
    if "\t" in line[: location.column] or character == "\t":
        return "a tab is used for indentation", "YAML is indented with spaces only.", "Replace the tab by spaces."
    return (
        f"a text may not begin with {character or 'this character'}",
        "The character has a meaning of its own in YAML.",
        "Put the text in quotes.",
    )
