"""How addresses are spelled: names are other people's texts, and no two objects may get one address.

A name stands as it is unless it holds what the spelling itself is made of; then it stands in quotes, as a
JSON string. So `binding:SOURCE -> TYPE:DESTINATION [KEY]` can be read in one way only, whatever the names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import NewType

from letrade_topo.model.messages import Json

Address = NewType("Address", str)

_AMBIGUOUS_IN_BINDING = re.compile(r'"| -> | \[|\]')
_AMBIGUOUS_IN_PAIR = re.compile(r'"|/')

DIGEST_LETTERS = 32
"""Of a binding's arguments: 128 bits, so that nobody finds two with one digest on purpose either."""
OLD_DIGEST_LETTERS = 12


def binding_address(
    source: str, destination_type: str, destination: str, routing_key: str, arguments: Mapping[str, Json]
) -> Address:
    """The address of a binding; arguments, which may be long, as a digest of their JSON."""
    source, destination, routing_key = (
        _quoted(text, _AMBIGUOUS_IN_BINDING) for text in (source, destination, routing_key)
    )
    return _binding(source, destination_type, destination, routing_key, arguments, DIGEST_LETTERS)


def pair_address(kind: str, first: str, second: str) -> Address:
    """The address of what two names tell apart, for example a user and an exchange."""
    return Address(f"{kind}:{_quoted(first, _AMBIGUOUS_IN_PAIR)}/{_quoted(second, _AMBIGUOUS_IN_PAIR)}")


def old_binding_address(
    source: str, destination_type: str, destination: str, routing_key: str, arguments: Mapping[str, Json]
) -> Address:
    """As ownership records of 0.1.0 spell it: unquoted, and with a shorter digest."""
    return _binding(source, destination_type, destination, routing_key, arguments, OLD_DIGEST_LETTERS)


def old_pair_address(kind: str, first: str, second: str) -> Address:
    """Likewise."""
    return Address(f"{kind}:{first}/{second}")


def _binding(
    source: str,
    destination_type: str,
    destination: str,
    routing_key: str,
    arguments: Mapping[str, Json],
    digest_letters: int,
) -> Address:
    end = f"{source} -> {destination_type}:{destination} [{routing_key}]"
    if not arguments:
        return Address(f"binding:{end}")
    # As text, so that 1, 1.0, "1" and true are four: to the broker they are.
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return Address(f"binding:{end} {{{hashlib.sha256(text.encode()).hexdigest()[:digest_letters]}}}")


def _quoted(text: str, ambiguous: re.Pattern[str]) -> str:
    return json.dumps(text, ensure_ascii=False) if ambiguous.search(text) else text
