"""The ordinary publishes of one read, in one pass over them: what each costs decides what the agent costs.

Ordinary is a publish of a declared type, with a right envelope and payload, to which no more is done than to encrypt
its sensitive fields and to sign it. This pass only says yes. Whatever it cannot say yes to, for whatever cause, is
decided by `OutboundFilter` the careful way, which alone refuses, warns and stores; so a doubt here costs time and
nothing else. A property test holds the two against each other: what this pass lets through, the careful way lets
through with the same bytes.

What repeats from message to message is looked up by its bytes instead of being read: the method names a
`PublishPlace`; the properties, where they hold nothing of the single message, a `Shape`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from letrade_agent.filters.decisions import Whole
from letrade_agent.filters.destinations import DestinationRules, Destinations
from letrade_agent.filters.ordinary import Ordinary, Pieces
from letrade_agent.filters.sealing import pieces_of, to_entry
from letrade_agent.measures import Measures
from letrade_topo.amqp.basic import parse_publish
from letrade_topo.amqp.faults import AmqpFault
from letrade_topo.amqp.properties import ContentHeader
from letrade_topo.keys.leaf import ABSENT
from letrade_topo.keys.leaf import place as leaf_place
from letrade_topo.messages.claim import is_stub
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER
from letrade_topo.messages.encryption import FieldEncryption, MissingKey
from letrade_topo.messages.envelope import CLOCK_UNIT_MILLISECONDS, MESSAGE_ID, TIMESTAMP, is_message_id
from letrade_topo.messages.json_text import read_plain
from letrade_topo.messages.spans import FieldSet
from letrade_topo.messages.timestamps import parse_timestamp
from letrade_topo.model.messages import Json
from letrade_topo.model.security import Enforcement

_KEPT_PLACES: Final = 1_024
_KEPT_SHAPES: Final = 16
"""Of one place."""
_LONGEST_KEPT_BYTES: Final = 512
"""Longer properties are read each time: what is kept has a bound."""

_OF_THE_MESSAGE: Final = 0x0400 | 0x0080 | 0x0040
"""Correlation id, message id and timestamp: with one of them no two messages have the same properties."""

_PUBLISH: Final = "publish"

_FIELD: Final = b"\x00\x00\x00"
"""Before a short string it makes a field of a leaf: a length of 32 bits and the text."""
_UUID_FIELD: Final = _FIELD + bytes((36,))


class PublishPlace(NamedTuple):
    """Where ordinary messages may be published.

    Args:
        destination: the label of metrics.
        lifetime_seconds: of the message type.
        is_valid: whether a payload is one of the type.
        priority: of AMQP, that the type asks for; None: the default.
        leaf: how every leaf begins.
        to: the header that tells where.
        shapes: that were met here, by the content header without its body size.
        sensitive: the fields of the type that are encrypted; None: none.
        listeners: the services that may read them.
    """

    destination: str
    lifetime_seconds: float
    is_valid: Callable[[Json], bool]
    priority: int | None
    leaf: bytes
    to: bytes
    shapes: dict[bytes, Shape | None]
    sensitive: FieldSet | None
    listeners: frozenset[str]


class Shape(NamedTuple):
    """Properties that a message may have.

    Args:
        pieces: of the header that goes upstream.
        message_id: the client's own as a field of the leaf; empty: it set none.
        leaf: how every leaf goes on behind the message id.
        timestamp: the client's own, in seconds; None: it set none.
    """

    pieces: Pieces
    message_id: bytes
    leaf: bytes
    timestamp: int | None


_new = tuple.__new__
"""Makes a named tuple at a quarter of the price of calling its class (3.11)."""


class OrdinaryPublishes:
    """Finds them for one service.

    Args:
        service: its name.
        destinations: what is decided by exchange and routing key.
        message_size: largest body on the wire, in bytes.
        encryption: of sensitive fields.
        measures: properties that differ from the envelope are counted there.
    """

    def __init__(
        self,
        service: str,
        destinations: Destinations,
        message_size: int,
        encryption: FieldEncryption,
        measures: Measures,
    ) -> None:
        self._encrypt = encryption.encrypt
        self._differing = measures.differing
        self._service = service
        self._find = destinations.find
        self._message_size = message_size
        self._places: dict[bytes, PublishPlace | None] = {}

    def find(self, batch: Sequence[Whole], now: float) -> list[Ordinary | None]:
        """Which of some publishes are ordinary; None: it takes a closer look."""
        places, source, largest = self._places, self._service, self._message_size
        found: list[Ordinary | None] = []
        for method, header, body in batch:
            place = places[method] if method in places else self._place(method)
            if place is None or len(body) > largest:
                found.append(None)
                continue
            properties = header[12:]
            shapes = place.shapes
            shape = shapes[properties] if properties in shapes else self._shape(place, header, properties)
            if shape is None:
                found.append(None)
                continue
            try:
                document = read_plain(body)
                if type(document) is not dict or ENCRYPTED_MEMBER in document or document["source"] != source:
                    raise ValueError(source)
                message_id, text, payload = document["message_id"], document["timestamp"], document["payload"]
                if type(message_id) is not str or type(text) is not str or type(payload) is not dict:
                    raise ValueError(source)
            except (ValueError, KeyError):
                found.append(None)
                continue
            milliseconds = parse_timestamp(text)
            if milliseconds is None or not is_message_id(message_id) or not place.is_valid(payload):
                found.append(None)
                continue
            sensitive = place.sensitive
            if sensitive is not None and (fields := sensitive.present(payload)):
                hidden = self._encrypt(body, message_id, fields, place.listeners, now)
                if isinstance(hidden, MissingKey) or len(hidden) > largest:
                    found.append(None)
                    continue
                body = hidden  # what goes over the wire is signed
            pieces, own_id, leaf, timestamp = shape
            identifier = message_id.encode()
            if not own_id:
                own_id = _UUID_FIELD + identifier
            elif own_id[4:] != identifier:
                self._differing[_PUBLISH, MESSAGE_ID] += 1
            if timestamp is None:
                timestamp = max(milliseconds // CLOCK_UNIT_MILLISECONDS, 0)
            elif abs(timestamp * CLOCK_UNIT_MILLISECONDS - milliseconds) > CLOCK_UNIT_MILLISECONDS:
                self._differing[_PUBLISH, TIMESTAMP] += 1
            size = len(body).to_bytes(8, "big")
            hashed = sha256(b"".join((place.leaf, own_id, leaf, size, sha256(body).digest()))).digest()
            row = (place.destination, body, place.lifetime_seconds, hashed, pieces, own_id[3:], timestamp)
            found.append(_new(Ordinary, row))
        return found

    def _place(self, method: bytes) -> PublishPlace | None:
        """Where a publish goes, if what is published there can be ordinary."""
        if len(self._places) >= _KEPT_PLACES:
            self._places.clear()
        found = self._places[method] = self._find_place(method)
        return found

    def _find_place(self, method: bytes) -> PublishPlace | None:
        try:
            publish = parse_publish(method)
        except AmqpFault:
            return None
        destination: DestinationRules = self._find(publish.exchange, publish.routing_key)
        route, schema = destination.route, destination.schema
        is_judged = destination.refusal is None and destination.mode is Enforcement.ENFORCE
        if not is_judged or route is None or schema is None:
            return None
        begin = leaf_place(publish.exchange, publish.routing_key)
        entry = to_entry(publish.exchange, publish.routing_key)
        return PublishPlace(
            destination.label,
            route.lifetime_seconds,
            schema.is_valid,
            destination.priority,
            begin,
            entry,
            {},
            destination.sensitive,
            route.listeners,
        )

    def _shape(self, place: PublishPlace, header: bytes, properties: bytes) -> Shape | None:
        found = self._find_shape(place, header)
        is_alike = found is None or not int.from_bytes(properties[:2], "big") & _OF_THE_MESSAGE
        if is_alike and len(properties) <= _LONGEST_KEPT_BYTES:
            if len(place.shapes) >= _KEPT_SHAPES:
                place.shapes.clear()
            place.shapes[properties] = found
        return found

    def _find_shape(self, place: PublishPlace, payload: bytes) -> Shape | None:
        try:
            header = ContentHeader.parse(payload)
            pieces = pieces_of(header, self._service.encode(), place.to, place.priority)
        except AmqpFault:
            return None
        is_own = header.app_id is None or header.app_id == self._service.encode()
        if pieces is None or not is_own or is_stub(header.content_type):
            return None
        message_id = header.message_id
        return Shape(
            pieces,
            b"" if message_id is None else _field(message_id),
            b"".join(
                ABSENT if text is None else _field(text)
                for text in (header.correlation_id, header.content_type, header.content_encoding, header.type)
            ),
            header.timestamp,
        )


def _field(text: bytes) -> bytes:
    return _FIELD + bytes((len(text),)) + text
