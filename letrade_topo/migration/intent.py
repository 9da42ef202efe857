"""What a migration is to do, as it is recorded on the broker before its first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from letrade_topo.broker.objects import Queue
from letrade_topo.model.messages import Json


@dataclass(frozen=True, slots=True)
class MigrationIntent:
    """One queue, as it was and as it is to be.

    Args:
        before: as it was found.
        after: as declared.
    """

    before: Queue
    after: Queue

    def to_json(self) -> Json:
        """The value to store; the name is that of the entry."""
        return {"before": self.before.attributes, "after": self.after.attributes}

    @classmethod
    def parse(cls, name: str, value: object) -> Self:
        """Read a stored value.

        Args:
            name: of the queue.
            value: as stored.

        Raises:
            ValueError: it is none.
        """
        match value:
            case {"before": dict(before), "after": dict(after)}:
                return cls(_queue(name, before), _queue(name, after))
            case _:
                raise ValueError(f"the migration of {name!r} is recorded in an unknown way")


def _queue(name: str, attributes: dict[str, Json]) -> Queue:
    match attributes:
        case {"durable": bool(durable), "auto_delete": bool(auto_delete), "arguments": dict(arguments)}:
            return Queue(name, durable, auto_delete, arguments)
        case _:
            raise ValueError(f"the migration of {name!r} is recorded in an unknown way")
