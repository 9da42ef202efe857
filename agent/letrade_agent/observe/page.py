"""The status page for people: one self-contained HTML document, drawn from the status document. No script.

Whatever comes from outside is escaped, and the page may load nothing (Content-Security-Policy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from letrade_agent.observe.rates import KEPT_SECONDS, Second
from letrade_agent.observe.style import STYLE

REFRESH_SECONDS: Final = 5

_MOST_REFUSALS: Final = 8
_CHART_WIDTH: Final = 600
_CHART_HEIGHT: Final = 80


def render(status: Mapping[str, Any], seconds: Sequence[Second]) -> bytes:
    """The page.

    Args:
        status: `letrade_agent.observe.status.status_of`.
        seconds: rates of the last minutes, the newest last.
    """
    title = f"{status['service']} · letrade-agent"
    body = "\n".join(
        (
            _header(status),
            *_problems(status),
            f'<div class="row">{_broker(status)}{_clients(status)}{_published(status)}{_delivered(status)}</div>',
            f'<div class="row two">{_rates(seconds)}{_reasons(status)}</div>',
            _refusals(status),
            f'<div class="row half">{_destinations(status)}<div>{_queues(status)}{_keys(status)}</div></div>',
            _footer(status),
        )
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body><main>
{body}
</main></body>
</html>
""".encode()


