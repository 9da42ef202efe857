"""Content keys: one key for many messages, wrapped for each of its recipients (RFC 7516, General JSON Serialization).

    alg  ECDH-ES+A256KW (RFC 7518, 4.6), on P-256
    enc  A256GCM (RFC 7518, 5.3)

The primitives are those of `cryptography`. No JOSE library for Python takes a content key that is there already,
and a key agreement for each recipient of each message is a hundred times the price of what a message needs.
What is encrypted, and what it is bound to, is the caller's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from letrade_topo.keys import base64url
from letrade_topo.keys.jwk import ENCRYPTION_ALGORITHM, InvalidKey, parse_point, write_point
from letrade_topo.keys.jws import KID, LONGEST_KID
from letrade_topo.keys.strict_json import NotAnObject, parse_object
from letrade_topo.model.messages import Json

CONTENT_ENCRYPTION: Final = "A256GCM"
CONTENT_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_HEADER: Final = {"alg": ENCRYPTION_ALGORITHM, "enc": CONTENT_ENCRYPTION}
_write: Final = json.JSONEncoder(separators=(",", ":")).encode
_PROTECTED: Final = base64url.encode(_write(_HEADER).encode())
_RECIPIENT_HEADER: Final = {"alg", "enc", "kid", "epk"}
_MEMBERS: Final = {"protected", "recipients", "aad", "iv", "ciphertext", "tag"}


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


_OTHER_INFO: Final = _length(ENCRYPTION_ALGORITHM.encode()) + _length(b"") + _length(b"") + (256).to_bytes(4, "big")
"""AlgorithmID, PartyUInfo, PartyVInfo, SuppPubInfo (RFC 7518, 4.6.2)."""


class NotDecrypted(ValueError):
    """A JWE cannot be read; the message says why, and holds nothing of keys or contents."""


class Recipient(NamedTuple):
    """Who can read.

    Args:
        kid: of the key.
        key: the public key.
    """

    kid: str
    key: EllipticCurvePublicKey


class Jwe(NamedTuple):
    """The parts of a JWE.

    Args:
        head: its members `protected` and `recipients`, as text.
        aad: additional data, encoded, as it stands there.
        nonce: 12 bytes.
        ciphertext: with the tag at its end.
    """

    head: bytes
    aad: bytes
    nonce: bytes
    ciphertext: bytes


class WrappedKey(NamedTuple):
    """A content key as one recipient gets it.

    Args:
        ephemeral: the sender's public key for this agreement, as a JWK that nobody has looked at.
        encrypted_key: the wrapped content key.
    """

    ephemeral: Mapping[str, Json]
    encrypted_key: bytes


MakeEphemeral = Callable[[], EllipticCurvePrivateKey]
make_ephemeral_key: Final[MakeEphemeral] = partial(generate_private_key, SECP256R1())


class ContentKey:
    """A content key of one's own making, with its wrapped copies.

    Args:
        recipients: at least one.
        random_bytes: gives so many random bytes, fit for secrets.
        make_ephemeral: gives a fresh key pair on P-256.

    Attributes:
        head: the members `protected` and `recipients` of every JWE made with it, as text.
    """

    __slots__ = ("_cipher", "_random_bytes", "head")

    def __init__(
        self,
        recipients: Sequence[Recipient],
        random_bytes: Callable[[int], bytes],
        make_ephemeral: MakeEphemeral = make_ephemeral_key,
    ) -> None:
        if not recipients:
            raise ValueError("a content key without recipients")
        secret = random_bytes(CONTENT_KEY_BYTES)
        self._cipher = AESGCM(secret)
        self._random_bytes = random_bytes
        wrapped = [_wrap(secret, recipient, make_ephemeral()) for recipient in recipients]
        listed = _write(wrapped).encode()
        self.head: Final = b'"protected":"' + _PROTECTED + b'","recipients":' + listed

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """A JWE in General JSON Serialization, under a fresh random nonce.

        Args:
            plaintext: what to encrypt.
            aad: what it is bound to; goes with it, readable.
        """
        encode = base64url.encode
        nonce, shown = self._random_bytes(NONCE_BYTES), encode(aad)
        sealed = self._cipher.encrypt(nonce, plaintext, _PROTECTED + b"." + shown)
        tail = b'","iv":"%b","ciphertext":"%b","tag":"%b"}'
        return b"".join(
            (
                b"{",
                self.head,
                b',"aad":"',
                shown,
                tail % (encode(nonce), encode(sealed[:-TAG_BYTES]), encode(sealed[-TAG_BYTES:])),
            )
        )

    def opener(self) -> Opener:
        """Reads what was sealed with this key, without anybody's private key."""
        return Opener(_PROTECTED, self._cipher)


