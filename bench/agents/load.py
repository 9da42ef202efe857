"""The two ends, each its own process: `publish` and `consume`. Prints one JSON object at its end.

python -m bench.agents.load publish '{"url": …}'
"""

from __future__ import annotations

import json
import struct
import sys
import time
from pathlib import Path
from typing import Any

from letrade_agent.amqp.basic import ack_frame
from letrade_agent.amqp.frames import BODY, HEADER, METHOD, encode_content

from bench.agents.client import CHANNEL, Ended, RawClient, Target
from bench.agents.messages import EXCHANGE, KEY, QUEUE, envelope

_PUBLISH = struct.pack(">HHH", 60, 40, 0) + bytes((len(EXCHANGE),)) + EXCHANGE.encode()
_METHOD = _PUBLISH + bytes((len(KEY),)) + KEY.encode() + b"\0"
_JSON = b"application/json"
_FLAGS = 1 << 15 | 1 << 12  # content_type, delivery_mode
_DISTINCT = 500
_ACK_EVERY = 50
_DELIVER = b"\x00\x3c\x00\x3c"
_ACK = b"\x00\x3c\x00\x50"
_NACK = b"\x00\x3c\x00\x78"


def content(body: bytes, frame_max: int) -> bytes:
    """All frames of one publish."""
    properties = bytes((len(_JSON),)) + _JSON + b"\x01"
    header = struct.pack(">HHQH", 60, 0, len(body), _FLAGS) + properties
    return encode_content(CHANNEL, _METHOD, header, body, frame_max)


def publish(client: RawClient, order: dict[str, Any]) -> dict[str, Any]:
    """Publish with confirms.

    `count` messages with `window` unanswered at most; at `rate` per second if it is given, else as fast as possible.
    """
    count, window, rate = order["count"], order["window"], order.get("rate")
    client.confirm()
    ready = [content(envelope(0, order["size"]), client.frame_max) for _ in range(min(count, _DISTINCT))]
    sent = answered = refused = 0
    reads = client.frames()
    next(reads)
    begin = time.monotonic()
    while answered < count:
        if rate is not None:
            due = min(count, int((time.monotonic() - begin) * rate) + 1)
            if sent < due:
                now = time.monotonic()
                pieces = [content(envelope(now, order["size"]), client.frame_max) for _ in range(due - sent)]
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
        for kind, _, payload in next(reads):
            if kind == METHOD and payload[:4] in (_ACK, _NACK):
                tag, multiple = int.from_bytes(payload[4:12], "big"), payload[12] & 1
                answered = tag if multiple else answered + 1
                refused += payload[:4] == _NACK
    return {"messages": count, "seconds": time.monotonic() - begin, "refused": refused}


def consume(client: RawClient, order: dict[str, Any]) -> dict[str, Any]:
    """Consume `count` messages, and say how old each was if `latency` is set."""
    count = order["count"]
    latencies: list[float] = []
    received = last_tag = acked = 0
    body = b""
    size = 0
    client.consume(QUEUE, order["prefetch"])
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
                    received += 1
                    if order.get("latency"):
                        latencies.append(time.monotonic() - json.loads(body)["payload"]["sent_at"])
        if received - acked >= _ACK_EVERY or received >= count or order.get("latency"):
            client.socket.sendall(ack_frame(CHANNEL, last_tag, multiple=True))
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


def stall(client: RawClient, order: dict[str, Any]) -> dict[str, Any]:
    """Subscribe and never read: what a client does whose event loop hangs."""
    client.consume(QUEUE, order["prefetch"])
    time.sleep(order["seconds"])  # this is the behaviour
    return {"messages": 0, "seconds": order["seconds"]}


_ENDS = {"publish": publish, "consume": consume, "stall": stall}


def main() -> int:
    """Do one end of the load."""
    what, order = sys.argv[1], json.loads(sys.argv[2])
    ca_file = order.get("ca_file")
    target = Target(
        order["url"], order["vhost"], order["username"], order["password"], Path(ca_file) if ca_file else None
    )
    client = RawClient(target)
    try:
        print(json.dumps(_ENDS[what](client, order)))
    except Ended as ended:
        print(f"{what}: {ended}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
