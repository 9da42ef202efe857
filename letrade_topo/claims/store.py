"""Objects written, read, counted and deleted through fsspec. Every call waits: keep it off event loops.

Whatever goes wrong with a store, a wrong password or a missing bucket among it, is `StoreUnavailable`: it may be right
again later. That an object is not there is said only of a store that is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from letrade_topo.errors import TopoError
from letrade_topo.model.claim_check import ClaimCheck
from letrade_topo.reading import CannotRead, Trouble, Trust, open_to_everybody, read_file

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 20
_S3_OPTIONS: Final[dict[str, Any]] = {
    "use_listings_cache": False,
    "skip_instance_cache": True,
    "config_kwargs": {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"max_attempts": 1},
    },
}
_LONGEST_PROBLEM: Final = 200

Result = TypeVar("Result")


class StoreUnusable(TopoError):
    """The store cannot be used at all: a package is missing, or a folder cannot be made."""


class StoreUnavailable(TopoError):
    """The store does not answer, or refuses; another try may succeed."""


class ObjectStore:
    """The store of a topology. Its methods may be called from several threads at once.

    Args:
        claim_check: where it is.

    Raises:
        StoreUnusable: a package that it needs is not installed.
    """

    def __init__(self, claim_check: ClaimCheck) -> None:
        self._is_folder = claim_check.is_folder
        self._url = claim_check.store
        try:
            from fsspec.core import url_to_fs

            options = _S3_OPTIONS if claim_check.store.startswith("s3://") else {}
            self._fs, root = url_to_fs(claim_check.store, **options)
        except ImportError as error:
            raise StoreUnusable(
                f"the claim check's store {claim_check.store} needs a package that is not installed",
                why=str(error),
                fix="pip install 'letrade-topo[claim-check]'",
            ) from None
        except ValueError as error:
            raise StoreUnusable(f"{claim_check.store} is no object store", why=str(error)) from None
        if hasattr(self._fs, "retries"):
            self._fs.retries = 1  # of s3fs itself, beside those of botocore
        self._root = str(root).rstrip("/")

    def __str__(self) -> str:
        return self._url

    def prepare(self) -> None:
        """Make the folder, if it is one. Once, at the start: a volume that goes away later is not replaced.

        Raises:
            StoreUnusable: it cannot be made.
        """
        if not self._is_folder:
            return
        try:
            Path(self._root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(
                f"cannot make the claim check's folder {self._root}",
                why=error.strerror or str(error),
                fix="make it yourself, or name another `claim_check.store` in topology.yaml",
            ) from None

    def open_to_everybody(self) -> Path | None:
        """The store's folder, or one on the way to it, if everybody on this machine may change it.

        Whoever may can delete bodies and lay links in their way. None of it passes for a body: that has its digest in
        the signed message.
        """
        if not self._is_folder:
            return None
        try:
            return open_to_everybody(Path(self._root))
        except OSError:
            return None  # then it cannot be used either, which is said where it is tried

    def put(self, name: str, body: bytes) -> None:
        """Write an object; it is there for good when this returns.

        Raises:
            StoreUnavailable: it could not be written.
        """
        self._guarded(lambda: self._put(f"{self._root}/{name}", body))

    def get(self, name: str, size: int) -> bytes | None:
        """An object's content, but never more than `size` + 1 bytes; None: it is not there.

        Raises:
            StoreUnavailable: it could not be read.
        """
        return self._guarded(lambda: self._get(f"{self._root}/{name}", size))

    def size_of(self, name: str) -> int | None:
        """How large an object is, in bytes; None: it is not there.

        Raises:
            StoreUnavailable: that cannot be known now.
        """

        def look() -> int | None:
            try:
                return int(self._fs.info(f"{self._root}/{name}")["size"])
            except FileNotFoundError:
                self._check_is_there()
                return None

        return self._guarded(look)

    def delete_before(self, prefix: str, first_kept: date) -> int:
        """Delete what was written before a day; how many objects that were.

        Args:
            prefix: of the objects of a service.
            first_kept: the earliest day that is kept.

        Raises:
            StoreUnavailable: not all of it could be done.
        """

        def sweep() -> int:
            deleted = 0
            for folder in self._folders(f"{self._root}/{prefix}"):
                day = _day(folder.rstrip("/").rpartition("/")[2])
                if day is not None and day < first_kept:
                    deleted += len(self._fs.find(folder))
                    self._fs.rm(folder, recursive=True)
            return deleted

        return self._guarded(sweep)

    def _put(self, path: str, body: bytes) -> None:
        if not self._is_folder:
            self._fs.pipe_file(path, body)
            return
        self._check_is_there()
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._fs.open(path, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())  # the broker's confirm promises as much

    def _get(self, path: str, size: int) -> bytes | None:
        if self._is_folder:
            return self._read(Path(path), size)
        try:
            return bytes(self._fs.cat_file(path, start=0, end=size + 1))
        except FileNotFoundError:
            self._check_is_there()
            return None
        except OSError:
            if self._fs.info(path)["size"] != size:  # S3 knows no range of an empty object
                return b""
            raise

    def _read(self, path: Path, size: int) -> bytes | None:
        """A file's content; of what is no file, nothing: that is not what was signed, and may have no end."""
        try:
            return read_file(path, trust=Trust.SHOWN, most=size + 1)
        except CannotRead as error:
            match error.trouble:
                case Trouble.MISSING:
                    self._check_is_there()
                    return None
                case Trouble.UNREADABLE:
                    raise StoreUnavailable(f"the store {self} cannot be used now", why=str(error)) from None
                case Trouble.TOO_BIG:
                    return bytes(size + 1)
                case _:
                    return b""

    def _folders(self, path: str) -> list[str]:
        try:
            return [str(name) for name in self._fs.ls(path, detail=False)]
        except FileNotFoundError:
            return []

    def _check_is_there(self) -> None:
        """Whether there is a store in which an object could be missing."""
        root = self._root if self._is_folder else self._root.partition("/")[0]
        if not self._fs.exists(root):
            raise StoreUnavailable(f"the store {self} is not there")

    def _guarded(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  # each kind of store has errors of its own
            text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_PROBLEM]
            raise StoreUnavailable(f"the store {self} cannot be used now", why=text) from None


def first_kept_day(now: float, retention_seconds: float) -> date:
    """The earliest day some of whose objects are not past their retention yet.

    Args:
        now: seconds since the epoch.
        retention_seconds: how long an object is kept at least.
    """
    return (datetime.fromtimestamp(now, UTC) - timedelta(seconds=retention_seconds)).date()


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if len(name) == 10 else None
    except ValueError:
        return None
