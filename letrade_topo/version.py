"""The version of this package, for programs that run for long: `importlib.metadata` brings 2 MB of modules with it."""

from typing import Final

VERSION: Final = "0.1.0"
"""As in `pyproject.toml`."""
