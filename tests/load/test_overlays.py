"""Overlays change a topology, and every value keeps the position of the file that said it."""

from __future__ import annotations

from pathlib import Path

import pytest

from letrade_topo.load.diagnostics import Location
from letrade_topo.load.source_text import SourceText
from letrade_topo.load.topology_file import LoadedTopology, load_sources, load_topology
from letrade_topo.model.security import SecretReference, SecretSource
from tests.load.marked import HEADER, diagnostics


def loaded(*texts: str) -> LoadedTopology:
    """A topology of a file and overlays."""
    return load_sources([SourceText(f"{number}.yaml", Path(), text) for number, text in enumerate(texts)])


def test_mappings_merge_deeply_and_lists_replace() -> None:
    """What an overlay does not say stays."""
    base = HEADER + "limits: {max_queues: 50, delivery_limit: 5}\nignore: ['queue:a', 'queue:b']\n"

    topology = loaded(base, "limits: {delivery_limit: 7}\nignore: ['queue:c']\n").topology

    assert (topology.limits.max_queues, topology.limits.delivery_limit) == (50, 7)
    assert topology.ignore == ("queue:c",)


def test_null_removes() -> None:
    """An empty value takes an entry away."""
    topology = loaded(HEADER + "exchanges: {x: {}, y: {}}\n", "exchanges:\n  x:\n").topology

    assert list(topology.exchanges) == ["y"]


def test_the_last_overlay_wins() -> None:
    """Overlays apply in their order."""
    assert loaded(HEADER, "environment: a\n", "environment: b\n").topology.environment == "b"


def test_an_overlay_of_comments_changes_nothing() -> None:
    """A file that is prepared for later is fine."""
    assert loaded(HEADER, "# nothing yet\n").topology == loaded(HEADER).topology


def test_removing_what_is_not_there_is_a_warning() -> None:
    """A misspelt removal would keep what it was to remove."""
    (item,) = diagnostics(HEADER + "exchanges: {orders: {}}\n", "exchanges:\n  order:\n")

    assert (item.rule, str(item.location)) == ("overlay-removes-nothing", "overlay-1.yaml:2:3")


def test_a_problem_is_reported_in_the_file_that_said_it() -> None:
    """Position and quoted line are those of the overlay."""
    (item,) = diagnostics(HEADER + "exchanges: {orders: {}}\n", "exchanges:\n  orders: {type: topik}\n")

    assert (str(item.location), item.excerpt) == ("overlay-1.yaml:2:18", "  orders: {type: topik}")


def test_an_alias_is_not_changed_by_an_overlay_of_its_other_use() -> None:
    """Two entries that share a value by an anchor are two entries."""
    base = HEADER + "exchanges:\n  x: &x {type: topic, durable: true}\n  y: *x\n"

    topology = loaded(base, "exchanges: {x: {durable: false}}\n").topology

    assert (topology.exchanges["x"].durable, topology.exchanges["y"].durable) == (False, True)


def test_positions_of_values_and_keys() -> None:
    """Values and keys are found in the file that said them; what is not there, at what is nearest."""
    sources = loaded(
        HEADER + "exchanges:\n  orders:\n    type: topic\n", "exchanges: {orders: {durable: false}}\n"
    ).sources

    assert Location("0.yaml", 7, 11) == sources.locate(("exchanges", "orders", "type"))
    assert Location("0.yaml", 7, 5) == sources.locate_key(("exchanges", "orders", "type"))
    assert Location("0.yaml", 6, 3) == sources.locate_key(("exchanges", "orders"))
    assert Location("1.yaml", 1, 31) == sources.locate(("exchanges", "orders", "durable"))
    assert Location("0.yaml", 7, 5) == sources.locate(("exchanges", "orders", "nowhere", 5))
    assert Location("0.yaml", 1, 1) == sources.locate(())


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    """A password file beside an overlay is found from anywhere."""
    (tmp_path / "base").mkdir()
    (tmp_path / "production").mkdir()
    base = tmp_path / "base" / "topology.yaml"
    overlay = tmp_path / "production" / "overlay.yaml"
    base.write_text(HEADER + "broker: {ca_file: ca.pem}\nusers: {u: {password: {file: /etc/u}}, v: {}}\n")
    overlay.write_text("users: {v: {password: {file: secrets/v}}}\n")

    topology = load_topology(base, overlays=[overlay]).topology

    assert str(tmp_path / "base" / "ca.pem") == topology.broker.ca_file
    assert SecretReference(SecretSource.FILE, "/etc/u") == topology.users["u"].password
    assert SecretReference(SecretSource.FILE, str(tmp_path / "production/secrets/v")) == topology.users["v"].password


@pytest.mark.parametrize("overlay", ["- a\n", "text\n"])
def test_an_overlay_that_is_no_mapping(overlay: str) -> None:
    """It is refused at its own place."""
    (item,) = diagnostics(HEADER, overlay)

    assert (item.rule, str(item.location)) == ("wrong-type", "overlay-1.yaml:1:1")


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        ("exchanges:\n", "overlay-1.yaml:1:1"),
        ("environment: e\nexchanges:\n  x:\n  y:\n", "overlay-1.yaml:2:1"),
        ("ignore: []\n", "overlay-1.yaml:1:1"),
    ],
)
def test_an_overlay_that_empties_a_section_is_a_warning(overlay: str, place: str) -> None:
    """By removing it, each of its entries, or by an empty list: everything in it would be deleted."""
    base = HEADER + "exchanges: {x: {}, y: {}}\nignore: ['queue:a']\n"

    (item,) = diagnostics(base, overlay)

    assert (item.rule, str(item.location)) == ("empty-section", place)


def test_an_overlay_that_leaves_something_is_none() -> None:
    """One entry fewer is what overlays are for, and what was empty before is no loss."""
    assert not diagnostics(HEADER + "exchanges: {x: {}, y: {}}\nqueues: {}\n", "exchanges:\n  x:\nqueues: {}\n")
