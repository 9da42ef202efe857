"""The claim check: a store that agents can share, sizes that make sense, objects that outlive their messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from letrade_topo.model.rules.problem import Breach, Rule, did_you_mean, rule
from letrade_topo.model.topology import Topology
from letrade_topo.model.units import ByteSize

STORE_SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "az")
"""Stores of fsspec that several agents can share, and that keep what they are given."""
LARGEST_CLAIM = ByteSize(64 * 1024 * 1024)

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)


@rule(
    "claim-check-store",
    "unusable object store",
    "`claim_check.store` is a folder, or the URL of a store that all agents share: `s3://bucket/prefix`. It never "
    "holds credentials: agents take those from their environment (for S3 `AWS_ACCESS_KEY_ID` and the like).",
)
def claim_check_store(topology: Topology) -> Iterator[Breach]:
    """A store that is no store, or one with a secret in it."""
    if topology.claim_check is None:
        return
    wrong = _wrong_with(topology.claim_check.store)
    if wrong is not None:
        yield Breach(("claim_check", "store"), *wrong)


def _wrong_with(store: str) -> tuple[str, str] | None:
    if "://" not in store:
        return ("A folder has no control characters.", "Write its path.") if "\0" in store else None
    url = _URL.fullmatch(store)
    if url is None:
        return "What stands before :// is not the name of a store.", "Write a URL such as s3://bucket/prefix."
    if "@" in url["place"]:
        why = "Whoever can read the topology could read the credentials in this URL."
        return why, "Give them to the agents in their environment, and write s3://bucket/prefix."
    scheme = url["scheme"].lower()
    if scheme not in STORE_SCHEMES:
        why = f"{scheme}:// is not a store that agents can share."
        return why, did_you_mean(scheme, STORE_SCHEMES, f"Stores are {', '.join(STORE_SCHEMES)}, and folders.")
    if url["rest"]:
        why = "What follows ? or # has no meaning in the URL of a store."
        return why, f"Write {url['scheme']}://{url['place']}{url['path']}."
    if not url["place"] and (scheme != "file" or len(url["path"]) < 2):
        return "It names no bucket.", "Write a URL such as s3://bucket/prefix."
    return None


@rule(
    "claim-check-size",
    "unusable size of claim-checked bodies",
    "Bodies over `limits.message_size` and up to `claim_check.max_size` go to the object store. So it is the larger "
    "one of the two, and at most 64 MiB: an agent holds a body in memory, and reads all "
    "of it at once.",
)
def claim_check_size(topology: Topology) -> Iterator[Breach]:
    """A claim check that nothing needs, or that no agent could bear."""
    claim_check, limit = topology.claim_check, topology.limits.message_size
    if claim_check is None:
        return
    size = claim_check.max_size
    if size <= limit:
        why = f"{size} is not more than limits.message_size, {limit}: no body would ever go to the store."
        yield Breach(("claim_check", "max_size"), why, "Write a larger size, or remove `claim_check`.")
    elif size > LARGEST_CLAIM:
        yield Breach(("claim_check", "max_size"), f"{size} is more than {LARGEST_CLAIM}.", "Write a smaller size.")


@rule(
    "claim-check-retention",
    "objects that do not outlive their messages",
    "An object is deleted after `claim_check.retention`. A message that is delivered later cannot be restored, and "
    "goes to the dead letters; so it is at least the longest `lifetime` of a message type. What waits among the dead "
    "letters, or on its way through retries, needs it longer.",
)
def claim_check_retention(topology: Topology) -> Iterator[Breach]:
    """A retention that is shorter than a lifetime."""
    if topology.claim_check is None:
        return
    retention = topology.claim_check.retention
    if not retention.milliseconds:
        yield Breach(("claim_check", "retention"), "An object has to be kept for some time.", "Write a longer one.")
    longest = max(topology.messages.values(), key=lambda message: message.lifetime, default=None)
    if longest is not None and 0 < retention.milliseconds < longest.lifetime.milliseconds:
        why = f"{retention} is shorter than the lifetime of {longest.name}, {longest.lifetime}."
        yield Breach(("claim_check", "retention"), why, "Write a longer one.")


RULES: tuple[Rule, ...] = (claim_check_store, claim_check_size, claim_check_retention)
