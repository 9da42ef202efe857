"""The object store as the event loop sees it: it waits, the loop does not."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from letrade_agent.filters.verdicts import Fetched
from letrade_agent.limits import DEFAULT_LIMITS, ObjectStoreLimits
from letrade_agent.measures import Measures
from letrade_agent.object_store.objects import Objects

from letrade_topo.claims.store import ObjectStore, StoreUnavailable
from letrade_topo.messages.claim import Claim
from letrade_topo.model.claim_check import ClaimCheck

CALLS = DEFAULT_LIMITS.object_store.calls
NAME = f"test/t/shop/2026-01-01/{'0' * 32}"


class Logged(list[str]):
    """The events that were logged."""

    def __call__(self, level: str, event: str, particulars: Mapping[str, object]) -> None:
        """Note one."""
        self.append(event)


def objects(folder: Path, call_seconds: float = 30.0) -> tuple[Objects, Measures, Logged]:
    """A store in a folder."""
    measures, log = Measures(), Logged()
    made = Objects(measures, log, ObjectStoreLimits(call_seconds=call_seconds))
    made.store = ObjectStore(ClaimCheck(store=str(folder / "claims")))
    made.store.prepare()
    return made, measures, log


def test_what_was_stored_is_fetched(tmp_path: Path) -> None:
    """With its digest; another digest, another size and no object at all are told apart."""
    store, measures, _ = objects(tmp_path)

    async def use() -> list[Fetched]:
        digest = await store.put(NAME, b"body")
        claims = [
            Claim(NAME, digest, 4, 1),
            Claim(NAME, "0" * 64, 4, 1),
            Claim(NAME, digest, 3, 1),
            Claim(NAME + "1", digest, 4, 1),
        ]
        return [await store.get(claim) for claim in claims]

    good, *bad = asyncio.run(use())
    assert good == Fetched(b"body")
    assert [one.reason for one in bad] == ["claim_altered", "claim_altered", "claim_missing"]
    assert measures.claims == {
        ("store", "ok"): 1,
        ("fetch", "ok"): 1,
        ("fetch", "claim_altered"): 2,
        ("fetch", "claim_missing"): 1,
    }
    assert measures.claim_bytes == {"store": 4, "fetch": 4}


def test_a_store_that_hangs(tmp_path: Path) -> None:
    """Each call ends in time, the loop goes on meanwhile, and there are never more threads than slots."""
    # the machine itself may do nothing for a moment, in one of them
    assert any(_longest_wait_while_it_hangs(tmp_path / str(number)) < 0.4 for number in range(3))


class Hanging(ObjectStore):
    """A store that does not answer until it is let go."""

    let_go = threading.Event()

    def get(self, name: str, size: int) -> bytes | None:
        """Wait."""
        self.let_go.wait()
        return None


def _longest_wait_while_it_hangs(folder: Path) -> float:
    """Seconds for which the loop did nothing."""
    store, measures, log = objects(folder, call_seconds=0.5)
    store.store = Hanging(ClaimCheck(store=str(folder / "claims")))
    claim = Claim(NAME, "0" * 64, 4, 1)

    async def use() -> float:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                start = time.perf_counter()
                await asyncio.sleep(0.01)
                longest = max(longest, time.perf_counter() - start)

        watching = asyncio.create_task(watch())
        answers = await asyncio.gather(*[store.get(claim) for _ in range(CALLS + 2)], return_exceptions=True)
        watching.cancel()
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        return longest

    try:
        longest = asyncio.run(use())
    finally:
        Hanging.let_go.set()
    assert measures.claims["fetch", "unavailable"] == CALLS + 2
    assert log == ["claim_store_fails"]
    Hanging.let_go.clear()
    return longest


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket", "larger"])
def test_what_is_no_object_is_altered(tmp_path: Path, kind: str) -> None:
    """It is not opened for longer than it takes to see that; nothing waits for it, and nothing reads it to an end."""
    store, _, _ = objects(tmp_path, call_seconds=5)
    path = tmp_path / "claims" / NAME
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as unix:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "socket":
                folder = os.open(path.parent, os.O_RDONLY)
                unix.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's name has 108 bytes at most
                os.close(folder)
            case "larger":
                path.write_bytes(bytes(10_000_000))
        found = asyncio.run(store.get(Claim(NAME, "0" * 64, 4, 1)))
    assert found.reason == "claim_altered"


def test_a_store_that_comes_back(tmp_path: Path) -> None:
    """The log says once that it fails, and once that it works."""
    store, _, log = objects(tmp_path)
    folder = tmp_path / "claims"

    async def use() -> None:
        folder.rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.put(NAME, b"body")
        (tmp_path / "away").rename(folder)
        await store.put(NAME, b"body")
        await store.put(NAME, b"body")

    asyncio.run(use())
    assert log == ["claim_store_fails", "claim_store_works"]
    assert not (tmp_path / "away").exists()


def test_no_thread_to_be_had(tmp_path: Path) -> None:
    """A call that finds no thread fails as one that finds no store, and gives its slot back for when there is one."""
    store, measures, log = objects(tmp_path)

    async def use() -> None:
        before = threading.stack_size(1 << 46)  # no machine has room for a stack of 64 TiB
        try:
            for _ in range(CALLS + 1):
                with pytest.raises(StoreUnavailable, match="no thread"):
                    await store.put(NAME, b"body")
        finally:
            threading.stack_size(before)
        await store.put(NAME, b"body")

    asyncio.run(use())
    assert measures.claims == {("store", "unavailable"): CALLS + 1, ("store", "ok"): 1}
    assert log == ["claim_store_fails", "claim_store_works"]


def test_without_a_store(tmp_path: Path) -> None:
    """A delivery that needs one waits, as for one that is away."""
    store, _, _ = objects(tmp_path)
    store.store = None
    with pytest.raises(StoreUnavailable, match="no `claim_check`"):
        asyncio.run(store.get(Claim(NAME, "0" * 64, 4, 1)))
