"""Dead letters for programs: the same that `letrade_topo.render.dead_letters` says to people."""

from __future__ import annotations

from letrade_topo.keys.claims import HopClaims
from letrade_topo.model.messages import Json
from letrade_topo.queues.claims import ClaimedBody
from letrade_topo.queues.content import Properties
from letrade_topo.queues.letter import Letter
from letrade_topo.queues.provenance import Provenance
from letrade_topo.queues.replay import Replayed
from letrade_topo.queues.sessions import Looked
from letrade_topo.queues.summary import Summary
from letrade_topo.render.dead_letters import headers_of, hop_words, origin_words, properties_of
from letrade_topo.render.wording import moment


def summary_to_json(queue: str, looked: Looked, summary: Summary, now: float) -> dict[str, Json]:
    """Counts, and the first letters one by one."""
    return {
        "format_version": 1,
        "queue": queue,
        "seen": looked.seen,
        "unseen": looked.unseen,
        "other_consumers": looked.depth.consumers,
        "matched": summary.count,
        "bytes": summary.size,
        "oldest_seconds": summary.oldest,
        "newest_seconds": summary.newest,
        "reasons": dict(summary.reasons.most_common()),
        "queues": dict(summary.queues.most_common()),
        "types": dict(summary.types.most_common()),
        "ages": dict(summary.by_age),
        "claims": summary.claims,
        "claims_near_end": summary.claims_near_end,
        "messages": [letter_to_json(letter, now) for letter in summary.letters],
    }


def letter_to_json(letter: Letter, now: float) -> dict[str, Json]:
    """One letter."""
    return {
        "id": letter.id,
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "queue": letter.queue,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "type": letter.message_type,
        "died_at": _moment(letter.died_at),
        "first_failure": _moment(letter.first_failure),
        "age_seconds": letter.age(now),
        "bytes": letter.size,
        "claim": None if letter.claimed is None else _claim_to_json(letter.claimed, now),
    }


def letter_with_proof_to_json(
    letter: Letter,
    provenance: Provenance,
    properties: Properties | None,
    body: str,
    now: float,
    object_state: str = "",
) -> dict[str, Json]:
    """Everything of one letter."""
    return letter_to_json(letter, now) | {
        "object_state": object_state or None,
        "origin": origin_words(provenance),
        "origin_proven": not isinstance(provenance.origin, str),
        "handed_over": hop_words(provenance),
        "handed_over_proven": isinstance(provenance.hop, HopClaims),
        "properties": {} if properties is None else dict(properties_of(properties, now)),
        "headers": [] if properties is None else [list(pair) for pair in headers_of(properties)],
        "body": body,
    }


def replayed_to_json(result: Replayed, *, dry: bool) -> dict[str, Json]:
    """What became of a replay."""
    return {
        "format_version": 1,
        "dry_run": dry,
        "seen": result.seen,
        "matched": result.matched,
        "replayed": result.done,
        "targets": dict(result.targets),
        "left": dict(result.left),
        "failed": dict(result.failed),
        "interrupted": result.interrupted,
        "error": None if result.error is None else str(result.error),
    }


def _claim_to_json(claimed: ClaimedBody, now: float) -> dict[str, Json]:
    claim = claimed.claim
    return {
        "object": claim.object,
        "bytes": claim.size,
        "sha256": claim.sha256,
        "expires": moment(claim.expires),
        "near_end": claimed.is_near_end(now),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else moment(seconds)
