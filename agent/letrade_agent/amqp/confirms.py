"""Publisher confirms of one channel when not every publish reaches the broker.

Client and broker number publishes on their own, each from 1 at its `confirm.select`. A publish that the agent
refuses has a number at the client and none at the broker, so the broker's numbers have to be translated back. A
publish may also be numbered upstream only, when the agent wants confirms and the application does not: its confirm
is swallowed.

The rule that keeps it simple: publishes are decided in order, so both numbers rise together and what a `multiple`
of the broker covers is always the front of the list. Hence a `multiple` towards the client covers exactly those
publishes, and refusals before them, which had their answer at once.
"""

from __future__ import annotations

from collections import OrderedDict

from letrade_topo.amqp.faults import BrokerFault, ReplyCode


class ConfirmLedger:
    """Which publish of the client is which publish upstream, and what is unanswered."""

    __slots__ = ("_client_selected", "_last_client", "_last_upstream", "_pending", "_upstream_selected")

    def __init__(self) -> None:
        self._client_selected = False
        self._upstream_selected = False
        self._last_client = 0
        self._last_upstream = 0
        self._pending: OrderedDict[int, int | None] = OrderedDict()  # a dict's front slows down as it is emptied

    @property
    def client_selected(self) -> bool:
        """Whether the client waits for confirms."""
        return self._client_selected

    @property
    def unanswered(self) -> int:
        """How many publishes the broker has not answered."""
        return len(self._pending)

    def select(self) -> None:
        """The client's confirm.select goes upstream; its publishes count from here. Harmless when repeated."""
        self._client_selected = self._upstream_selected = True

    def select_upstream(self) -> None:
        """The agent sends confirm.select on its own account; the client is told nothing."""
        self._upstream_selected = True

    def accept(self) -> int | None:
        """A publish goes upstream. Gives its number there, None if the broker does not count."""
        client: int | None = None
        if self._client_selected:
            client = self._last_client = self._last_client + 1
        if not self._upstream_selected:
            return None
        upstream = self._last_upstream = self._last_upstream + 1
        self._pending[upstream] = client
        return upstream

    def refuse(self) -> int | None:
        """A publish is refused. Gives the number to nack to the client at once, None without confirms.

        At once means before any later confirm: a `multiple` ack would cover a refusal that is still unanswered.
        """
        if not self._client_selected:
            return None
        self._last_client += 1
        return self._last_client

    def settle(self, delivery_tag: int, multiple: bool) -> tuple[int, bool] | None:
        """The broker acks or nacks. Gives delivery tag and `multiple` for the client, None if it has no part in it.

        Arguments:
            delivery_tag: the broker's number; with `multiple`, 0 stands for all.

        Raises:
            BrokerFault: INTERNAL_ERROR, nothing of that number is unanswered. A guess could confirm a message
                that is lost.
        """
        pending = self._pending
        if not multiple:
            try:
                client = pending.pop(delivery_tag)
            except KeyError:
                raise self._unknown(delivery_tag) from None
            return None if client is None else (client, False)
        if delivery_tag > self._last_upstream:
            raise self._unknown(delivery_tag)
        covered = 0
        last: int | None = None
        highest = delivery_tag or self._last_upstream
        while pending and next(iter(pending)) <= highest:
            _, client = pending.popitem(last=False)
            if client is not None:
                covered += 1
                last = client
        return None if last is None else (last, covered > 1)

    def _unknown(self, delivery_tag: int) -> BrokerFault:
        return BrokerFault(
            ReplyCode.INTERNAL_ERROR, f"the broker confirmed publish {delivery_tag}, which is not unanswered"
        )
