"""Exchange and key, in full and short, against the topology that is shipped."""

from __future__ import annotations

import pytest

from letrade_topo.bus.addresses import AddressBook
from letrade_topo.bus.errors import DestinationError
from tests.topologies import shipped

BOOK = AddressBook(shipped())


@pytest.mark.parametrize(
    ("exchange", "key", "full"),
    [
        ("letrade.commands", "execute_trade", "commands.execute_trade"),
        ("letrade.commands", "commands.execute_trade", "commands.execute_trade"),
        ("letrade.events", "error", "events.error"),
        ("letrade.events", "binance.btcusdt", "market_data.binance.btcusdt"),
        ("letrade.events", "market_data.binance.btcusdt", "market_data.binance.btcusdt"),
        ("letrade.requests", "request.capital.allocation", "request.capital.allocation"),
    ],
)
def test_short_and_full_keys(exchange: str, key: str, full: str) -> None:
    """A key may leave its class away."""
    assert BOOK.find(exchange, key)[:2] == (exchange, full)


@pytest.mark.parametrize(
    ("exchange", "key", "said"),
    [
        ("letrade.commands", "exectue_trade", "'commands.execute_trade'"),
        ("letrade.events", "events.trade_exeucted", "'events.trade_executed'"),
        ("letrade.events", "commands.execute_trade", "publish it to 'letrade.commands'"),
        ("letrade.comands", "execute_trade", "did you mean 'letrade.commands'?"),
        ("letrade.requests", "market_data", "'request.market_data' and 'response.market_data'"),
        ("", "execute_trade", "use one of"),
    ],
)
def test_what_is_unknown_or_ambiguous_names_the_candidates(exchange: str, key: str, said: str) -> None:
    """A typing error in a full key is never taken for a short key of something else."""
    with pytest.raises(DestinationError) as raised:
        BOOK.find(exchange, key)
    assert said in str(raised.value)


def test_within_a_class_a_short_key_is_unambiguous() -> None:
    """A request can be called by what it is about."""
    request = BOOK.find("letrade.requests", "market_data", "request")
    assert request.routing_key == "request.market_data"
    assert BOOK.response_to(request).routing_key == "response.market_data"


def test_only_requests_have_responses() -> None:
    """Anything else says how to name one."""
    with pytest.raises(DestinationError, match="response="):
        BOOK.response_to(BOOK.find("letrade.commands", "execute_trade"))
    with pytest.raises(DestinationError, match=r"no message type of .* is a request"):
        BOOK.find("letrade.commands", "execute_trade", "request")


def test_a_key_has_room_for_so_much() -> None:
    """As AMQP has it; the message says how long this one is."""
    with pytest.raises(DestinationError, match="has 276 bytes"):
        BOOK.find("letrade.events", "market_data.binance." + "b" * 256)
