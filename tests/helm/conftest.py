"""Charts that take the agent as a dependency, made once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.helm.helm import Chart, with_library


@pytest.fixture(scope="session")
def plain_charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Chart]]:
    """A Deployment, a StatefulSet and a Job of somebody else, by kind."""
    folder = tmp_path_factory.mktemp("charts-")
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(with_library(f"plain-{kind.lower()}", folder))
            for kind in ("Deployment", "StatefulSet", "Job")
        }
