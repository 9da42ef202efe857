"""What is read from a broker's greeting."""

from __future__ import annotations

import pytest
from letrade_agent.amqp.negotiation import counts_nacks

from letrade_topo.amqp.header_table import HeaderTable, long_string_entry


@pytest.mark.parametrize(
    ("product", "version", "counts"),
    [
        (b"RabbitMQ", b"3.10.8", True),
        (b"RabbitMQ", b"4.2.9", True),
        (b"RabbitMQ", b"4.2.9-rc.1", True),
        (b"RabbitMQ", b"4.3.0", False),
        (b"RabbitMQ", b"4.3.0-beta.2", False),
        (b"RabbitMQ", b"4.10.1", False),
        (b"RabbitMQ", b"5.0.0", False),
        (b"RabbitMQ", b"unknown", False),
        (b"RabbitMQ", None, False),
        (b"LavinMQ", b"2.1.0", False),
        (None, None, False),
    ],
)
def test_which_brokers_count_a_nack(product: bytes | None, version: bytes | None, counts: bool) -> None:
    """Up to 4.2; what cannot be read is taken for one that does not, because a reject counts everywhere."""
    given = {b"product": product, b"version": version}
    greeting = HeaderTable(tuple(long_string_entry(name, text) for name, text in given.items() if text is not None))
    assert counts_nacks(greeting) is counts
