"""Reply codes and faults."""

from __future__ import annotations

import pamqp.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from letrade_topo.amqp.faults import (
    AmqpFault,
    BrokerFault,
    ClientFault,
    FaultScope,
    ReplyCode,
    blame,
    readable,
    shorten,
)


@pytest.mark.parametrize("code", pamqp.exceptions.CLASS_MAPPING)
def test_codes_have_name_and_reach_of_the_specification(code: int) -> None:
    """pamqp generates its classes from the specification: same names, same soft and hard errors."""
    generated = pamqp.exceptions.CLASS_MAPPING[code]
    soft = issubclass(generated, pamqp.exceptions.AMQPSoftError)

    assert ReplyCode(code).name.replace("_", "-") == getattr(generated, "name")  # noqa: B009 - on its subclasses only
    assert ReplyCode(code).scope is (FaultScope.CHANNEL if soft else FaultScope.CONNECTION)


def test_a_fault_reads_like_rabbitmqs() -> None:
    """Clients and people know the broker's form: the code's name, a dash, the sentence."""
    fault = ClientFault(ReplyCode.PRECONDITION_FAILED, "unknown delivery tag 7", class_id=60, method_id=80)

    assert fault.reply_text == b"PRECONDITION_FAILED - unknown delivery tag 7"
    assert (fault.class_id, fault.method_id, fault.scope) == (60, 80, FaultScope.CHANNEL)


def test_the_scope_of_a_fault_can_be_wider_than_its_code() -> None:
    """403 closes a channel, but before there is one it closes the connection."""
    fault = BrokerFault(ReplyCode.ACCESS_REFUSED, "login refused", scope=FaultScope.CONNECTION)

    assert fault.scope is FaultScope.CONNECTION


@given(st.text(), st.integers(0, 300))
def test_a_text_is_never_cut_inside_a_character(text: str, limit: int) -> None:
    """What is left is valid UTF-8, a beginning of the text, and at most three bytes shorter than it might be."""
    cut = shorten(text, limit)
    whole = text.encode("utf-8", "replace")

    assert whole.startswith(cut)
    assert len(cut) <= limit
    cut.decode()
    assert len(cut) > limit - 4 or cut == whole


def test_a_reply_text_of_wide_characters_fits_a_short_string() -> None:
    """255 bytes is not 255 characters."""
    assert len(AmqpFault(ReplyCode.SYNTAX_ERROR, "€" * 300).reply_text) <= 255


@pytest.mark.parametrize("side", [ClientFault, BrokerFault])
def test_blame_names_the_sender(side: type[ClientFault] | type[BrokerFault]) -> None:
    """A fault of the codec becomes the fault of whose bytes were read, with everything it said."""
    with pytest.raises(side) as caught, blame(side):
        raise AmqpFault(ReplyCode.FRAME_ERROR, "no", class_id=1, method_id=2)

    fault = caught.value
    assert (fault.code, fault.text, fault.class_id, fault.method_id) == (ReplyCode.FRAME_ERROR, "no", 1, 2)


def test_blame_leaves_a_named_fault_alone() -> None:
    """Who is at fault is not decided twice."""
    original = ClientFault(ReplyCode.FRAME_ERROR, "no")

    with pytest.raises(ClientFault) as caught, blame(BrokerFault):
        raise original

    assert caught.value is original


def test_names_that_are_no_text_are_readable() -> None:
    """AMQP allows any bytes in a name; a sentence about it must still be one."""
    assert readable(b"a\xffb") == "a\\xffb"
