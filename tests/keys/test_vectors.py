"""The published vectors: current, complete, and right by a second verifier that shares no code with the first."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jwt
import pytest

from letrade_topo.keys.headers import TokenHeaders
from letrade_topo.keys.jwk import parse_private, parse_public
from letrade_topo.keys.keyset import KeySet
from letrade_topo.keys.leaf import SignedProperties
from letrade_topo.keys.policy import Route
from letrade_topo.keys.reasons import Reason, Refused
from letrade_topo.keys.token import Arrival, Verifier

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "docs/reference/token-vectors.json").read_text(encoding="utf-8"))
DELIVERIES = DOCUMENT["deliveries"]
NAMES = [delivery["name"] for delivery in DELIVERIES]
ABSENT = 0xFFFFFFFF


class VectorPolicy:
    """The policy that the vectors themselves state."""

    service: str = DOCUMENT["verifier"]["service"]
    audience: str = DOCUMENT["verifier"]["audience"]
    movers: Collection[str] = DOCUMENT["verifier"]["movers"]

    def route(self, exchange: bytes, routing_key: bytes) -> Route | None:
        """The type with exactly this destination."""
        for item in DOCUMENT["verifier"]["types"]:
            if (item["exchange"].encode(), item["routing_key"].encode()) == (exchange, routing_key):
                publishers, queues = frozenset(item["publishers"]), frozenset(item["queues"])
                return Route(item["name"], item["lifetime_seconds"], publishers, queues, frozenset())
        return None

    def reaches(self, route: Route, queue: str) -> bool:
        """Whether the queue is among the route's."""
        return queue in route.queues


def encoded(text: str | None) -> bytes | None:
    """A short string."""
    return None if text is None else text.encode()


def arrival_of(delivery: dict[str, Any]) -> Arrival:
    """A delivery as the verifier takes it."""
    return Arrival(
        delivery["queue"],
        delivery["exchange"].encode(),
        delivery["routing_key"].encode(),
        TokenHeaders.gather((name.encode(), value.encode()) for name, value in delivery["headers"]),
        SignedProperties(**{name: encoded(value) for name, value in delivery["properties"].items()}),
        delivery["body"].encode(),
    )


@pytest.mark.wide
def test_vectors_are_current() -> None:
    """The file is what the script writes, which has its verdicts from the program."""
    script = [sys.executable, str(ROOT / "script/token-vectors"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_reason_up_to_the_lifetime_has_a_vector() -> None:
    """No check of a token is left without an example."""
    words = [reason.value for reason in Reason]
    expected = {*words[: words.index("repeat")], "accepted"}

    assert {delivery["verdict"] for delivery in DELIVERIES} == expected
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("delivery", DELIVERIES, ids=NAMES)
def test_verdict(delivery: dict[str, Any]) -> None:
    """The verdict follows from what the file says alone."""
    keys = [parse_public(members) for members in DOCUMENT["public_keys"]["keys"]]
    verifier = Verifier(
        KeySet(None, MappingProxyType({key.kid: key for key in keys})),
        VectorPolicy(),
        leeway_seconds=DOCUMENT["verifier"]["leeway_seconds"],
        outage_seconds=DOCUMENT["verifier"]["outage_seconds"],
    )
    kept_up_until = delivery.get("kept_up_until", math.inf)
    verdict = verifier.verify(arrival_of(delivery), delivery["now"], kept_up_until=kept_up_until)

    found = (verdict.reason.value, verdict.hold) if isinstance(verdict, Refused) else ("accepted", False)
    assert found == (delivery["verdict"], delivery["held"])


def plain_decode(text: str) -> bytes:
    """Base64url as Python does it."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def plain_leaf(exchange: str, routing_key: str, properties: dict[str, str | None], body: str) -> bytes:
    """The leaf by the words of the format."""
    order = ("message_id", "correlation_id", "content_type", "content_encoding", "type")
    data = b"\0"
    for text in (exchange, routing_key, *(properties[name] for name in order)):
        data += ABSENT.to_bytes(4, "big") if text is None else len(text.encode()).to_bytes(4, "big") + text.encode()
    raw = body.encode()
    return hashlib.sha256(data + len(raw).to_bytes(8, "big") + hashlib.sha256(raw).digest()).digest()


def plain_root(leaf: bytes, index: int, count: int, path: list[bytes]) -> bytes:
    """The root by the recursive definition of RFC 6962, with the path read from its end."""
    if count == 1:
        assert not path
        return leaf
    k = 1 << (count - 1).bit_length() - 1
    sibling, rest = path[-1], path[:-1]
    if index < k:
        return hashlib.sha256(b"\1" + plain_root(leaf, index, k, rest) + sibling).digest()
    return hashlib.sha256(b"\1" + sibling + plain_root(leaf, index - k, count - k, rest)).digest()


@pytest.mark.parametrize("delivery", [item for item in DELIVERIES if item["verdict"] == "accepted"])
def test_another_implementation(delivery: dict[str, Any]) -> None:
    """PyJWT and twenty lines of hashing find each accepted message to be the one that was signed."""
    headers = dict(delivery["headers"])
    token = headers["letrade-jws"]
    jwks = jwt.PyJWKSet.from_dict(DOCUMENT["public_keys"])
    key = jwks[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        key,
        [str(key.algorithm_name)],
        audience=DOCUMENT["verifier"]["audience"],
        options={"verify_exp": False, "verify_iat": False},
    )
    exchange, routing_key = (plain_decode(part).decode() for part in headers["letrade-to"].split("."))
    leaf = plain_leaf(exchange, routing_key, delivery["properties"], delivery["body"])
    index, _, path = headers.get("letrade-proof", "0.").partition(".")
    hashes = plain_decode(path)

    root = plain_root(leaf, int(index), claims["n"], [hashes[i : i + 32] for i in range(0, len(hashes), 32)])
    assert root == plain_decode(claims["mr"])


def test_examples_of_leaves_and_trees() -> None:
    """The worked examples are right by the plain definition."""
    for example in DOCUMENT["leaves"]:
        leaf = plain_leaf(example["exchange"], example["routing_key"], example["properties"], example["body"])
        assert leaf == plain_decode(example["leaf"])
        assert leaf == hashlib.sha256(b"\0" + bytes.fromhex(example["message_bytes_hex"])).digest()
    for example in DOCUMENT["trees"]:
        leaves = [plain_decode(leaf) for leaf in example["leaves"]]
        for index, path in enumerate(example["paths"]):
            hashes = plain_decode(path)
            parts = [hashes[i : i + 32] for i in range(0, len(hashes), 32)]
            assert plain_root(leaves[index], index, len(leaves), parts) == plain_decode(example["root"])


def test_private_keys_belong_to_the_public_ones() -> None:
    """Whoever wants to sign vectors of their own can."""
    public = {members["kid"]: parse_public(members) for members in DOCUMENT["public_keys"]["keys"]}
    for members in DOCUMENT["private_keys"]["keys"]:
        private = parse_private(members)
        if private.kid in public:
            assert private.key.public_key() == public[private.kid].key
