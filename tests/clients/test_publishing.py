"""Programs as the libraries' documentation writes them publish, with confirms and without, mandatory and not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.brokers import RunningBroker, one_for_each_version
from tests.clients.libraries import INSTALLED, LibraryDefaults
from tests.clients.publishing import publish_good_and_refused
from tests.clients.world import ClientWorld, running_client_world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[RunningBroker], ClientWorld]]:
    """One for each broker: agents, and a queue for each library."""
    slugs = [library.slug for library in INSTALLED]
    with one_for_each_version(
        lambda broker: running_client_world(broker, tmp_path_factory.mktemp("clients-"), slugs)
    ) as made:
        yield made


@pytest.mark.one_version
@pytest.mark.parametrize("library", INSTALLED, ids=lambda library: library.slug)
def test_what_is_good_arrives_and_of_what_is_refused_it_learns(
    library: LibraryDefaults, one_broker: RunningBroker, worlds: Callable[[RunningBroker], ClientWorld]
) -> None:
    """In all four ways of publishing; without confirms some libraries say nothing, which their row tells."""
    publish_good_and_refused(worlds(one_broker), library)
