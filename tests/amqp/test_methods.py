"""The table of methods, and reading and writing any of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pamqp.base
import pamqp.commands
import pamqp.frame
import pika.amqp_object
import pika.spec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from letrade_topo.amqp.arguments import asks_no_reply, decode_arguments, encode_arguments
from letrade_topo.amqp.commands import COMMANDS, parse_command
from letrade_topo.amqp.faults import AmqpFault, ReplyCode
from letrade_topo.amqp.frames import encode_method
from letrade_topo.amqp.header_table import EMPTY_TABLE, HeaderTable, integer_entry
from letrade_topo.amqp.methods import BY_INDEX, BY_NAME, TABLE, Method, method_of
from tests.examples_per_property import ordinary_examples

_FOREIGN_NAMES = {"no_wait": "nowait"}
_FORMER = {"access.request", "access.request-ok"}
"""Methods that pamqp 4 has dropped with their class."""

_KNOWN_TO_PAMQP = [method for method in TABLE if method.name not in _FORMER]
_READ_BY_PAMQP = [method for method in _KNOWN_TO_PAMQP if method.name not in ("channel.open", "channel.open-ok")]
"""pamqp 4 refuses the one argument of those two at its default, which every client sends."""
_READ_BY_PIKA = [method for method in _KNOWN_TO_PAMQP if method.name != "connection.update-secret"]
"""pika 1.3 puts the secret of that one into another attribute."""
_WITH_NO_FREEDOM = {"ticket", "out_of_band", "capabilities", "insist", "known_hosts", "channel_id", "cluster_id"}
"""Arguments that pamqp only takes at their default."""


def _ids(method: Method) -> str:
    return method.name


def _value(name: str, kind: str) -> st.SearchStrategy[Any]:
    if name in _WITH_NO_FREEDOM:
        return st.just({"short": 0, "bit": False}.get(kind, b""))
    match kind:
        case "bit":
            return st.booleans()
        case "shortstr":
            return st.text("abcdef-.", min_size=1, max_size=20).map(str.encode)
        case "longstr":
            return st.text("abcdef ", min_size=1, max_size=40).map(str.encode)
        case "table":
            return st.just(EMPTY_TABLE.with_entries(integer_entry(b"x-max-length", 7)))
        case _:
            bits = {"octet": 8, "short": 16, "long": 32, "longlong": 64}[kind]
            return st.integers(0, 2 ** (bits - 1) - 1)  # pamqp writes some numbers as signed


def _arguments(method: Method) -> st.SearchStrategy[tuple[Any, ...]]:
    if method.name == "basic.qos":
        return st.tuples(st.just(0), st.integers(0, 2**16 - 1), st.booleans())
    return st.tuples(*(_value(name, kind) for name, kind in method.arguments))


def _foreign(value: object) -> object:
    """The same value as a foreign codec has it."""
    if isinstance(value, HeaderTable):
        return {"x-max-length": 7}
    return value.decode() if isinstance(value, bytes) else value


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def test_the_table_has_all_methods_of_the_foreign_codecs() -> None:
    """None is missing, none is made up; the classes are those of 0-9-1 with RabbitMQ's two."""
    ours = {int.from_bytes(method.index, "big") for method in TABLE}

    assert {int.from_bytes(method.index, "big") for method in _KNOWN_TO_PAMQP} == set(pamqp.commands.INDEX_MAPPING)
    assert set(pika.spec.methods) <= ours
    assert {method.class_id for method in TABLE} == {10, 20, 30, 40, 50, 60, 85, 90}
    assert len(BY_INDEX) == len(BY_NAME) == len(TABLE)


@pytest.mark.parametrize("method", _KNOWN_TO_PAMQP, ids=_ids)
def test_arguments_and_answers_are_the_specifications(method: Method) -> None:
    """pamqp is generated from it: names, order, types, and what answers."""
    foreign: Any = pamqp.commands.INDEX_MAPPING[int.from_bytes(method.index, "big")]

    arguments = [(_FOREIGN_NAMES.get(name, name), kind) for name, kind in method.arguments]
    assert arguments == [(name, foreign.amqp_type(name)) for name in foreign.__slots__]
    assert method.reply is None or BY_NAME[method.reply].class_id == method.class_id
    assert (method.reply is not None) == foreign.synchronous
    if method.reply is not None:
        answers = {name.lower().replace(".", "").replace("-", "") for name in foreign.valid_responses}
        assert method.reply.replace(".", "").replace("-", "") in answers


