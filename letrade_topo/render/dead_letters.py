"""Dead letters for people and for programs. What messages say of themselves is shown without what steers terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from letrade_topo.keys.claims import HopClaims
from letrade_topo.keys.token import Origin
from letrade_topo.model.messages import Json
from letrade_topo.queues.claims import ClaimedBody
from letrade_topo.queues.content import PROPERTIES, Properties, decoded
from letrade_topo.queues.letter import Letter
from letrade_topo.queues.provenance import Provenance
from letrade_topo.queues.replay import Replayed
from letrade_topo.queues.sessions import Looked
from letrade_topo.queues.summary import AGES, Summary
from letrade_topo.render.wording import counted, visible

BAR_WIDTH = 24
LONGEST_CELL = 60
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TOKENS = (b"letrade-jws", b"letrade-proof", b"letrade-hop")


def render_summary(queue: str, looked: Looked, summary: Summary, *, is_filtered: bool) -> str:
    """Counts with bars, and the first letters one by one."""
    lines = [_headline(queue, looked, summary, is_filtered=is_filtered)]
    lines += [f"  {line}" for line in unseen(looked)]
    if summary.claims:
        lines.append(f"  {counted(summary.claims, 'message')} with a body in the object store{_near_end(summary)}")
    if summary.count:
        ages = [(name, summary.ages[name]) for name, _ in AGES]
        ages += [(name, count) for name, count in summary.ages.items() if name not in dict(AGES)]
        for title, rows in (
            ("REASON", summary.reasons.most_common()),
            ("QUEUE", summary.queues.most_common()),
            ("TYPE", summary.types.most_common()),
            ("AGE", [row for row in ages if row[1]]),
        ):
            lines += ["", *_bars(title, rows, summary.count)]
    if summary.letters:
        lines += ["", *render_letters(summary.letters, datetime.now(UTC).timestamp())]
        if summary.count > len(summary.letters):
            lines.append(f"… and {summary.count - len(summary.letters):,} more; --limit shows more, filters less")
    return "\n".join(lines)


def render_letters(letters: Sequence[Letter], now: float) -> list[str]:
    """One line each."""
    rows: list[tuple[str, ...]] = [("ID", "AGE", "REASON", "QUEUE", "KEY", "ATTEMPTS")]
    rows += [
        (each.id, _age(each.age(now)), each.reason, each.queue or "-", each.routing_key, str(each.attempts))
        for each in letters
    ]
    if any(each.claimed for each in letters):
        cells = ["OBJECT", *(_object_cell(each.claimed, now) for each in letters)]
        rows = [(*row, cell) for row, cell in zip(rows, cells, strict=True)]
    return _table(rows)


def unseen(looked: Looked) -> list[str]:
    """What could not be seen, in words."""
    lines = []
    if looked.unseen:
        lines.append(f"{counted(looked.unseen, 'message')} could not be seen: others took or hold them; look again")
    if looked.depth.consumers:
        verb = "reads" if looked.depth.consumers == 1 else "read"
        lines.append(
            f"{counted(looked.depth.consumers, 'other consumer')} {verb} this queue, and what they hold cannot be seen"
        )
    return lines


def summary_to_json(queue: str, looked: Looked, summary: Summary, now: float) -> dict[str, Json]:
    """The same for programs."""
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
        "ages": {name: summary.ages[name] for name, _ in AGES if summary.ages[name]},
        "claims": summary.claims,
        "claims_near_end": summary.claims_near_end,
        "messages": [letter_to_json(letter, now) for letter in summary.letters],
    }


def letter_to_json(letter: Letter, now: float) -> dict[str, Json]:
    """One letter for programs."""
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


def render_letter(
    letter: Letter,
    provenance: Provenance,
    properties: Properties | None,
    body: str,
    now: float,
    object_state: str = "",
) -> str:
    """Everything of one letter; `object_state` says whether its object is there, where it has one."""
    rows: list[tuple[str, str]] = [
        ("message", letter.id),
        ("published to", f"{letter.exchange or '(unknown)'} with the key {letter.routing_key}"),
        ("type", letter.message_type or "(not declared)"),
        ("failed in", letter.queue or "(nothing says where)"),
        ("reason", letter.reason),
        ("attempts", str(letter.attempts)),
        ("first failure", _when(letter.first_failure, now)),
        ("died", _when(letter.died_at, now)),
        ("origin", origin_words(provenance)),
        ("handed over", hop_words(provenance)),
        ("body", f"{letter.size:,} bytes"),
    ]
    if letter.claimed is not None:
        claim = letter.claimed.claim
        rows.append(("body lies in", claim.object))
        rows.append(("object", f"{claim.size:,} bytes, {object_state}"))
        rows.append(("kept", f"until {_moment(claim.expires)} at least{_left(letter.claimed, now)}"))
    lines = [f"{name:<14} {visible(value)}" for name, value in rows]
    if properties is not None:
        lines += ["", "properties", *_lines(_properties(properties, now)), "", "headers", *_lines(_headers(properties))]
    return "\n".join([*lines, "", "content", *(f"  {visible(line)}" for line in body.splitlines())])


def letter_with_proof_to_json(
    letter: Letter,
    provenance: Provenance,
    properties: Properties | None,
    body: str,
    now: float,
    object_state: str = "",
) -> dict[str, Json]:
    """The same for programs."""
    return letter_to_json(letter, now) | {
        "object_state": object_state or None,
        "origin": origin_words(provenance),
        "origin_proven": not isinstance(provenance.origin, str),
        "handed_over": hop_words(provenance),
        "handed_over_proven": isinstance(provenance.hop, HopClaims),
        "properties": {} if properties is None else dict(_properties(properties, now)),
        "headers": [] if properties is None else [list(pair) for pair in _headers(properties)],
        "body": body,
    }


def origin_words(provenance: Provenance) -> str:
    """Whose message it is, plainly."""
    if isinstance(provenance.origin, str):
        return f"not proven: {provenance.origin}"
    origin: Origin = provenance.origin
    claims = origin.token.claims
    return f"{claims.issuer}, proven (key {origin.token.kid}, signed {_moment(claims.issued_at)})"


def hop_words(provenance: Provenance) -> str:
    """Who handed it over, plainly."""
    hop = provenance.hop
    if hop is None:
        return "by nobody who says so (no letrade-hop)"
    if isinstance(hop, str):
        return f"not proven: {hop}"
    return f"by the agent of {hop.issuer} from {hop.queue}, attempt {hop.attempt}, proven"


def render_replayed(result: Replayed, *, dry: bool) -> str:
    """What became of a replay."""
    verb = "would be replayed" if dry else "replayed"
    lines = [f"{counted(result.done, 'message')} {verb}, of {result.matched:,} that match and {result.seen:,} seen"]
    lines += [f"  {count:>9,} to {visible(target)}" for target, count in result.targets.most_common()]
    for title, counter in (("left where they are", result.left), ("did not arrive, and are left", result.failed)):
        if counter:
            lines.append(f"{counted(counter.total(), 'message')} {title}:")
        for why, count in counter.most_common(20):
            fix = result.fixes.get(why, "")
            lines.append(f"  {count:>9,} {visible(why)}{f': {fix}' if fix else ''}")
    return "\n".join(lines)


def replayed_to_json(result: Replayed, *, dry: bool) -> dict[str, Json]:
    """The same for programs."""
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


def duration(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h 12 min`, `2 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def _near_end(summary: Summary) -> str:
    if not summary.claims_near_end:
        return ""
    near = summary.claims_near_end
    return f", {near:,} of them near the end of {'its' if near == 1 else 'their'} time: replay or save them"


def _object_cell(claimed: ClaimedBody | None, now: float) -> str:
    """How long the object is kept; marked when that is not long any more."""
    if claimed is None:
        return "-"
    left = claimed.seconds_left(now)
    words = f"{duration(left)} left" if left > 0 else "time is over"
    return f"! {words}" if claimed.is_near_end(now) else words


def _left(claimed: ClaimedBody, now: float) -> str:
    return f" ({_object_cell(claimed, now)})" if claimed.is_near_end(now) else ""


def _claim_to_json(claimed: ClaimedBody, now: float) -> dict[str, Json]:
    claim = claimed.claim
    return {
        "object": claim.object,
        "bytes": claim.size,
        "sha256": claim.sha256,
        "expires": _moment(claim.expires),
        "near_end": claimed.is_near_end(now),
    }


def _headline(queue: str, looked: Looked, summary: Summary, *, is_filtered: bool) -> str:
    count = counted(summary.count, "message")
    of = f" of {looked.seen:,} match" if is_filtered else ""
    if summary.oldest is None or summary.newest is None:
        return f"{queue}: {count}{of}"
    ages = f"the oldest died {duration(summary.oldest)} ago, the newest {duration(summary.newest)} ago"
    return f"{queue}: {count}{of}, {summary.size:,} bytes; {ages}"


def _bars(title: str, rows: Sequence[tuple[str, int]], total: int) -> list[str]:
    width = max([len(title), *(min(len(visible(name)), LONGEST_CELL) for name, _ in rows)])
    largest = max(count for _, count in rows)
    lines = [f"{title:<{width}}  {'COUNT':>9}"]
    for name, count in rows:
        cell = _cell(name)
        lines.append(f"{cell:<{width}}  {count:>9,}  {_bar(count / largest):<{BAR_WIDTH}} {count / total:>4.0%}")
    return lines


def _bar(share: float) -> str:
    eighths = max(1, round(share * BAR_WIDTH * 8))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [tuple(_cell(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _cell(text: str) -> str:
    shown = visible(text).replace("\n", " ").replace("\t", " ")
    return shown if len(shown) <= LONGEST_CELL else shown[: LONGEST_CELL - 1] + "…"


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _when(seconds: float | None, now: float) -> str:
    moment = _moment(seconds)
    return "(nothing says when)" if seconds is None or moment is None else f"{moment} ({duration(now - seconds)} ago)"


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _properties(properties: Properties, now: float) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name in PROPERTIES:
        if name in ("delivery_mode", "priority", "timestamp"):
            number = properties.number(name)
            if number is not None:
                rows.append((name, _when(number, now) if name == "timestamp" else str(number)))
        elif name != "headers":
            text = properties.text(name)
            if text is not None:
                rows.append((name, text.decode(errors="replace")))
    return rows


def _headers(properties: Properties) -> list[tuple[str, str]]:
    """A token would let whoever sees it replay the message."""
    rows = []
    for name, value in properties.headers:
        shown = f"({len(value) - 5} bytes, not shown)" if name in _TOKENS else _words(decoded(value))
        rows.append((name.decode(errors="replace"), shown))
    return rows


def _words(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 2000 else text[:2000] + "…"


def _lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f"  {visible(name):<18} {visible(value)}" for name, value in rows]
    return lines or ["  (none)"]
