"""Tokens against two well-known libraries, both ways: what we sign they accept, what they sign we accept."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from joserfc import jws as jose_jws
from joserfc import jwt as jose_jwt
from joserfc.jwk import ECKey, OKPKey

from letrade_topo.keys import base64url
from letrade_topo.keys.claims import MESSAGE_TYP
from letrade_topo.keys.jwk import PrivateKey, Use, write_private, write_public
from letrade_topo.keys.jws import (
    LONGEST_TOKEN_BYTES,
    Compact,
    Malformed,
    SigningKey,
    parse_compact,
    signature_holds,
    write_compact,
    write_header,
)
from letrade_topo.keys.token import Accepted
from letrade_topo.model.security import JwtAlgorithm
from tests.keys.world import (
    COMMAND,
    NOW,
    arrival_of,
    audience,
    headers_of,
    key_set,
    public_key,
    signing_key,
    verify,
)

pytestmark = [
    pytest.mark.parametrize("algorithm", list(JwtAlgorithm)),
    # RFC 9864 prefers the name Ed25519 for what RFC 8037 calls EdDSA
    pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864"),
]

OPTIONS: Any = {"verify_exp": False, "verify_iat": False}


def jose_key(key: SigningKey) -> ECKey | OKPKey:
    """The same key for joserfc, by way of our own JWK."""
    members: Any = write_private(PrivateKey(key.kid, Use.SIGNATURE, key.algorithm, key.private))
    return ECKey.import_key(members) if members["kty"] == "EC" else OKPKey.import_key(members)


def registry(algorithm: JwtAlgorithm) -> Any:
    """joserfc refuses algorithms and headers that it is not told to accept."""
    return jose_jws.JWSRegistry(algorithms=[algorithm.value], strict_check_header=False)


def test_pyjwt_accepts_our_token(algorithm: JwtAlgorithm) -> None:
    """PyJWT verifies a token of ours and gives its claims."""
    key = signing_key("strategy", algorithm)
    token = headers_of(COMMAND, key=key)[0].jws[0]
    assert token is not None

    claims = jwt.decode(token, key.private.public_key(), [algorithm.value], audience=audience(), options=OPTIONS)

    assert jwt.get_unverified_header(token) == {"alg": algorithm.value, "kid": key.kid, "typ": MESSAGE_TYP}
    assert claims["iss"] == "strategy"
    assert claims["n"] == 1
    assert claims["exp"] - claims["iat"] == 60


def test_pyjwt_reads_our_jwk(algorithm: JwtAlgorithm) -> None:
    """A key of our public file is a JWK for PyJWT."""
    key = signing_key("strategy", algorithm)
    token = headers_of(COMMAND, key=key)[0].jws[0]
    assert token is not None

    jwk = jwt.PyJWK(write_public(public_key(key)))

    assert jwt.decode(token, jwk, [algorithm.value], audience=audience(), options=OPTIONS)["v"] == 1


def test_joserfc_accepts_our_token(algorithm: JwtAlgorithm) -> None:
    """joserfc verifies a token of ours and gives its claims."""
    key = signing_key("strategy", algorithm)
    token = headers_of(COMMAND, key=key)[0].jws[0]
    assert token is not None

    decoded = jose_jwt.decode(token.decode(), jose_key(key), registry=registry(algorithm))

    assert decoded.claims["iss"] == "strategy"
    assert decoded.header == {"alg": algorithm.value, "kid": key.kid, "typ": MESSAGE_TYP}


def test_we_accept_what_pyjwt_signs(algorithm: JwtAlgorithm) -> None:
    """A message whose token is made with PyJWT is accepted."""
    key = signing_key("strategy", algorithm)
    ours = headers_of(COMMAND, key=key)[0]
    theirs = jwt.encode(claims_of(ours.jws[0]), key.private, algorithm.value, {"kid": key.kid, "typ": MESSAGE_TYP})

    verdict = verify(arrival_of(COMMAND, ours._replace(jws=(theirs.encode(),))), keys=key_set(algorithm=algorithm))

    assert isinstance(verdict, Accepted)


def test_we_accept_what_joserfc_signs(algorithm: JwtAlgorithm) -> None:
    """A message whose token is made with joserfc is accepted."""
    key = signing_key("strategy", algorithm)
    ours = headers_of(COMMAND, key=key)[0]
    header = {"alg": algorithm.value, "kid": key.kid, "typ": MESSAGE_TYP}
    theirs = jose_jwt.encode(header, claims_of(ours.jws[0]), jose_key(key), registry=registry(algorithm))

    verdict = verify(arrival_of(COMMAND, ours._replace(jws=(theirs.encode(),))), keys=key_set(algorithm=algorithm))

    assert isinstance(verdict, Accepted)


def test_signatures_of_other_sizes(algorithm: JwtAlgorithm) -> None:
    """An ECDSA signature in the form of OpenSSL, or one that is too short, is none."""
    key = signing_key("strategy", algorithm)
    public = key.private.public_key()
    signature = key.sign(b"data")

    assert signature_holds(public, signature, b"data")
    assert not signature_holds(public, signature, b"date")
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64), b"\xff" * 64):
        assert not signature_holds(public, wrong, b"data")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256", "kid": "strategy:1"},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "crit": ["exp"]},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "b64": False},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "jku": "https://example.com"},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "jwk": {}},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "zip": "DEF"},
        {"alg": "ES256", "kid": "strategy:1", "typ": "x", "x5c": []},
        {"alg": 5, "kid": "strategy:1", "typ": "x"},
        {"alg": "ES256", "kid": None, "typ": "x"},
        {"alg": "ES256", "kid": "no-colon", "typ": "x"},
        {"alg": "ES256", "kid": "strategy:" + "1" * 120, "typ": "x"},
        {"alg": "ES256", "kid": "../strategy:1", "typ": "x"},
        ["alg", "kid", "typ"],
    ],
)
def test_header_with_other_members(algorithm: JwtAlgorithm, header: object) -> None:
    """A header holds alg, kid and typ and nothing else."""
    segment = base64url.encode(json.dumps(header).encode())
    token = write_compact(signing_key("strategy", algorithm), segment, b"{}")

    assert isinstance(parse_compact(token), Malformed)


def test_header_with_a_name_twice(algorithm: JwtAlgorithm) -> None:
    """Of two members of one name, different readers take different ones, so there may not be two."""
    text = b'{"alg":"%s","kid":"strategy:1","typ":"x","alg":"none"}' % algorithm.value.encode()

    assert isinstance(parse_compact(base64url.encode(text) + b".e30.AA"), Malformed)


def test_token_has_three_segments_and_a_size(algorithm: JwtAlgorithm) -> None:
    """Two segments, four (a JWE has five), none, or more than 4 KiB are no token."""
    header = write_header(algorithm, "strategy:1", MESSAGE_TYP)

    assert isinstance(parse_compact(header + b".e30.AA"), Compact)
    for token in (b"", b".", b"..", header + b".e30", header + b".e30.AA.AA", header + b".e3.AA", header + b".e30.A"):
        assert isinstance(parse_compact(token), Malformed)
    long = header + b"." + base64url.encode(b" " * LONGEST_TOKEN_BYTES) + b".AA"
    assert isinstance(parse_compact(long), Malformed)


def claims_of(token: bytes | None) -> dict[str, Any]:
    """The claims of a token, unverified."""
    assert token is not None
    claims: dict[str, Any] = json.loads(base64url.decode(token.split(b".")[1]) or b"")
    assert claims["iat"] == NOW
    return claims
