"""The filters in force, which a new key set or topology exchanges.

Whoever relays messages (see `letrade_agent.relay`) knows of the filters only this module, `decisions`, `verdicts`,
`rulings`, `copies` and their words.
"""

from __future__ import annotations

from letrade_agent.filters.decisions import Outbound
from letrade_agent.filters.rulings import Declares
from letrade_agent.filters.verdicts import Inbound


class Filters:
    """The filters in force. Shared by all connections; a new key set or topology puts new ones in place.

    Attributes:
        outbound, inbound, declares: as named.
    """

    __slots__ = ("declares", "inbound", "outbound")

    def __init__(self, outbound: Outbound, inbound: Inbound, declares: Declares) -> None:
        self.outbound = outbound
        self.inbound = inbound
        self.declares = declares
