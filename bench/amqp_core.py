"""What the AMQP codec costs per message, beside decoding and encoding with pamqp in the same run.

Publish: decode frames, assemble, read the properties, append a token of 416 bytes and a destination to the headers,
encode. Deliver: decode frames, assemble, read method, properties and token, drop the agent's headers, renumber,
encode. No sockets, no cryptography.

    python bench/amqp_core.py [--messages N] [--repeat N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import pamqp.base
import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header
from letrade_agent.amqp.confirms import ConfirmLedger
from letrade_agent.amqp.deliveries import DeliveryLedger

from letrade_topo.amqp.basic import (
    DELIVER,
    PUBLISH,
    deliver_with_tag,
    parse_deliver,
    parse_publish,
)
from letrade_topo.amqp.content import Content, ContentAssembler
from letrade_topo.amqp.frames import HEADER, METHOD, FrameDecoder, encode_content
from letrade_topo.amqp.header_table import EMPTY_ENCODED, append_entries, long_string_entry, take_entries
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.amqp.wire import long_string_value

FRAME_MAX = 131_072
CHUNK = 65_536
"""Bytes per read of the pump."""

BODY_BYTES = b"x" * 340
TOKEN = b"t" * 416
"""As long as a token signed with ES256."""

Rows = tuple[tuple[str, Callable[[bytes], int], Callable[[int], bytes]], ...]

EXCHANGE, ROUTING_KEY = "letrade.events", "events.trade_executed"


def publishes(count: int) -> bytes:
    """A client's bytes: publishes as pika sends them, with a few properties and two headers."""
    properties = pamqp.commands.Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id="0192f3b4-7c61-7b1e-9d1c-0f2c6a1d2e3f",
        headers={"attempt": 1, "source": "strategy"},
    )
    return _content(pamqp.commands.Basic.Publish(exchange=EXCHANGE, routing_key=ROUTING_KEY), properties) * count


def deliveries(count: int) -> bytes:
    """A broker's bytes: the same messages, signed, with rising delivery tags."""
    properties = pamqp.commands.Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id="0192f3b4-7c61-7b1e-9d1c-0f2c6a1d2e3f",
        headers={"attempt": 1, "letrade-to": "capital_manager", "letrade-token": TOKEN.decode(), "source": "strategy"},
    )
    return b"".join(
        _content(pamqp.commands.Basic.Deliver("ctag1.5f0c", tag, False, EXCHANGE, ROUTING_KEY), properties)
        for tag in range(1, count + 1)
    )


def _content(method: pamqp.base.Frame, properties: pamqp.commands.Basic.Properties) -> bytes:
    header = pamqp.header.ContentHeader(body_size=len(BODY_BYTES), properties=properties)
    parts = (method, header, pamqp.body.ContentBody(BODY_BYTES))
    return b"".join(pamqp.frame.marshal(part, 1) for part in parts)


def admit(method: bytes, header: ContentHeader) -> str | None:
    """The size decision of the agent, at the header."""
    return None if header.body_size <= 131_072 else "too large"


def contents(data: bytes) -> Iterator[Content[str]]:
    """Frames of one channel, in chunks as the pump reads them, into whole contents."""
    decoder = FrameDecoder(FRAME_MAX)
    assembler = ContentAssembler(admit)
    for start in range(0, len(data), CHUNK):
        for frame_type, _, payload in decoder.feed(data[start : start + CHUNK]):
            if frame_type == METHOD:
                assembler.method(payload, has_content=payload[:4] in (PUBLISH, DELIVER))
                continue
            content = assembler.header(payload) if frame_type == HEADER else assembler.body(payload)
            if content is not None:
                yield content


def decode_only(data: bytes) -> int:
    """Only cut into frames."""
    decoder = FrameDecoder(FRAME_MAX)
    return sum(len(decoder.feed(data[start : start + CHUNK])) for start in range(0, len(data), CHUNK))


def assemble_only(data: bytes) -> int:
    """Cut and assemble."""
    return sum(1 for _ in contents(data))


def publish_way(data: bytes) -> int:
    """Everything the core does for a publish."""
    ledger = ConfirmLedger()
    ledger.select()
    token = long_string_entry(b"letrade-token", TOKEN)
    size = 0
    for content in contents(data):
        publish = parse_publish(content.method)
        header = content.header
        _, kept = take_entries(header.encoded_headers or EMPTY_ENCODED, (b"letrade-", b"x-death"))
        table = append_entries(kept, token, long_string_entry(b"letrade-to", publish.routing_key))
        signed = header.rewrite(table, message_id=b"none", timestamp=1_700_000_000, app_id=b"strategy")
        size += len(encode_content(1, content.method, signed, content.body, FRAME_MAX))
        ledger.settle(ledger.accept() or 0, multiple=False)
    return size


def deliver_way(data: bytes) -> int:
    """Everything the core does for a delivery."""
    ledger: DeliveryLedger[bytes] = DeliveryLedger()
    size = 0
    for content in contents(data):
        deliver = parse_deliver(content.method)
        taken, kept = take_entries(content.header.encoded_headers or EMPTY_ENCODED, (b"letrade-",))
        tokens = [entry[len(name) + 1 :] for name, entry in taken if name == b"letrade-token"]
        size += sum(len(long_string_value(token) or b"") for token in tokens)
        header = content.header.rewrite(kept)
        tag = ledger.forward(deliver.delivery_tag, deliver.consumer_tag)
        size += len(encode_content(1, deliver_with_tag(content.method, tag), header, content.body, FRAME_MAX))
        ledger.settle(tag, multiple=False)
    return size


def pamqp_way(data: bytes) -> int:
    """Decode each frame and encode it again, the token added, with pamqp."""
    size = position = 0
    while position < len(data):
        consumed, channel, value = pamqp.frame.unmarshal(data[position : position + 4096])
        position += consumed
        if isinstance(value, pamqp.header.ContentHeader):
            headers = value.properties.headers or {}
            value.properties.headers = {**headers, "letrade-token": TOKEN.decode(), "letrade-to": ROUTING_KEY}
        size += len(pamqp.frame.marshal(value, channel))
    return size


def best_times(rows: Rows, messages: int, repeat: int) -> list[float]:
    """CPU time per message in µs of each row: the best of many short runs.

    The rows take turns, so that a busy machine is equally busy for all of them.
    """
    data = [make(messages) for _, _, make in rows]
    best = [float("inf")] * len(rows)
    for _ in range(repeat):
        for row, (_, work, _) in enumerate(rows):
            begin = time.process_time()
            work(data[row])
            best[row] = min(best[row], time.process_time() - begin)
    return [seconds / messages * 1e6 for seconds in best]


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--messages", type=int, default=300)
    options.add_argument("--repeat", type=int, default=300)
    chosen = options.parse_args()
    rows: Rows = (
        ("publish: cut into frames", decode_only, publishes),
        ("publish: cut and assemble", assemble_only, publishes),
        ("publish: cut, assemble, splice, encode", publish_way, publishes),
        ("publish: pamqp decode, encode", pamqp_way, publishes),
        ("deliver: cut, assemble, read, splice, encode", deliver_way, deliveries),
        ("deliver: pamqp decode, encode", pamqp_way, deliveries),
    )
    print(f"{chosen.messages} messages, body of {len(BODY_BYTES)} bytes, CPU time, best of {chosen.repeat}")
    for (title, _, _), cost in zip(rows, best_times(rows, chosen.messages, chosen.repeat), strict=True):
        print(f"{title:46} {cost:7.2f} µs/message")


if __name__ == "__main__":
    main()
