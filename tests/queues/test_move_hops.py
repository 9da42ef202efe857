"""Messages that name a user: the broker takes them from that user alone, so a mover says so before it tries."""

from __future__ import annotations

import pytest

from letrade_topo.errors import TopoError
from letrade_topo.queues.link import DeliveredLetter
from letrade_topo.queues.move_hops import MoveHops

OF_SHOP = bytes.fromhex("0010") + b"\x04shop"
"""Properties with a `user_id` alone (AMQP 0-9-1, 4.2.6.1)."""


def hops(login: str, *, impersonates: bool = False) -> MoveHops:
    """Of a login, unsigned."""
    return MoveHops("stock", login=login, impersonates=impersonates, signer=None, service="", clock=lambda: 0.0)


def letter(raw: bytes) -> DeliveredLetter:
    """With these properties."""
    return DeliveredLetter(1, b"", b"stock", raw, b"")


def test_another_users_message_is_moved_by_an_impersonator_alone() -> None:
    """Both away and back, as it was; whoever may not is told what to do."""
    for one in (hops("shop"), hops("admin", impersonates=True)):
        assert one.kept(letter(OF_SHOP)) == one.back(letter(OF_SHOP)) == OF_SHOP
    for move in (hops("admin").kept, hops("admin").back):
        with pytest.raises(TopoError, match="cannot be moved") as refused:
            move(letter(OF_SHOP))
        assert "its user_id is 'shop'" in refused.value.why
        assert "impersonator" in refused.value.fix
    assert hops("admin").kept(letter(b"\0\0")) == b"\0\0"
