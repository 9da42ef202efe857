"""One message, written down as JSON, judged as the agent beside a service would judge it on arrival.

Without a broker, and without a memory: whether it is a repeat cannot be known here.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from letrade_agent.filters.contents import Contents
from letrade_agent.filters.words import Undelivered
from letrade_topo.amqp.faults import MAX_SHORT_STRING
from letrade_topo.errors import TopoError
from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.policy import TopologyPolicy
from letrade_topo.keys.reasons import Refused
from letrade_topo.keys.token import Accepted, Arrival, Verifier
from letrade_topo.messages.claim import is_stub
from letrade_topo.messages.decryption import FieldDecryption
from letrade_topo.messages.encrypted import is_encrypted
from letrade_topo.messages.envelope import EnvelopeProperties
from letrade_topo.messages.schema import PayloadSchema
from letrade_topo.model.messages import Json
from letrade_topo.model.topology import Topology

ACCEPTED = "accepted"


class NotAMessage(TopoError):
    """The document does not describe a message."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a message.

    Args:
        verdict: `accepted`, or the reason word.
        why: in words.
        held: an agent would keep it for a while before it counts as refused.
        issuer: whose it is, if that is proven; "" otherwise.
        kid: the key that it was signed with, if it is known.
        message_type: of an accepted one.
        issued_at: of an accepted one, in seconds since the epoch.
        attempt: of an accepted one; 0 for the first.
    """

    verdict: str
    why: str
    held: bool = False
    issuer: str = ""
    kid: str = ""
    message_type: str = ""
    issued_at: int | None = None
    attempt: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether the service would see it."""
        return self.verdict == ACCEPTED


def verify_message(
    document: Mapping[str, Json],
    topology: Topology,
    keys: KeySet,
    service: str,
    now: float,
    *,
    kept_up_until: float = inf,
) -> Judgement:
    """Judge a message as if it had arrived at this moment.

    Args:
        document: `exchange`, `routing_key`, `queue`, `properties` (by their names), `headers` (an object, or a list of
            name and value where a name occurs twice; also within `properties`), and `body` as text or `body_base64`.
            What `rabbitmqadmin get` and the management API print is understood, too: `payload`, `payload_encoding`.
        topology: a valid one.
        keys: the public keys, and for sensitive fields the private ones of the service; without these, a body with
            encrypted fields is not looked into.
        service: the service that would consume it.
        now: seconds since the epoch.
        kept_up_until: as of `Verifier.verify`.

    Raises:
        NotAMessage: a part is missing, or is not what it should be.
    """
    arrival, app_id = _arrival(document)
    policy = TopologyPolicy(topology, service)
    jwt = topology.security.jwt
    verifier = Verifier(keys, policy, leeway_seconds=jwt.leeway.seconds, outage_seconds=jwt.outage_tolerance.seconds)
    verdict = verifier.verify(arrival, now, kept_up_until=kept_up_until)
    if isinstance(verdict, Refused):
        return Judgement(verdict.reason, verdict.detail, verdict.hold, verdict.issuer, verdict.kid)
    limit = topology.limits.message_size.bytes
    if len(arrival.body) > limit:
        text = f"message size {len(arrival.body)} is larger than configured max size {limit}"
        token = verdict.origin.token
        return Judgement(Undelivered.OVERSIZE, text, held=True, issuer=token.claims.issuer, kid=token.kid)
    if is_stub(arrival.properties.content_type):
        return _accepted(verdict, "; its body lies in the claim check's store and was not looked into")
    if is_encrypted(bytes(arrival.body)) and not keys.decrypting:
        return _accepted(
            verdict, "; what is encrypted in it was not looked into, for want of the service's private key"
        )
    return _refused(verdict, arrival, app_id, topology, keys, now) or _accepted(verdict)


def _refused(
    accepted: Accepted, arrival: Arrival, app_id: bytes | None, topology: Topology, keys: KeySet, now: float
) -> Judgement | None:
    """What is wrong with the body, if anything."""
    token, message_type = accepted.origin.token, topology.messages[accepted.route.message_type]
    properties = EnvelopeProperties(arrival.properties.message_id, None, app_id)
    contents = Contents(FieldDecryption(keys), {message_type.name: PayloadSchema(message_type)})
    content = contents.check(bytes(arrival.body), properties, token.claims.issuer, message_type.name, now)
    if content.reason is None:
        return None
    return Judgement(content.reason, content.why, issuer=token.claims.issuer, kid=token.kid)


def _accepted(accepted: Accepted, but: str = "") -> Judgement:
    token, message_type = accepted.origin.token, accepted.route.message_type
    issuer = token.claims.issuer
    why = f"{message_type} of {issuer}, signed with the key {token.kid}{but}"
    return Judgement(
        ACCEPTED,
        why,
        issuer=issuer,
        kid=token.kid,
        message_type=message_type,
        issued_at=token.claims.issued_at,
        attempt=accepted.attempt,
    )


def _arrival(document: Mapping[str, Json]) -> tuple[Arrival, bytes | None]:
    properties = document.get("properties", {})
    if not isinstance(properties, dict):
        raise _bad("properties", "is not an object of AMQP properties by their names")
    headers = document.get("headers", properties.get("headers"))
    signed = SignedProperties(*[_property(properties, name) for name in SignedProperties._fields])
    arrival = Arrival(
        _text(document, "queue"),
        _short(_text(document, "exchange"), "exchange"),
        _short(_text(document, "routing_key"), "routing_key"),
        TokenHeaders.gather(_headers(headers)),
        signed,
        _body(document),
    )
    return arrival, _property(properties, "app_id")


def _headers(headers: Json) -> list[tuple[bytes, bytes | None]]:
    match headers:
        case None:
            return []
        case dict():
            pairs: list[tuple[str, Json]] = list(headers.items())
        case list():
            pairs = []
            for item in headers:
                match item:
                    case [str() as name, value]:
                        pairs.append((name, value))
                    case _:
                        raise _bad("headers", "has an item that is not a list of name and value")
        case _:
            raise _bad("headers", "is neither an object nor a list")
    return [(_encoded(name), _encoded(value) if isinstance(value, str) else None) for name, value in pairs]


def _body(document: Mapping[str, Json]) -> bytes:
    if "body_base64" in document:
        return _base64(_text(document, "body_base64"), "body_base64")
    if "body" not in document and "payload" in document:
        text = _text(document, "payload")
        return _base64(text, "payload") if document.get("payload_encoding") == "base64" else _encoded(text)
    return _encoded(_text(document, "body"))


def _base64(text: str, name: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        raise _bad(name, "is not base64") from None


def _property(properties: Mapping[str, Json], name: str) -> bytes | None:
    value = properties.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _bad(f"properties.{name}", "is not a text")
    return _short(value, f"properties.{name}")


def _text(document: Mapping[str, Json], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise _bad(name, "is missing" if value is None else "is not a text")
    return value


def _encoded(text: str) -> bytes:
    """JSON can hold half a surrogate pair, which is no UTF-8 and stays none."""
    return text.encode(errors="surrogatepass")


def _short(text: str, name: str) -> bytes:
    encoded = _encoded(text)
    if len(encoded) > MAX_SHORT_STRING:
        raise _bad(name, f"has {len(encoded)} bytes, and AMQP allows {MAX_SHORT_STRING}")
    return encoded


def _bad(name: str, what: str) -> NotAMessage:
    return NotAMessage(
        f"`{name}` {what}",
        why="a message is written as an object of exchange, routing_key, queue, properties, headers and body",
        fix="write it so, for example from what `rabbitmqadmin get` prints, with the queue it was in",
    )
