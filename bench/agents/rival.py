"""What a user would write instead: pika, PyJWT and jsonschema in the service itself. Prints one JSON object.

    python -m bench.agents.rival publish|consume|publish-plain|consume-plain '{"url": …}'

The plain forms are pika alone, so that the difference is what signing and checking costs in the service.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import jwt
import pika

from bench.agents.messages import CONSUMER, EXCHANGE, KEY, PUBLISHER, QUEUE, envelope, topology


def connect(order: dict[str, Any]) -> pika.BlockingConnection:
    """Over TLS, as the service itself would have to."""
    address = urlsplit(order["url"])
    context = ssl.create_default_context(cafile=order["ca_file"])
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            address.hostname,
            address.port,
            order["vhost"],
            pika.PlainCredentials(order["username"], order["password"]),
            ssl_options=pika.SSLOptions(context, address.hostname),
            heartbeat=0,
        )
    )


def publish(order: dict[str, Any], *, signs: bool) -> dict[str, Any]:
    """Publish `count` messages, without waiting for confirms one by one, which would measure the broker."""
    validator = jsonschema.Draft202012Validator(topology()["messages"][KEY]["schema"])
    key = Path(order["key"]).read_text(encoding="ascii") if signs else ""
    bodies = [envelope(0) for _ in range(500)]
    with connect(order) as connection:
        channel = connection.channel()
        begin, cpu = time.monotonic(), time.process_time()
        for index in range(order["count"]):
            body = bodies[index % len(bodies)]
            headers = None
            if signs:
                validator.validate(json.loads(body)["payload"])
                now = int(time.time())
                claims = {
                    "iss": PUBLISHER,
                    "aud": CONSUMER,
                    "iat": now,
                    "exp": now + 60,
                    "jti": uuid.uuid4().hex,
                    "ex": EXCHANGE,
                    "rk": KEY,
                    "bd": hashlib.sha256(body).hexdigest(),
                }
                headers = {"jwt": jwt.encode(claims, key, "ES256", {"kid": "bench"})}
            properties = pika.BasicProperties("application/json", headers=headers, delivery_mode=2)
            channel.basic_publish(EXCHANGE, KEY, body, properties)
        return {
            "messages": order["count"],
            "seconds": time.monotonic() - begin,
            "cpu": time.process_time() - cpu,
        }


def consume(order: dict[str, Any], *, verifies: bool) -> dict[str, Any]:
    """Consume `count` messages, acknowledging every fiftieth with `multiple`."""
    validator = jsonschema.Draft202012Validator(topology()["messages"][KEY]["schema"])
    key = Path(order["public"]).read_text(encoding="ascii") if verifies else ""
    received = 0
    begin = cpu = 0.0
    with connect(order) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=order["prefetch"])
        for method, properties, body in channel.consume(QUEUE):
            begin, cpu = begin or time.monotonic(), cpu or time.process_time()
            if verifies:
                claims = jwt.decode(properties.headers["jwt"], key, ["ES256"], audience=CONSUMER)
                if claims["bd"] != hashlib.sha256(body).hexdigest() or claims["rk"] != method.routing_key:
                    raise SystemExit("altered")
                validator.validate(json.loads(body)["payload"])
            received += 1
            if received % 50 == 0 or received == order["count"]:
                channel.basic_ack(method.delivery_tag, multiple=True)
            if received == order["count"]:
                break
        return {"messages": received, "seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu}


def main() -> int:
    """Do one end."""
    what, order = sys.argv[1], json.loads(sys.argv[2])
    if what.startswith("publish"):
        print(json.dumps(publish(order, signs=what == "publish")))
    else:
        print(json.dumps(consume(order, verifies=what == "consume")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
