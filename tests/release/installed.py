"""Run by script/release in an empty environment: what was installed is whole. Standard library and the project alone.

python -I installed.py VERSION TREE; TREE has topology.yaml and examples.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import warnings
from importlib.metadata import files, version
from pathlib import Path


def main(expected: str, tree: Path) -> None:
    """Everything can be imported without a warning of ours, both programs run, contract tests pass."""
    import letrade_agent

    import letrade_topo

    assert version("letrade-topo") == expected
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="letrade_")
        for package in (letrade_topo, letrade_agent):
            assert not Path(package.__file__ or "").is_relative_to(tree), "the tree was imported, not what is installed"
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
    names = {str(file) for file in files("letrade-topo") or ()}
    assert not any(name.startswith(("tests/", "bench/", "script/")) for name in names)
    binaries = Path(sys.executable).parent
    for program, *arguments in (
        ["letrade-topo", "--version"],
        ["letrade-agent", "--version"],
        ["letrade-topo", "validate", "--strict", str(tree / "topology.yaml")],
        ["letrade-agent", "run", "--help"],
    ):
        out = subprocess.run([binaries / program, *arguments], capture_output=True, text=True, check=True).stdout
        assert "--version" not in arguments or out.strip().endswith(expected), out
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(tests, cwd=tree / "examples" / "contract-tests", check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
