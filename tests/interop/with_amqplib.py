"""The suite's client by Node's amqplib: a process that is told what to do line by line (`node/runner.js`)."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.interop.client import (
    LIMIT_SECONDS,
    ChannelClosed,
    Endpoint,
    PublishOutcome,
    QueueDeclared,
    ReturnedMessage,
    ShownMessage,
)

_RUNNER = Path(__file__).parent / "node" / "runner.js"
_NAMES = {
    "content_type": "contentType",
    "content_encoding": "contentEncoding",
    "headers": "headers",
    "delivery_mode": "deliveryMode",
    "priority": "priority",
    "correlation_id": "correlationId",
    "reply_to": "replyTo",
    "expiration": "expiration",
    "message_id": "messageId",
    "timestamp": "timestamp",
    "type": "type",
    "app_id": "appId",
}


def modules_folder() -> Path:
    """Where `script/setup --test` installs what `node/package-lock.json` names."""
    cache = os.environ.get("LETRADE_TOPO_CACHE") or Path.home() / ".cache" / "letrade-topo"
    return Path(cache) / "node" / "node_modules"


class AmqplibChannel:
    """See `client.Channel`."""

    def __init__(self, library: Amqplib, number: int) -> None:
        self._library = library
        self._number = number

    def declare_exchange(self, name: str, kind: str = "topic", *, durable: bool = False) -> None:
        self._call("declareExchange", name=name, kind=kind, durable=durable)

    def declare_queue(
        self,
        name: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        options: dict[str, Any] = {"durable": durable, "exclusive": exclusive, "autoDelete": auto_delete}
        options["arguments"] = _to_json(dict(arguments or {}))
        ok = self._call("declareQueue", name=name, passive=passive, options=options)
        return QueueDeclared(ok["queue"], ok["messageCount"], ok["consumerCount"])

    def bind(self, queue: str, exchange: str, key: str) -> None:
        self._call("bind", queue=queue, exchange=exchange, key=key)

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        self._call("unbind", queue=queue, exchange=exchange, key=key)

    def purge(self, queue: str) -> int:
        return int(self._call("purge", queue=queue)["messageCount"])

    def delete_queue(self, queue: str) -> None:
        self._call("deleteQueue", queue=queue)

    def delete_exchange(self, name: str) -> None:
        self._call("deleteExchange", name=name)

    def publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any] | None = None, *, mandatory: bool
    ) -> PublishOutcome:
        options = {_NAMES[name]: _to_json(value) for name, value in (properties or {}).items()}
        options["mandatory"] = mandatory
        outcome = self._call("publish", exchange=exchange, key=key, body=_base64(body), options=options)
        return PublishOutcome(outcome)

    def returned(self) -> ReturnedMessage:
        found = self._call("returned", limitMs=LIMIT_SECONDS * 1000)
        assert found is not None, "nothing was returned"
        return ReturnedMessage(found["code"], found["text"], _message(found))

    def qos(self, count: int) -> None:
        self._call("qos", count=count)

    def consume(self, queue: str, *, no_ack: bool = False, exclusive: bool = False) -> str:
        return str(self._call("consume", queue=queue, noAck=no_ack, exclusive=exclusive)["consumerTag"])

    def cancel(self, consumer: str) -> None:
        self._call("cancel", consumer=consumer)

    def next(self, limit_seconds: float = LIMIT_SECONDS) -> ShownMessage | None:
        found = self._call("next", limitMs=limit_seconds * 1000)
        return None if found is None else _message(found)

    def get(self, queue: str, *, no_ack: bool = False) -> ShownMessage | None:
        found = self._call("get", queue=queue, noAck=no_ack)
        return None if found is None else _message(found)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self._call("ack", tag=tag, multiple=multiple)

    def nack(self, tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        self._call("nack", tag=tag, multiple=multiple, requeue=requeue)

    def reject(self, tag: int, *, requeue: bool = True) -> None:
        self._call("reject", tag=tag, requeue=requeue)

    def recover(self) -> None:
        self._call("recover")

    def closed(self) -> ChannelClosed:
        found = self._call("closed", limitMs=LIMIT_SECONDS * 1000)
        assert found is not None, "the channel stays open"
        return ChannelClosed(found["code"], found["text"])

    def close(self) -> None:
        self._call("close")

    def _call(self, operation: str, **arguments: Any) -> Any:
        return self._library.call(operation, self._number, **arguments)


class AmqplibConnection:
    """See `client.Connection`."""

    def __init__(self, library: Amqplib, number: int) -> None:
        self._library = library
        self._number = number

    def channel(self, *, confirms: bool = False) -> AmqplibChannel:
        return AmqplibChannel(self._library, self._library.call("channel", self._number, confirms=confirms))

    def close(self) -> None:
        self._library.call("disconnect", self._number)


class Amqplib:
    """See `client.Client`."""

    name = "amqplib"
    knows_floats = True
    tells_returns_without_confirms = True
    writes_message_ids = False
    is_told_why = True
    frame_sizes: tuple[int | None, ...] = (4096, 8192, 131_072)

    def __init__(self) -> None:
        modules = modules_folder()
        assert (modules / "amqplib").is_dir(), f"amqplib is not in {modules}; script/setup --test installs it"
        self._process = subprocess.Popen(
            ["node", str(_RUNNER)],  # noqa: S607  # whichever node is first in PATH
            env=os.environ | {"NODE_PATH": str(modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._last = 0

    def connect(self, endpoint: Endpoint, *, frame_max: int | None = None) -> AmqplibConnection:
        where = {
            "protocol": "amqps" if endpoint.ca_file else "amqp",
            "hostname": endpoint.host,
            "port": endpoint.port,
            "username": endpoint.username,
            "password": endpoint.password,
            "vhost": endpoint.vhost,
            "frameMax": frame_max or 0,
        }
        ca_file = str(endpoint.ca_file) if endpoint.ca_file else None
        path = str(endpoint.socket) if endpoint.socket else None
        return AmqplibConnection(self, self.call("connect", 0, where=where, caFile=ca_file, socket=path))

    def call(self, operation: str, on: int, **arguments: Any) -> Any:
        """Have something done; ChannelClosed when it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._last += 1
        request = {"id": self._last, "op": operation, "on": on, "args": arguments}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"node has ended, exit code {self._process.poll()}"
        answer = json.loads(line)
        assert answer["id"] == self._last
        if "error" in answer:
            raise ChannelClosed(answer["error"]["code"], answer["error"]["text"])
        return answer["result"]

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.terminate()
        self._process.wait(LIMIT_SECONDS)


def _message(found: Mapping[str, Any]) -> ShownMessage:
    given = found["properties"]
    properties = {name: _from_json(given[theirs]) for name, theirs in _NAMES.items() if given.get(theirs) is not None}
    return ShownMessage(
        base64.b64decode(found["body"]),
        found["exchange"],
        found["routingKey"],
        found["tag"],
        found["redelivered"],
        properties,
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _to_json(value: Any) -> Any:
    match value:
        case bytes():
            return {"$bytes": _base64(value)}
        case float():
            return {"$double": value}
        case dict():
            return {key: _to_json(one) for key, one in value.items()}
        case list():
            return [_to_json(one) for one in value]
        case _:
            return value


def _from_json(value: Any) -> Any:
    match value:
        case {"$bytes": content}:
            return base64.b64decode(content)
        case {"!": _, "value": inner}:
            return inner
        case dict():
            return {key: _from_json(one) for key, one in value.items()}
        case list():
            return [_from_json(one) for one in value]
        case _:
            return value