def _text(value: object) -> str:
    return escape(str(value), quote=True)


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _rate(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _span(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _clock(moment: str | None) -> str:
    return (moment or "").partition("T")[2].removesuffix("Z")


def _day(moment: str | None) -> str:
    return (moment or "never").partition("T")[0]


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{''.join(parts)}</section>"


def _figure(value: str, unit: str = "", tone: str = "") -> str:
    return f'<div class="figure {tone}">{value} <small>{_text(unit)}</small></div>'


def _note(text: str) -> str:
    return f'<p class="note">{_text(text)}</p>'


def _table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], empty: str) -> str:
    """A table; cells are HTML. Heads have a class for their column."""
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{cell}</td>' for (_, kind), cell in zip(heads, row, strict=True))
        + "</tr>"
        for row in rows
    )
    if not body:
        return f'<p class="note">{_text(empty)}</p>'
    head = "".join(f'<th class="{kind}">{_text(name)}</th>' for name, kind in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _header(status: Mapping[str, Any]) -> str:
    tone, word = ("good", "ready") if status["ready"] else ("warn", status["state"])
    topology = status["topology"]
    where = f"{topology['name']} · {topology['environment'] or 'no environment'} · vhost {topology['vhost']}"
    return (
        f'<header><h1>{_text(status["service"])}</h1><span class="badge is-{tone}">{_text(word)}</span>'
        f"<p>{_text(where)}</p>"
        f"<p>up {_text(_span(status['uptime_seconds']))} · version {_text(status['version'])}</p></header>"
    )


def _problems(status: Mapping[str, Any]) -> Iterable[str]:
    keys = status["keys"]
    sources = (("topology", status["topology"]["reloads"]), ("keys", keys["reloads"] if keys else {}))
    for what, reloads in sources:
        if reloads.get("problem"):
            title = f"the new {what} cannot be used; those read before are in force"
            yield f'<section class="problem"><h2 class="bad">{_text(title)}</h2>{_text(reloads["problem"])}</section>'
    for queue, count in status["clients"]["waiting_consumers"].items():
        text = f"{count} consumers wait until it is back; most likely it is being migrated"
        yield f'<section class="problem"><h2 class="warn">{_text(queue)} is away</h2>{_text(text)}</section>'
    if keys and keys["signing_kid"] is None:
        title = "no key to sign with: what is published is refused"
        yield f'<section class="problem"><h2 class="bad">{title}</h2></section>'


def _broker(status: Mapping[str, Any]) -> str:
    broker = status["broker"]
    tone, word = ("good", "up") if broker["up"] else ("bad", "down")
    if broker["blocked"]:
        tone, word = "warn", "blocked"
    nodes = "".join(
        f'<p class="note"><span class="{_tone(node["health"])}">●</span> {_text(node["node"])}'
        f"{' · ' + _text(node['problem']) if node['problem'] else ''}</p>"
        for node in broker["nodes"]
    )
    return _section("broker", _figure(word, f"{broker['connections']} connections", tone), nodes)


def _tone(health: str) -> str:
    return {"up": "good", "down": "bad"}.get(health, "faint")


def _clients(status: Mapping[str, Any]) -> str:
    clients = status["clients"]
    return _section(
        "clients",
        _figure(_number(clients["connections"]), "connected"),
        _note(f"{_number(clients['channels'])} channels · {_number(clients['unsettled_deliveries'])} unsettled"),
        _note(f"listening on {status['listen'] or 'nothing'}"),
    )


def _published(status: Mapping[str, Any]) -> str:
    messages = status["messages"]
    totals, confirms = messages["totals"]["publish"], messages["confirms"]
    confirmed = f"broker: {_number(confirms.get('ack', 0))} acks · {_number(confirms.get('nack', 0))} nacks"
    return _section(
        "published", _figure(_number(totals["forwarded"]), "messages"), _refused(totals["rejected"]), _note(confirmed)
    )


def _delivered(status: Mapping[str, Any]) -> str:
    messages = status["messages"]
    deliver, get = messages["totals"]["deliver"], messages["totals"]["get"]
    dead = f"{_number(messages['handed_over'])} to dead letters · {_number(messages['held'])} held back"
    return _section(
        "delivered",
        _figure(_number(deliver["forwarded"] + get["forwarded"]), "messages"),
        _refused(deliver["rejected"] + get["rejected"]),
        _note(dead),
    )


def _refused(count: int) -> str:
    return f'<p class="note"><span class="{"bad" if count else "faint"}">{_number(count)} refused</span></p>'


def _rates(seconds: Sequence[Second]) -> str:
    last = seconds[-1] if seconds else Second(0, 0, 0)
    top = max((max(second.published, second.delivered) for second in seconds), default=0) or 1
    published = _line([second.published for second in seconds], top)
    delivered = _line([second.delivered for second in seconds], top)
    base = f"{_CHART_WIDTH},{_CHART_HEIGHT} {_start(len(seconds)):.1f},{_CHART_HEIGHT}"
    chart = (
        f'<svg viewBox="0 0 {_CHART_WIDTH} {_CHART_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="messages a second over the last five minutes, at most {_rate(top)}">'
        f'<polygon class="area-in" points="{delivered} {base}"/>'
        f'<polyline class="line line-in" points="{delivered}"/>'
        f'<polyline class="line line-out" points="{published}"/></svg>'
    )
    now = (
        f'<p class="note"><span class="key-out">{_rate(last.published)}/s published</span>'
        f'<span class="key-in">{_rate(last.delivered)}/s delivered</span></p>'
    )
    return _section(f"messages a second, last 5 minutes, top {_rate(top)}", chart, now)


def _start(count: int) -> float:
    """Where the oldest of so many seconds is drawn."""
    return _CHART_WIDTH * (1 - max(count - 1, 0) / (KEPT_SECONDS - 1))


def _line(values: Sequence[float], top: float) -> str:
    step, start = _CHART_WIDTH / (KEPT_SECONDS - 1), _start(len(values))
    return " ".join(
        f"{start + index * step:.1f},{_CHART_HEIGHT - 2 - value / top * (_CHART_HEIGHT - 6):.1f}"
        for index, value in enumerate(values)
    )


def _reasons(status: Mapping[str, Any]) -> str:
    messages = status["messages"]
    refused = messages["refused"]
    most = max((row["count"] for row in refused), default=1)
    rows = [
        (
            f"<code>{_text(row['reason'])}</code>",
            f'<span class="faint">{_text(row["direction"])}</span>',
            f'<svg class="bars" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="track" width="100" height="8"/>'
            f'<rect class="bar" width="{max(100 * row["count"] / most, 1):.0f}" height="8"/></svg>',
            _number(row["count"]),
        )
        for row in refused[:8]
    ]
    others = [
        ("repeats acknowledged", messages["repeats"]),
        ("let through in mode warn", sum(row["count"] for row in messages["warned"])),
        ("passed unverified", sum(row["count"] for row in messages["unverified"])),
    ]
    notes = "".join(_note(f"{_number(count)} {what}") for what, count in others if count)
    table = _table((("reason", ""), ("", ""), ("", ""), ("", "n")), rows, "Nothing was refused.")
    return _section("refused, by reason", table, notes)


def _refusals(status: Mapping[str, Any]) -> str:
    rows = [
        (
            _text(_clock(refused["time"])),
            f"<code>{_text(refused['reason'])}</code>",
            f"<code>{_text(refused['destination'])}</code>",
            _text(refused["text"]),
        )
        for refused in status["recent_refusals"][:_MOST_REFUSALS]
    ]
    heads = (("time, UTC", "t"), ("reason", "t"), ("destination", ""), ("what was wrong", ""))
    table = _table(heads, rows, "None so far.")
    return f'<section class="alone"><h2>last refusals</h2>{table}</section>'


def _destinations(status: Mapping[str, Any]) -> str:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in status["messages"]["by_destination"]:
        counts.setdefault((row["direction"], row["destination"]), {})[row["outcome"]] = row["count"]
    rows = [
        (
            _text(direction),
            f"<code>{_text(destination)}</code>",
            _number(by_outcome.get("forwarded", 0)),
            _refused_cell(by_outcome.get("rejected", 0)),
        )
        for (direction, destination), by_outcome in list(counts.items())[:20]
    ]
    heads = (("", ""), ("destination", ""), ("forwarded", "n"), ("refused", "n"))
    return _section("by destination", _table(heads, rows, "No message so far."))


def _refused_cell(count: int) -> str:
    return f'<span class="{"bad" if count else "faint"}">{_number(count)}</span>'


def _queues(status: Mapping[str, Any]) -> str:
    rows = [(f"<code>{_text(row['queue'])}</code>", _number(row["messages"])) for row in status["queues"][:20]]
    return _section("own queues, messages ready", _table((("queue", ""), ("", "n")), rows, "Not known yet."))


def _keys(status: Mapping[str, Any]) -> str:
    keys = status["keys"]
    if keys is None:
        return _section("keys", _note("No key folder: this topology signs nothing."))
    own = [key for key in keys["signature_keys"] if key["issuer"] == status["service"]]
    rows = [
        (
            f"<code>{_text(key['kid'])}</code>",
            _text(key["state"]),
            _text((key["retired_at"] or "no end").partition("T")[0]),
        )
        for key in own
    ]
    others = len(keys["signature_keys"]) - len(own)
    warnings = [key["warning"] for key in keys["signature_keys"] if key["warning"]] + keys["warnings"]
    notes = "".join(f'<p class="note warn">{_text(warning)}</p>' for warning in warnings[:5])
    heads = (("own key", ""), ("state", ""), ("retired", "t"))
    return _section("keys", _table(heads, rows, "None."), _note(f"{others} public keys of others"), notes)


def _footer(status: Mapping[str, Any]) -> str:
    return (
        f"<footer>topology <code>{_text(status['topology']['sha'])}</code> · "
        f"{status['topology']['reloads']['ok']} reloads · refreshes every {REFRESH_SECONDS} s · "
        '<a href="/status">status</a> · <a href="/metrics">metrics</a></footer>'
    )