@pytest.mark.parametrize("method", [method for method in TABLE if method.index != b"\x00\x3c\x00\x0a"], ids=_ids)
def test_contents_follow_where_pika_says_so(method: Method) -> None:
    """Publish, return, deliver and get-ok."""
    foreign = pika.spec.methods.get(int.from_bytes(method.index, "big"))

    has_content = foreign is not None and pika.spec.has_content(foreign.INDEX)
    assert method.has_content == has_content


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore:This command is deprecated:DeprecationWarning")
@pytest.mark.parametrize("method", _READ_BY_PAMQP, ids=_ids)
@settings(max_examples=ordinary_examples() // 2)  # of each method
@given(data=st.data())
def test_pamqp_reads_what_we_write_and_writes_what_we_read(method: Method, data: st.DataObject) -> None:
    """Each method with any arguments, both ways."""
    values = data.draw(_arguments(method))
    payload = encode_arguments(method, values)

    _, channel, frame = pamqp.frame.unmarshal(encode_method(3, payload))

    assert channel == 3
    assert isinstance(frame, pamqp.base.Frame)
    assert [_plain(value) for _, value in frame] == [_foreign(value) for value in values]
    again = pamqp.frame.marshal(frame, 3)[7:-1]
    read = decode_arguments(method, again)
    assert [_foreign(value) for value in read] == [_foreign(value) for value in values]


@pytest.mark.wide
@pytest.mark.parametrize("method", _READ_BY_PIKA, ids=_ids)
@settings(max_examples=ordinary_examples() // 2)  # of each method
@given(data=st.data())
def test_pika_reads_what_we_write(method: Method, data: st.DataObject) -> None:
    """A second opinion, from another generator."""
    values = data.draw(_arguments(method))
    foreign = pika.spec.methods[int.from_bytes(method.index, "big")]()

    foreign.decode(encode_arguments(method, values)[4:])

    for (name, _), value in zip(method.arguments, values, strict=True):
        spelled = {"no_wait": "nowait", "global_": "global_qos", "exchange_type": "type"}.get(name, name)
        assert _plain(getattr(foreign, spelled)) == _foreign(value)


@pytest.mark.wide
@pytest.mark.parametrize("method", TABLE, ids=_ids)
@settings(max_examples=ordinary_examples() // 2)  # of each method
@given(data=st.data())
def test_arguments_survive_the_way_there_and_back(method: Method, data: st.DataObject) -> None:
    """Every method of the table, those included that no other codec knows; cut short it is a syntax error."""
    values = data.draw(_arguments(method))
    payload = encode_arguments(method, values)

    assert decode_arguments(method, payload) == values
    for broken in (payload[:-1], payload + b"x"):
        if len(broken) < 4:
            continue
        with pytest.raises(AmqpFault) as caught:
            decode_arguments(method, broken)
        assert caught.value.code in (ReplyCode.SYNTAX_ERROR, ReplyCode.FRAME_ERROR)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.__name__)
def test_commands_have_the_fields_of_their_method(command: type) -> None:
    """Names and order: a command is its row of the table with names."""
    fields = [field.name for field in dataclasses.fields(command)]

    assert fields == [name for name, _ in command.method.arguments]  # type: ignore[attr-defined]  # a Command


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.__name__)
@settings(max_examples=ordinary_examples() // 2)  # of each method
@given(data=st.data())
def test_a_command_survives_the_way_there_and_back(command: type, data: st.DataObject) -> None:
    """Encoded and parsed it is equal; what it says of itself holds no secret."""
    method: Method = command.method  # type: ignore[attr-defined]  # a Command
    names = [name for name, _ in method.arguments]
    value = command(**dict(zip(names, data.draw(_arguments(method)), strict=True)))

    assert parse_command(value.encode()) == value
    assert "response=" not in repr(value)
    assert "new_secret=" not in repr(value)


def test_methods_of_every_message_are_not_commands() -> None:
    """They have readers of their own; what has neither is relayed."""
    assert parse_command(BY_NAME["basic.ack"].index + bytes(9)) is None
    assert parse_command(BY_NAME["tx.commit"].index) is None


@pytest.mark.parametrize(
    "payload", [b"\x00\x3c\x00\x63", b"\x00\x63\x00\x0a", b"\xff\xff\xff\xff", b"\x00\x28\x00\x29"]
)
def test_an_unknown_method_is_not_implemented(payload: bytes) -> None:
    """540, with the numbers it came with (list 2.48)."""
    with pytest.raises(AmqpFault) as caught:
        parse_command(payload)

    fault = caught.value
    assert fault.code is ReplyCode.NOT_IMPLEMENTED
    assert fault.class_id.to_bytes(2, "big") + fault.method_id.to_bytes(2, "big") == payload


def test_half_a_method_number_is_a_frame_error() -> None:
    """There is nothing to answer to."""
    with pytest.raises(AmqpFault) as caught:
        method_of(b"\x00\x3c\x00")

    assert caught.value.code is ReplyCode.FRAME_ERROR


def test_only_methods_with_that_bit_can_waive_their_answer() -> None:
    """List 2.41: declare, delete, bind, purge, consume, cancel, confirm.select."""
    waiving = {method.name for method in TABLE if method.no_wait_argument is not None}

    assert waiving == {
        "exchange.declare",
        "exchange.delete",
        "exchange.bind",
        "exchange.unbind",
        "queue.declare",
        "queue.bind",
        "queue.purge",
        "queue.delete",
        "basic.consume",
        "basic.cancel",
        "confirm.select",
    }


@pytest.mark.parametrize("method", [method for method in TABLE if method.no_wait_argument is not None], ids=_ids)
@settings(max_examples=ordinary_examples() // 2)  # of each method
@given(data=st.data())
def test_the_waived_answer_is_read_from_the_frame(method: Method, data: st.DataObject) -> None:
    """Wherever the bit stands."""
    values = data.draw(_arguments(method))
    position = method.no_wait_argument
    assert position is not None

    assert asks_no_reply(method, encode_arguments(method, values)) == values[position]
    assert not asks_no_reply(BY_NAME["basic.ack"], BY_NAME["basic.ack"].index + b"\xff" * 9)


def test_fields_without_a_meaning_are_kept() -> None:
    """An old client's ticket leaves as it came."""
    payload = BY_NAME["queue.purge"].index + b"\x12\x34\x01q\x01"

    command = parse_command(payload)

    assert command is not None
    assert command.encode() == payload
