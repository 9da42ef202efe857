"""The two ends, each its own process: `publish`, `consume` and others. Prints one JSON object at its end.

python -m bench.agents.load publish '{"url": …}'
"""

from __future__ import annotations

import json
import select
import struct
import sys
import time
from pathlib import Path
from typing import Any

from bench.agents.client import CHANNEL, BenchClient, OtherSideClosed, Target
from bench.agents.messages import MessageKind, envelope, sent_at
from letrade_topo.amqp.basic import ack_frame
from letrade_topo.amqp.frames import BODY, HEADER, METHOD, encode_content

_JSON = b"application/json"
_FLAGS = 1 << 15 | 1 << 12  # content_type, delivery_mode
_DISTINCT = 500
_ACK_EVERY = 50
_PATIENCE_SECONDS = 60.0
_DELIVER = b"\x00\x3c\x00\x3c"
_ACK = b"\x00\x3c\x00\x50"
_NACK = b"\x00\x3c\x00\x78"


def content(kind: MessageKind, body: bytes, frame_max: int) -> bytes:
    """All frames of one publish."""
    mode = b"\x02" if kind in (MessageKind.PULSE, MessageKind.NOISE) else b"\x01"
    names = b"".join(bytes((len(name),)) + name.encode() for name in (kind.exchange, kind.key))
    method = struct.pack(">HHH", 60, 40, 0) + names + b"\0"
    properties = bytes((len(_JSON),)) + _JSON + mode
    header = struct.pack(">HHQH", 60, 0, len(body), _FLAGS) + properties
    return encode_content(CHANNEL, method, header, body, frame_max)


def publish(client: BenchClient, order: dict[str, Any]) -> dict[str, Any]:
    """Publish with confirms.

    `count` messages with `window` unanswered at most; at `rate` per second if it is given, else as fast as possible.
    """
    count, window, rate = order["count"], order["window"], order.get("rate")
    kind, size = MessageKind[order.get("kind", "TICK")], order.get("size")
    client.confirm()
    bodies = [envelope(0, size) if size else kind.body(0) for _ in range(min(count, _DISTINCT))]
    ready = [content(kind, body, client.frame_max) for body in bodies]
    sent = answered = refused = 0
    reads = client.frames()
    next(reads)
    begin = time.monotonic()
    while answered < count:
        if rate is not None:
            due = min(count, int((time.monotonic() - begin) * rate) + 1)
            if sent < due:
                now = time.monotonic()
                pieces = [content(kind, kind.body(now), client.frame_max) for _ in range(due - sent)]
                client.socket.sendall(b"".join(pieces))
                sent = due
            elif answered == sent:
                time.sleep(max(0.0, begin + sent / rate - time.monotonic()))  # the pace of the load
                continue
        else:
            room = min(count - sent, window - (sent - answered), _ACK_EVERY)
            if room > 0:
                client.socket.sendall(b"".join([ready[(sent + index) % len(ready)] for index in range(room)]))
                sent += room
            if sent - answered < window and sent < count:
                continue
        for frame_type, _, payload in next(reads):
            if frame_type == METHOD and payload[:4] in (_ACK, _NACK):
                tag, multiple = int.from_bytes(payload[4:12], "big"), payload[12] & 1
                answered = tag if multiple else answered + 1
                refused += payload[:4] == _NACK
    return {"messages": count, "seconds": time.monotonic() - begin, "refused": refused}


def consume(client: BenchClient, order: dict[str, Any]) -> dict[str, Any]:
    """Consume `count` messages, and say how old each was if `latency` is set."""
    count = order["count"]
    latencies: list[float] = []
    received = last_tag = whole_tag = acked = 0
    body = b""
    size = 0
    client.consume(MessageKind[order.get("kind", "TICK")].queue, order["prefetch"])
    begin = 0.0
    for frames in client.frames():
        for kind, _, payload in frames:
            if kind == METHOD and payload[:4] == _DELIVER:
                at = 5 + payload[4]
                last_tag = int.from_bytes(payload[at : at + 8], "big")
            elif kind == HEADER:
                size, body = int.from_bytes(payload[4:12], "big"), b""
            elif kind == BODY:
                body += payload
                if len(body) == size:
                    begin = begin or time.monotonic()
                    received, whole_tag = received + 1, last_tag
                    if order.get("latency"):
                        latencies.append(time.monotonic() - sent_at(body))
        is_due = received - acked >= _ACK_EVERY or received >= count or order.get("latency")
        if is_due and received > acked:  # a read may end within a message; a tag acknowledged twice closes the channel
            client.socket.sendall(ack_frame(CHANNEL, whole_tag, multiple=True))
            acked = received
        if received >= count:
            break
    seconds = time.monotonic() - begin
    answer: dict[str, Any] = {"messages": received, "seconds": seconds}
    if latencies:
        latencies.sort()
        answer["mean_latency"] = sum(latencies) / len(latencies)
        answer["p99_latency"] = latencies[int(len(latencies) * 0.99)]
    return answer


def pulse(client: BenchClient, order: dict[str, Any]) -> dict[str, Any]:
    """Publish at `rate` per second for so many `seconds` from `begin` on, and say how long each confirm took.

    The next message does not wait for the confirm of the last, so that one that takes long hides no other.
    """
    rate, count = order["rate"], int(order["rate"] * order["seconds"])
    client.confirm()
    sent: list[float] = []
    latencies: list[float] = []
    refused = 0
    begin = order["begin"]
    while len(latencies) < count:
        now = time.monotonic()
        if len(sent) < count and now >= begin + len(sent) / rate:
            client.socket.sendall(content(MessageKind.PULSE, MessageKind.PULSE.body(now), client.frame_max))
            sent.append(now)
        due = begin + len(sent) / rate if len(sent) < count else now + _PATIENCE_SECONDS
        if not select.select([client.socket], [], [], max(0.0, due - time.monotonic()))[0]:
            continue
        for frame_type, _, payload in client.read():
            if frame_type == METHOD and payload[:4] in (_ACK, _NACK):
                refused += payload[:4] == _NACK
                answered = int.from_bytes(payload[4:12], "big")
                if payload[12] & 1 or answered == len(latencies) + 1:
                    latencies += [time.monotonic() - at for at in sent[len(latencies) : answered]]
                else:
                    raise OtherSideClosed("confirms out of order")
    return {"latencies": latencies, "refused": refused}


def stall(client: BenchClient, order: dict[str, Any]) -> dict[str, Any]:
    """Subscribe and never read: what a client does whose event loop hangs."""
    client.consume(MessageKind.TICK.queue, order["prefetch"])
    time.sleep(order["seconds"])  # this is the behaviour
    return {"messages": 0, "seconds": order["seconds"]}


_ENDS = {"publish": publish, "consume": consume, "pulse": pulse, "stall": stall}


def main() -> int:
    """Do one end of the load."""
    what, order = sys.argv[1], json.loads(sys.argv[2])
    ca_file = order.get("ca_file")
    target = Target(
        order["url"], order["vhost"], order["username"], order["password"], Path(ca_file) if ca_file else None
    )
    client = BenchClient(target)
    try:
        print(json.dumps(_ENDS[what](client, order)))
    except OtherSideClosed as ended:
        print(f"{what}: {ended}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
