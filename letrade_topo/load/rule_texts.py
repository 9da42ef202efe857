"""The rules that a file can break before it is a topology, in words; and all rules together."""

from __future__ import annotations

from collections.abc import Mapping

from letrade_topo.model.rules import RULES, RuleText, Severity

_E, _W = Severity.ERROR, Severity.WARNING

FILE_RULES: tuple[RuleText, ...] = (
    RuleText("unreadable-file", _E, "unreadable file", "The file is missing, a folder, or may not be read."),
    RuleText("file-too-big", _E, "file too big", "A topology file is at most 64 MiB."),
    RuleText("encoding", _E, "not UTF-8 text", "The file is UTF-8 without control characters, as YAML wants it."),
    RuleText("empty-file", _E, "empty file", "The file holds a topology; comments alone are none."),
    RuleText(
        "yaml-syntax", _E, "not YAML", "The file must be readable as YAML; what follows the first mistake is not read."
    ),
    RuleText(
        "several-documents", _E, "second document in one file", "`---` begins another document; a topology is one."
    ),
    RuleText("too-deep", _E, "values nested too deeply", "At most 100 levels."),
    RuleText(
        "too-many-values",
        _E,
        "too many values",
        "At most 1,000,000 values, aliases counted as often as they are used: a few lines of aliases within aliases "
        "can stand for billions.",
    ),
    RuleText(
        "stray-character",
        _E,
        "character that is probably not meant",
        "Half a pair of quotes, a comma at the end of a line, a comment without a space before it, a quote or space "
        "that only looks like one: YAML takes it as part of an unquoted text. In quotes it is taken as meant, and so "
        "is anything in a `description` and in a `schema`.",
    ),
    RuleText(
        "continued-line",
        _E,
        "line that continues the one before",
        "A line that is indented more than its neighbours continues the unquoted text before it, also where it begins "
        "with a dash. Only a `description` and what stands in a `schema` may go over several lines without quotes.",
    ),
    RuleText("duplicate-key", _E, "duplicate key", "YAML readers keep one of the two silently; which one, differs."),
    RuleText("key-not-text", _E, "key is not a text", "Every key is a text; numbers and the like need quotes."),
    RuleText(
        "merge-key", _E, "merge key", "`<<` copies entries from elsewhere. What differs by environment is an overlay."
    ),
    RuleText("duplicate-anchor", _E, "duplicate anchor", "An alias would mean one or the other, by its place."),
    RuleText("unknown-alias", _E, "unknown alias", "An alias names an anchor that stands above it."),
    RuleText(
        "ambiguous-value",
        _E,
        "ambiguous value",
        "YAML 1.1 and 1.2 read some unquoted texts differently (`1:30`, `010`), and JSON has no infinite numbers and "
        "no tags. `yes`, `no`, `on` and `off` are text here; booleans are `true` and `false`. Quotes make text of "
        "anything.",
    ),
    RuleText(
        "overlay-removes-nothing",
        _W,
        "overlay removes nothing",
        "In an overlay an empty value removes an entry; here there is none of that name.",
    ),
    RuleText(
        "empty-section",
        _W,
        "section with nothing in it",
        "A section that is left empty, by a bad merge for example, or that an overlay empties, means that none of its "
        "objects shall be there: `apply` deletes them. `{}` or `[]` says that nothing is meant.",
    ),
)

VARIABLE_RULES: tuple[RuleText, ...] = (
    RuleText(
        "undeclared-variable",
        _E,
        "undeclared variable",
        "`${name}`, `--var` and the environment name variables that `variables` declares with a default.",
    ),
    RuleText(
        "variable-name",
        _E,
        "unusable name of a variable",
        "Letters, digits and underscores, not a digit first, and "
        "different from the others also in upper case. For a literal `${` write `$${`.",
    ),
    RuleText(
        "variable-default",
        _E,
        "unusable default of a variable",
        "A default is a text, a number, true or false; it decides of which type the variable is.",
    ),
    RuleText("variable-value", _E, "value of a variable has the wrong type", "A variable has the type of its default."),
    RuleText(
        "variable-empty",
        _W,
        "variable that expands to nothing",
        "A value that is `${name}` alone is empty when the variable is: a permission, a pattern or a key is gone.",
    ),
    RuleText("variable-in-key", _E, "variable in a key", "Variables are replaced in values only."),
)