class Opener:
    """Reads every JWE that was made with one content key.

    Args:
        protected: the encoded header that its JWEs have.
        cipher: with the content key.
    """

    __slots__ = ("_cipher", "_prefix")

    def __init__(self, protected: bytes, cipher: AESGCM) -> None:
        self._prefix = protected + b"."
        self._cipher = cipher

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext.

        Args:
            nonce: 12 bytes.
            ciphertext: with the tag at its end.
            aad: additional data, encoded.

        Raises:
            NotDecrypted: it was altered, or made with another key.
        """
        try:
            return self._cipher.decrypt(nonce, ciphertext, self._prefix + aad)
        except InvalidTag:
            raise NotDecrypted("ciphertext or what it is bound to was altered, or it is of another key") from None


def unwrap(protected: bytes, wrapped: WrappedKey, private: EllipticCurvePrivateKey) -> Opener:
    """The content key, as a recipient gets at it.

    Raises:
        NotDecrypted: it was not wrapped for this private key.
    """
    try:
        ephemeral = parse_point(wrapped.ephemeral)
    except InvalidKey:
        raise NotDecrypted("its `epk` is no point of P-256") from None
    try:
        secret = aes_key_unwrap(_agreed(private, ephemeral), wrapped.encrypted_key)
    except InvalidUnwrap:
        raise NotDecrypted("its wrapped key is not for the key that it names") from None
    if len(secret) != CONTENT_KEY_BYTES:
        raise NotDecrypted(f"its content key has {len(secret)} bytes, and {CONTENT_ENCRYPTION} takes 32")
    return Opener(protected, AESGCM(secret))


def parse_head(head: bytes) -> tuple[bytes, dict[str, WrappedKey]]:
    """The protected header, encoded, and the wrapped keys by kid, of `ContentKey.head`.

    Raises:
        NotDecrypted: it is not of its form.
    """
    try:
        members = parse_object(b"{" + head + b"}")
    except NotAnObject as error:
        raise NotDecrypted(f"it is not a JWE: {error}") from None
    return _head_of(members)


def parse_jwe(members: Mapping[str, Json]) -> Jwe:
    """Take a JWE in General JSON Serialization apart.

    Raises:
        NotDecrypted: it has other members than these, or is bound to nothing.
    """
    if members.keys() != _MEMBERS:
        raise NotDecrypted(f"its JWE has not exactly {', '.join(sorted(_MEMBERS))}")
    aad = members.get("aad")
    if not isinstance(aad, str) or not aad.isascii():
        raise NotDecrypted("its `aad` is not base64url")
    nonce, ciphertext, tag = (_decoded(members, name) for name in ("iv", "ciphertext", "tag"))
    check_sizes(nonce, tag)
    head = _write({name: members[name] for name in ("protected", "recipients")}).encode()
    return Jwe(head[1:-1], aad.encode(), nonce, ciphertext + tag)


def check_sizes(nonce: bytes, tag: bytes) -> None:
    """A shorter tag would be easier to guess.

    Raises:
        NotDecrypted: nonce or tag is not as long as A256GCM has it.
    """
    if len(nonce) != NONCE_BYTES or len(tag) != TAG_BYTES:
        raise NotDecrypted("`iv` or `tag` is not as long as A256GCM has it")


def _wrap(secret: bytes, recipient: Recipient, ephemeral: EllipticCurvePrivateKey) -> Json:
    encrypted_key = aes_key_wrap(_agreed(ephemeral, recipient.key), secret)
    return {
        "header": {"kid": recipient.kid, "epk": write_point(ephemeral.public_key())},
        "encrypted_key": base64url.encode(encrypted_key).decode(),
    }


def _agreed(private: EllipticCurvePrivateKey, public: EllipticCurvePublicKey) -> bytes:
    return ConcatKDFHash(SHA256(), CONTENT_KEY_BYTES, _OTHER_INFO).derive(private.exchange(ECDH(), public))


def _head_of(members: Mapping[str, Json]) -> tuple[bytes, dict[str, WrappedKey]]:
    protected = members.get("protected")
    try:
        shared = parse_object(_decoded(members, "protected"))
    except NotAnObject as error:
        raise NotDecrypted(f"its protected header: {error}") from None
    recipients = members.get("recipients")
    if not isinstance(recipients, list) or not isinstance(protected, str):
        raise NotDecrypted("it has no list of recipients")
    wrapped: dict[str, WrappedKey] = {}
    for recipient in recipients:
        kid, key = _recipient(recipient, shared)
        if kid in wrapped:
            raise NotDecrypted("two of its recipients have one `kid`")
        wrapped[kid] = key
    return protected.encode(), wrapped


def _recipient(recipient: Json, shared: Mapping[str, Json]) -> tuple[str, WrappedKey]:
    if not isinstance(recipient, dict) or recipient.keys() != {"header", "encrypted_key"}:
        raise NotDecrypted("a recipient is not `header` and `encrypted_key`")
    own = recipient["header"]
    if not isinstance(own, dict) or own.keys() & shared.keys():
        raise NotDecrypted("a recipient's header is no object, or repeats the protected one")
    header = {**shared, **own}
    if header.keys() != _RECIPIENT_HEADER or "enc" not in shared:
        raise NotDecrypted(f"a recipient's header has not exactly {', '.join(sorted(_RECIPIENT_HEADER))}")
    if header["alg"] != ENCRYPTION_ALGORITHM or header["enc"] != CONTENT_ENCRYPTION:
        raise NotDecrypted(f"it is not made with {ENCRYPTION_ALGORITHM} and {CONTENT_ENCRYPTION}")
    kid, epk = header["kid"], header["epk"]
    if not isinstance(kid, str) or len(kid) > LONGEST_KID or KID.fullmatch(kid) is None:
        raise NotDecrypted("a recipient's `kid` is not of the form <owner>:<id>")
    if not isinstance(epk, dict):
        raise NotDecrypted("a recipient's `epk` is no key")
    return kid, WrappedKey(epk, _decoded(recipient, "encrypted_key"))


def _decoded(members: Mapping[str, Json], name: str) -> bytes:
    text = members.get(name)
    data = base64url.decode(text.encode()) if isinstance(text, str) and text.isascii() else None
    if data is None:
        raise NotDecrypted(f"its `{name}` is not base64url")
    return data
