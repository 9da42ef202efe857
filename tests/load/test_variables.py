"""Variables: defaults in the file, values from outside, types from the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import load_sources
from letrade_topo.model.topology import Topology
from tests.load.marked import HEADER, diagnostics


def loaded(text: str, variables: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> Topology:
    """The model of a text."""
    texts = [SourceText("topology.yaml", Path(), HEADER + text)]
    return load_sources(texts, variables=variables, environment=environment).topology


TEXT = "variables: {env: dev, most: 50}\nenvironment: bus-${env}-${most}\nlimits: {max_queues: '${most}'}\n"


def test_defaults_hold_when_nobody_says_otherwise() -> None:
    """Inside text, and as a number where the default is one."""
    topology = loaded(TEXT)

    assert (topology.environment, topology.limits.max_queues) == ("bus-dev-50", 50)


def test_values_from_outside_replace_defaults() -> None:
    """They have the type of the default, and a flag comes before the environment."""
    topology = loaded(TEXT, {"most": "60"}, {"ENV": "prod", "MOST": "70"})

    assert (topology.environment, topology.limits.max_queues) == ("bus-prod-60", 60)


def test_a_text_stays_a_text() -> None:
    """A value that looks like a number or a boolean is text where the default is."""
    assert loaded("variables: {env: dev}\nenvironment: ${env}\n", {"env": "1.2"}).environment == "1.2"
    assert loaded("variables: {env: dev}\nenvironment: ${env}\n", {"env": "true"}).environment == "true"


def test_a_variable_of_the_wrong_type_for_its_place() -> None:
    """A text is no number, whatever it looks like."""
    (item,) = diagnostics(HEADER + "variables: {most: '50'}\nlimits:\n  max_queues: ${most}\n")

    assert (item.rule, item.location.line, item.location.column) == ("wrong-type", 7, 15)


def test_an_escaped_reference_is_literal() -> None:
    """Also where the text is shared by an alias."""
    topology = loaded("variables: {x: y}\nenvironment: &e a$${x}b\nexchanges: {e: {description: *e}}\n")

    assert (topology.environment, topology.exchanges["e"].description) == ("a${x}b", "a${x}b")


def test_a_value_is_not_read_again() -> None:
    """What a value contains is not a reference."""
    assert loaded("variables: {x: y}\nenvironment: ${x}\n", {"x": "${x}"}).environment == "${x}"


@pytest.mark.parametrize("where", [{"variables": {"enw": "x"}}, {"environment": {"ENW": "x"}}])
def test_a_value_for_an_undeclared_variable_is_an_error(where: dict[str, dict[str, str]]) -> None:
    """A misspelt --var would change nothing."""
    (item,) = diagnostics(HEADER + "variables: {env: dev}\n", **where)

    assert (item.rule, item.location.line, item.location.column) == ("undeclared-variable", 5, 1)


def test_a_near_name_is_suggested() -> None:
    """In a reference as well."""
    (item,) = diagnostics(HEADER + "variables: {environment: dev}\nenvironment: ${enviroment}\n")

    assert item.fix == "Did you mean 'environment'?"


@pytest.mark.parametrize(("default", "value"), [("5", "five"), ("true", "yes"), ("1.5", "x")])
def test_a_value_of_another_type_than_the_default(default: str, value: str) -> None:
    """It is refused at the declaration, and not quoted: it may be a secret by mistake."""
    (item,) = diagnostics(HEADER + f"variables: {{v: {default}}}\n", variables={"v": value})

    assert (item.rule, item.location.line, item.location.column) == ("variable-value", 5, 13)
    assert value not in item.why.split()


def test_an_overlay_may_change_a_default() -> None:
    """Variables are replaced after overlays are merged."""
    assert list(diagnostics(HEADER + "variables: {e: a}\nenvironment: ${e}\n", "variables: {e: b}\n")) == []