SHAPE_RULES: tuple[RuleText, ...] = (
    RuleText("unknown-key", _E, "unknown key", "A key that means nothing is a spelling mistake more often than not."),
    RuleText(
        "misplaced-key",
        _E,
        "key at the wrong level",
        "Indentation says what a key belongs to. One that is known at another level only is indented too far or not "
        "far enough, or the line that it belongs to is missing.",
    ),
    RuleText("missing-key", _E, "missing key", "Some keys have no default."),
    RuleText(
        "missing-value", _E, "missing value", "A key without a value is null in YAML, which is no value of anything."
    ),
    RuleText("wrong-type", _E, "wrong type", "Each key takes text, a number, a boolean, a list or a mapping."),
    RuleText("not-allowed-value", _E, "value not allowed", "Some keys take one of a few words."),
    RuleText("out-of-range", _E, "value out of range", "Numbers have bounds; a broker refuses what lies outside."),
    RuleText("empty-text", _E, "empty text", "Names and paths have at least one character."),
    RuleText("duplicate-item", _E, "duplicate item", "A list of names says each once."),
    RuleText(
        "duration",
        _E,
        "unusable duration",
        "A number and a unit, `ms`, `s`, `m`, `h` or `d`. A bare number could mean seconds or milliseconds.",
    ),
    RuleText("size", _E, "unusable size", "A number and a unit: `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`."),
    RuleText(
        "topology-name",
        _E,
        "unusable name of the topology",
        "A lower-case letter, then at most 62 lower-case letters, digits, `_` and `-`.",
    ),
    RuleText(
        "secret-literal",
        _E,
        "secret in the file",
        "Secrets are references, `{env: NAME}` or `{file: PATH}`: the file is "
        "kept in version control, and read by everybody.",
    ),
    RuleText(
        "secret-reference", _E, "unusable reference of a secret", "Exactly one of `{env: NAME}` and `{file: PATH}`."
    ),
    RuleText("binding-destination", _E, "unclear destination", "A binding leads to one queue or to one exchange."),
    RuleText(
        "key-template",
        _E,
        "unusable key template",
        "Words joined by single dots; a `{variable}` is a word or a part of "
        "one. Wildcards, as whole words, are for patterns in `consumes` only.",
    ),
    RuleText(
        "json-schema",
        _E,
        "unusable JSON Schema",
        "The `schema` of a message type is JSON Schema, draft 2020-12, and refers to nothing outside of itself.",
    ),
    RuleText(
        "json-schema-keyword",
        _W,
        "unknown keyword in a JSON Schema",
        "JSON Schema ignores a keyword that it does not know, so a misspelt one allows everything.",
    ),
    RuleText(
        "json-schema-required",
        _W,
        "required property that is not described",
        "A property that must be there and is not under `properties` is a spelling mistake more often than not.",
    ),
)

FLEET_RULES: tuple[RuleText, ...] = (
    RuleText(
        "topology-twice",
        _E,
        "topology in two files",
        "Of several files that a command is given, no two hold a topology of the same name on the same vhost: one "
        "would delete what the other makes.",
    ),
    RuleText(
        "files-disagree",
        _E,
        "files that disagree",
        "What several files name alike (a user, a global parameter, a vhost, any object of a vhost that they share, "
        "and where the broker is) they declare alike. Passwords agree that are read in the same place, "
        "or are the same.",
    ),
)
"""Of files that one command is given together."""

GROUPS: tuple[tuple[str, tuple[RuleText, ...]], ...] = (
    ("The file", FILE_RULES),
    ("Variables", VARIABLE_RULES),
    ("The shape of values", SHAPE_RULES),
    ("The topology as a whole", tuple(rule.text for rule in RULES)),
    ("Several files together", FLEET_RULES),
)
"""All rules, in the order of the reference page."""

RULE_TEXTS: Mapping[str, RuleText] = {text.id: text for _, texts in GROUPS for text in texts}
"""All rules by id."""
