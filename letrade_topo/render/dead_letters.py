"""Dead letters for people. What messages say of themselves is shown without what steers terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from letrade_topo.amqp.properties import PROPERTIES
from letrade_topo.keys.token import Origin
from letrade_topo.queues.claims import ClaimedBody
from letrade_topo.queues.content import Properties
from letrade_topo.queues.letter import Letter
from letrade_topo.queues.provenance import Provenance
from letrade_topo.queues.replay import Replayed
from letrade_topo.queues.sessions import Looked
from letrade_topo.queues.summary import Summary
from letrade_topo.queues.values import decoded
from letrade_topo.render.wording import counted, duration, moment, on_one_line, visible

BAR_WIDTH = 24
LONGEST_CELL = 60
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TOKENS = (b"letrade-jws", b"letrade-proof", b"letrade-hop")


def render_summary(queue: str, looked: Looked, summary: Summary, now: float, *, is_filtered: bool) -> str:
    """Counts with bars, and the first letters one by one."""
    lines = [_headline(queue, looked, summary, is_filtered=is_filtered)]
    lines += [f"  {line}" for line in unseen(looked)]
    if summary.claims:
        lines.append(f"  {counted(summary.claims, 'message')} with a body in the object store{_near_end(summary)}")
    if summary.count:
        for title, rows in (
            ("REASON", summary.reasons.most_common()),
            ("QUEUE", summary.queues.most_common()),
            ("TYPE", summary.types.most_common()),
            ("AGE", summary.by_age),
        ):
            lines += ["", *_bars(title, rows, summary.count)]
    if summary.letters:
        lines += ["", *render_letters(summary.letters, now)]
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
        rows.append(("kept", f"until {moment(claim.expires)} at least{_left(letter.claimed, now)}"))
    lines = [f"{name:<14} {on_one_line(value)}" for name, value in rows]
    if properties is not None:
        lines += ["", "properties", *_lines(properties_of(properties, now))]
        lines += ["", "headers", *_lines(headers_of(properties))]
    return "\n".join([*lines, "", "content", *(f"  {visible(line)}" for line in body.splitlines())])


def origin_words(provenance: Provenance) -> str:
    """Whose message it is, plainly."""
    if isinstance(provenance.origin, str):
        return f"not proven: {provenance.origin}"
    origin: Origin = provenance.origin
    claims = origin.token.claims
    return f"{claims.issuer}, proven (key {origin.token.kid}, signed {moment(claims.issued_at)})"


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
    lines += [f"  {count:>9,} to {on_one_line(target)}" for target, count in result.targets.most_common()]
    for title, counter in (("left where they are", result.left), ("did not arrive, and are left", result.failed)):
        if counter:
            lines.append(f"{counted(counter.total(), 'message')} {title}:")
        for why, count in counter.most_common(20):
            fix = result.fixes.get(why, "")
            lines.append(f"  {count:>9,} {visible(why)}{f': {fix}' if fix else ''}")
    return "\n".join(lines)


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


def _headline(queue: str, looked: Looked, summary: Summary, *, is_filtered: bool) -> str:
    count = counted(summary.count, "message")
    of = f" of {looked.seen:,} match" if is_filtered else ""
    if summary.oldest is None or summary.newest is None:
        return f"{queue}: {count}{of}"
    ages = f"the oldest died {duration(summary.oldest)} ago, the newest {duration(summary.newest)} ago"
    return f"{queue}: {count}{of}, {summary.size:,} bytes; {ages}"


def _bars(title: str, rows: Sequence[tuple[str, int]], total: int) -> list[str]:
    width = max([len(title), *(min(len(on_one_line(name)), LONGEST_CELL) for name, _ in rows)])
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
    shown = on_one_line(text)
    return shown if len(shown) <= LONGEST_CELL else shown[: LONGEST_CELL - 1] + "…"


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _when(seconds: float | None, now: float) -> str:
    return "(nothing says when)" if seconds is None else f"{moment(seconds)} ({duration(now - seconds)} ago)"


def properties_of(properties: Properties, now: float) -> list[tuple[str, str]]:
    """Name and value of each property that is there."""
    rows: list[tuple[str, str]] = []
    for name, kind in PROPERTIES:
        if kind in ("octet", "longlong"):
            number = properties.number(name)
            if number is not None:
                rows.append((name, _when(number, now) if name == "timestamp" else str(number)))
        elif kind == "shortstr":
            text = properties.text(name)
            if text is not None:
                rows.append((name, text.decode(errors="replace")))
    return rows


def headers_of(properties: Properties) -> list[tuple[str, str]]:
    """Name and value of each header; not of tokens, as whoever sees one could replay the message."""
    rows = []
    for name, value in properties.headers:
        shown = f"({len(value) - 5} bytes, not shown)" if name in _TOKENS else _words(decoded(value))
        rows.append((name.decode(errors="replace"), shown))
    return rows


def _words(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 2000 else text[:2000] + "…"


def _lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f"  {on_one_line(name):<18} {on_one_line(value)}" for name, value in rows]
    return lines or ["  (none)"]
