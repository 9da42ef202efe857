"""What can go wrong on the bus; every error says what to do.

BusError
├── ConfigurationError    settings or topology do not let this service on the bus
├── DestinationError      no such exchange or key: nothing was sent
├── PayloadError          the payload cannot be written as JSON: nothing was sent
├── PatternError          nothing can be subscribed to by this pattern
├── NotConnected          no agent, or no broker behind it: nothing was sent
├── PublishError          it was sent
│   ├── PublishRefused    and refused, with the reason: SchemaRefused, TooLarge, DestinationRefused
│   ├── Unroutable        no queue receives it
│   ├── QueueFull         a queue that receives it takes no more
│   └── Unconfirmed       and nobody said what became of it
├── BatchFailed           some messages of a batch; the others are confirmed
└── RequestTimeout        nobody answered in time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from letrade_topo.errors import TopoError

MOST_SHOWN = 3


class BusError(TopoError):
    """Something on the bus did not work."""


class ConfigurationError(BusError):
    """Settings are missing, or do not fit the topology or what answers at the address."""


class DestinationError(BusError):
    """No message type of the topology has this exchange and key."""


class PayloadError(BusError):
    """A payload is not a JSON object, or holds what JSON has no form for."""


class PatternError(BusError):
    """A subscription pattern is malformed, or matches nothing that this service may consume."""


class NotConnected(BusError):
    """There is no connection; nothing was sent."""


class PublishError(BusError):
    """A message that was sent is not known to be on the broker."""


class PublishRefused(PublishError):
    """The agent (or the broker) refused a message; it says why.

    Attributes:
        code: AMQP reply code, for example 406.
        text: the refusal in its own words.
    """

    def __init__(self, what: str, *, code: int, text: str, fix: str = "") -> None:
        super().__init__(what, why=text, fix=fix)
        self.code = code
        self.text = text


class SchemaRefused(PublishRefused):
    """The payload is not of the message type's schema."""


class TooLarge(PublishRefused):
    """The message is larger than the topology allows."""


class DestinationRefused(PublishRefused):
    """This service may not publish there."""


class Unroutable(PublishError):
    """No queue receives this exchange and key."""


class QueueFull(PublishError):
    """A queue that receives this message takes no more; the message is in none."""


class Unconfirmed(PublishError):
    """The connection was lost, or time was up, before the confirm: the message may be on the broker, or not."""


class BatchFailed(BusError):
    """Some messages of a batch did not make it; all others are confirmed.

    Attributes:
        failures: what became of each that failed, by its index in the batch.
        confirmed: the ids of those that are on the broker, by index.
    """

    def __init__(self, failures: Mapping[int, BusError], confirmed: Mapping[int, str]) -> None:
        shown = [f"message {index}: {_short(failures[index])}" for index in sorted(failures)[:MOST_SHOWN]]
        more = len(failures) - len(shown)
        super().__init__(
            f"{len(failures)} of {len(failures) + len(confirmed)} messages were not published",
            why="; ".join(shown) + (f"; and {more} more" if more > 0 else ""),
            fix="see `failures` of this error: each says what to do; publish only those again",
        )
        self.failures = dict(failures)
        self.confirmed = dict(confirmed)

    @property
    def indexes(self) -> Sequence[int]:
        """Which messages failed, in the order of the batch."""
        return sorted(self.failures)


def _short(failure: BusError) -> str:
    return f"{failure.what}: {failure.why}" if failure.why else failure.what


class RequestTimeout(BusError):
    """No response came in time. The request may have been carried out all the same."""
