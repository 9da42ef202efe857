"""The listing of everything that the shipped topology implies, for one version of the broker.

`python -m tests.expand.golden` writes the files anew; the difference is then reviewed like code.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.topologies import expanded, shipped

FILES = {
    "3.10.8": Path(__file__).with_name("golden-3.10.txt"),
    "4.0.5": Path(__file__).with_name("golden-4.0.txt"),
    "4.3.6": Path(__file__).with_name("golden-4.0.txt"),  # nothing of what it implies is new since
}


def listing(version: str) -> str:
    """One line for each object, by address; then the policy in effect on each queue."""
    state = expanded(shipped(), version)
    lines = [f"{address} {json.dumps(one.object.attributes)}" for address, one in sorted(state.objects.items())]
    lines += [f"in effect on {queue}: {policy}" for queue, policy in sorted(state.policies.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for one, path in FILES.items():
        path.write_text(listing(one), encoding="utf-8")
