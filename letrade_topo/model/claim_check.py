"""The claim check: where bodies lie that are too large for the broker, how large they may be, for how long they lie.

It does not know how an object is written or read.
"""

from __future__ import annotations

from dataclasses import dataclass

from letrade_topo.model.units import ByteSize, Duration

DEFAULT_FOLDER = ".letrade/claims"
DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """How bodies over `limits.message_size` travel.

    Args:
        store: the object store: a folder, by default `.letrade/claims` beside this file, or a URL such as
            `s3://bucket/prefix`. Never with credentials.
        max_size: largest body; an agent holds it in memory, and reads it as a whole.
        retention: how long an object is kept at least. Its message is worth nothing afterwards.
    """

    store: str = DEFAULT_FOLDER
    max_size: ByteSize = ByteSize(16 * 1024 * 1024)
    retention: Duration = Duration(30 * DAY_MILLISECONDS)

    @property
    def is_folder(self) -> bool:
        """Whether the store is a folder of this machine, or of a volume that is mounted here."""
        return "://" not in self.store or self.store.startswith("file://")
