"""Which threads look at files and open them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest


def threads_that_look(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Mapping[str, set[int]]:
    """By `stat` and `open`, the threads that do that from now on with what lies in a folder."""
    threads: dict[str, set[int]] = {"stat": set(), "open": set()}

    def told(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path).startswith(str(folder)):
                threads[name].add(threading.get_ident())
            return call(path, *arguments, **options)

        return wrapper

    for name in threads:
        monkeypatch.setattr(os, name, told(name, getattr(os, name)))
    return threads
