"""How a delivery is treated, by its queue and exchange alone; of the message itself it knows nothing."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from letrade_agent.config import Undeclared
from letrade_agent.filters.declared import KEPT_NAMES, OTHER_LABEL, Declared, QueueKind
from letrade_topo.model.security import Enforcement


class Treatment(Enum):
    """What is done with what arrives there."""

    JUDGED = "judged"
    WARNED = "warned"
    OFF = "off"
    UNDECLARED = "undeclared"


class Treated(NamedTuple):
    """How deliveries of a queue from an exchange are treated.

    Attributes:
        treatment: of them.
        label: of metrics: the declared queue, or "_other".
    """

    treatment: Treatment
    label: str


class Treatments:
    """Of all queues and exchanges.

    Args:
        declared: the topology's names.
        undeclared: what becomes of queues and exchanges that the topology does not know.

    Attributes:
        of: how deliveries of a queue from an exchange are treated; what repeats is looked up.
    """

    def __init__(self, declared: Declared, undeclared: Undeclared) -> None:
        self._declared = declared
        self._passes = undeclared is Undeclared.PASS
        self.of = lru_cache(maxsize=KEPT_NAMES)(self._find)

    def judged_label(self, queue: str, exchange: bytes) -> str | None:
        """The label of metrics, where what arrives is judged; else None."""
        treatment, label = self.of(queue, exchange)
        return label if treatment is Treatment.JUDGED else None

    def _find(self, queue: str, exchange: bytes) -> Treated:
        source = exchange.decode(errors="replace")
        kind = self._declared.queue_kind(queue)
        label = queue if queue in self._declared.topology.queues else OTHER_LABEL
        if kind is QueueKind.REPLY_TO and (self._passes or self._declared.service.direct_reply_to):
            return Treated(Treatment.UNDECLARED, label)
        if self._passes and kind is QueueKind.UNKNOWN:
            return Treated(Treatment.UNDECLARED, label)
        if self._passes and kind is QueueKind.RUN_TIME and not self._declared.knows_exchange(source):
            return Treated(Treatment.UNDECLARED, label)
        match self._declared.mode_of(queue, source):
            case Enforcement.OFF:
                return Treated(Treatment.OFF, label)
            case Enforcement.WARN:
                return Treated(Treatment.WARNED, label)
            case _:
                return Treated(Treatment.JUDGED, label)
