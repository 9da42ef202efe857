"""The ordinary deliveries of one read, in one pass over them: what each costs decides what the agent costs.

Ordinary is a delivery that comes straight from its publisher, with a right token, envelope and payload, of which
nothing lies in the object store, and that mode `enforce` judges; its encrypted fields can be put back. As with ordinary
publishes this pass only says yes: whatever it cannot say yes to is examined by `InboundFilter` the careful way, which
alone finds fault, holds, warns and lets unproven ones pass. A property test holds the two against each other.

The pass changes nothing but what is remembered of a batch. Whether a delivery is a repeat is asked afterwards, in the
order of the deliveries, because that changes the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from letrade_agent.filters.contents import Contents
from letrade_agent.filters.ordinary_headers import UNREADABLE, read_header
from letrade_agent.filters.verdicts import Arrived, Proven, Remembered, Shown
from letrade_topo.amqp.properties import with_body_size
from letrade_topo.keys.headers import parse_proof, parse_to
from letrade_topo.keys.jws import Malformed
from letrade_topo.keys.leaf import ABSENT
from letrade_topo.keys.leaf import place as leaf_place
from letrade_topo.keys.merkle import ProvenTree
from letrade_topo.keys.policy import Route, TokenPolicy
from letrade_topo.keys.replay import Identity
from letrade_topo.keys.token import ProvenToken, Verifier
from letrade_topo.messages.encrypted import ENCRYPTED_MEMBER, ENCRYPTED_OPENING, EncryptionContext, is_bound
from letrade_topo.messages.envelope import is_message_id
from letrade_topo.messages.json_text import read_plain
from letrade_topo.messages.spans import field_set
from letrade_topo.messages.timestamps import parse_timestamp
from letrade_topo.model.messages import Json

_KEPT_SOURCES: Final = 4_096

_FIELD: Final = b"\x00\x00\x00"
"""Before a short string as it stands on the wire it makes a field of a leaf: a length of 32 bits and the text."""

_new = tuple.__new__
"""Makes a named tuple at a quarter of the price of calling its class (3.11)."""


class DeliverySource(NamedTuple):
    """Where ordinary deliveries come from.

    Args:
        queue: that was consumed from.
        label: of metrics.
        route: what the topology says of what is published there.
        is_valid: whether a payload is one of the type.
        leaf: how every leaf begins.
    """

    queue: str
    label: str
    route: Route
    is_valid: Callable[[Json], bool]
    leaf: bytes


class Genuine(NamedTuple):
    """A delivery that is what its publisher signed, straight from it, and in time; its content was not looked at.

    Args:
        source: where it comes from.
        identity: which delivery it is.
        issued_at, valid_until: seconds since the epoch.
        kid: of the key that signed it.
        message_id, app_id: the properties as short strings on the wire; empty: it has none.
        header: for the service, without the agents' headers.
    """

    source: DeliverySource
    identity: Identity
    issued_at: int
    valid_until: float
    kid: str
    message_id: bytes
    app_id: bytes
    header: bytes


class OrdinaryDeliveries:
    """Finds them for one service.

    Args:
        verifier: of the service.
        policy: what the topology says.
        contents: puts encrypted fields back, and has the schemas.
        label_of: the label of metrics of a queue and exchange from which mode `enforce` judges what comes; None: it is
            not judged so.
        message_size: largest body on the wire, in bytes.
    """

    def __init__(
        self,
        verifier: Verifier,
        policy: TokenPolicy,
        contents: Contents,
        label_of: Callable[[str, bytes], str | None],
        message_size: int,
    ) -> None:
        self._message_size = message_size
        self._verifier = verifier
        self._policy = policy
        self._schemas = contents.schemas
        self._open = contents.decryption.open
        self._label_of = label_of
        self._sources: dict[tuple[str, bytes, bytes], DeliverySource | None] = {}

    def genuine(self, batch: Sequence[Arrived], now: float) -> list[Genuine | None]:
        """Which deliveries are genuine; None: it takes a closer look."""
        sources, find_token, largest = self._sources, self._verifier.token, self._message_size
        found: list[Genuine | None] = []
        last_jws, last_source, judged = b"", None, None
        for queue, names, payload, body in batch:
            try:
                jws, to, proof, properties, message_id, app_id, header = read_header(payload)
            except UNREADABLE:
                found.append(None)
                continue
            key = (queue, names, to)
            source = sources[key] if key in sources else self._source(key)
            if source is None or len(body) > largest:
                found.append(None)
                continue
            if source is not last_source or jws != last_jws:
                token = find_token(jws, now)
                judged = None if token is None else self._judge(token, source, now)
                last_source, last_jws = source, jws
            if judged is None:
                found.append(None)
                continue
            issuer, jti, issued_at, kid, root, tree, valid_until = judged
            size = len(body).to_bytes(8, "big")
            own_id = _FIELD + message_id if message_id else ABSENT
            leaf = sha256(b"".join((source.leaf, own_id, properties, size, sha256(body).digest()))).digest()
            index = 0
            if tree is None:
                is_right = not proof and leaf == root
            else:
                placed = parse_proof(proof)
                if isinstance(placed, Malformed):
                    is_right = False
                else:
                    index, path = placed
                    is_right = tree.fits(index, path) and tree.holds(leaf, index, path)
            if is_right:
                identity = _new(Identity, (issuer, jti, index, 0))
                row = (source, identity, issued_at, valid_until, kid, message_id, app_id, header)
                found.append(_new(Genuine, row))
            else:
                found.append(None)
        return found

    def proven(self, batch: Sequence[Arrived], genuine: Sequence[Genuine | None], now: float) -> list[Proven | None]:
        """Which genuine deliveries have a right content, with their sensitive fields put back."""
        found: list[Proven | None] = []
        for (_, _, _, body), one in zip(batch, genuine, strict=True):
            if one is None:
                found.append(None)
                continue
            source, identity, _, valid_until, _, message_id, app_id, header = one
            issuer = identity[0]
            restored: bytes | None = None
            fields: tuple[str, ...] = ()
            aad = b""
            try:
                if body.startswith(ENCRYPTED_OPENING):
                    restored, fields, aad = self._open(body, now)
                    header = with_body_size(header, len(restored))
                document = read_plain(body if restored is None else restored)
                if type(document) is not dict or ENCRYPTED_MEMBER in document or document["source"] != issuer:
                    raise ValueError
                own_id, timestamp, payload = document["message_id"], document["timestamp"], document["payload"]
                if type(own_id) is not str or type(timestamp) is not str or type(payload) is not dict:
                    raise ValueError
                if fields and not _belong(fields, aad, EncryptionContext(issuer, own_id), payload):
                    raise ValueError
            except (ValueError, KeyError):
                found.append(None)
                continue
            is_right = (
                is_message_id(own_id)
                and parse_timestamp(timestamp) is not None
                and (not message_id or message_id[1:] == own_id.encode())
                and (not app_id or app_id[1:] == issuer.encode())
                and source.is_valid(payload)
            )
            if is_right:
                remembered = _new(Remembered, (source.queue, identity, valid_until))
                shown = _new(Shown, (header, remembered, source.label, None, None, restored))
                found.append(_new(Proven, (identity, valid_until, shown)))
            else:
                found.append(None)
        return found

    def _judge(
        self, proven: ProvenToken, source: DeliverySource, now: float
    ) -> tuple[str, bytes, int, str, bytes, ProvenTree | None, float] | None:
        """What all messages of a token and a source have in common; None: they may not be here, or not now."""
        token, _, tree = proven
        claims = token.claims
        if claims.issuer not in source.route.publishers:
            return None
        valid_until = self._verifier.lasts_until(token, source.route, now)
        if valid_until is None:
            return None
        return claims.issuer, claims.jti, claims.issued_at, token.kid, claims.root, tree, valid_until

    def _source(self, key: tuple[str, bytes, bytes]) -> DeliverySource | None:
        if len(self._sources) >= _KEPT_SOURCES:
            self._sources.clear()
        found = self._sources[key] = self._find_source(*key)
        return found

    def _find_source(self, queue: str, names: bytes, to: bytes) -> DeliverySource | None:
        destination = parse_to(to)
        if isinstance(destination, Malformed):
            return None
        exchange, routing_key = destination
        if names != b"".join((bytes((len(exchange),)), exchange, bytes((len(routing_key),)), routing_key)):
            return None
        label, route = self._label_of(queue, exchange), self._policy.route(exchange, routing_key)
        if label is None or route is None or not self._policy.reaches(route, queue):
            return None
        schema = self._schemas[route.message_type]
        return DeliverySource(queue, label, route, schema.is_valid, leaf_place(exchange, routing_key))


def _belong(fields: tuple[str, ...], aad: bytes, binding: EncryptionContext, payload: dict[str, Json]) -> bool:
    """Whether fields that were put back are of this message, and stand where agents encrypt them."""
    return is_bound(aad, fields, binding) and field_set(fields).present(payload) == fields
