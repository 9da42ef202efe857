"""How the status page looks, and the policy that allows it this style sheet and nothing else."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --ink: #1c2330; --faint: #5f6b7c; --line: #dde1e7;
  --good: #1a7f4b; --bad: #c0362c; --warn: #9a6200; --in: #2463c9; --out: #1a7f4b; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161d; --card: #1b212b; --ink: #e6eaf0; --faint: #98a3b3;
  --line: #2d3644; --good: #4cc38a; --bad: #ff7b72; --warn: #e3b341; --in: #78a9ff; --out: #4cc38a; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 24px; background: var(--ground); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 8px 14px; margin-bottom: 16px; }
h1 { font-size: 22px; margin: 0; }
h2 { font-size: 12px; margin: 0 0 8px; color: var(--faint); text-transform: uppercase; letter-spacing: .06em; }
header p { margin: 0; color: var(--faint); }
header p:last-child { margin-left: auto; }
.badge { padding: 2px 12px; border-radius: 999px; color: #fff; font-weight: 600; background: var(--faint); }
.badge.is-good { background: #1a7f4b; } .badge.is-bad { background: #b3261e; } .badge.is-warn { background: #8a5800; }
.row { display: grid; gap: 14px; margin-bottom: 14px; grid-template-columns: repeat(4, 1fr); }
.row.two { grid-template-columns: 2fr 1fr; } .row.half { grid-template-columns: 1fr 1fr; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  min-width: 0; }
.figure { font-size: 26px; font-weight: 650; font-variant-numeric: tabular-nums; }
.figure small { font-size: 13px; font-weight: 400; color: var(--faint); }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .faint { color: var(--faint); }
.note { margin: 2px 0 0; color: var(--faint); overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--faint); padding: 3px 10px 3px 0;
  border-bottom: 1px solid var(--line); }
td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; } td.t, th { white-space: nowrap; }
code { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
svg { display: block; width: 100%; height: 110px; }
.area-in { fill: var(--in); opacity: .16; } .line-in { stroke: var(--in); } .line-out { stroke: var(--out); }
.line { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
.bar { fill: var(--bad); } .track { fill: var(--line); }
.key-in::before, .key-out::before { content: ""; display: inline-block; width: 10px; height: 3px; margin: 0 6px 3px 0; }
.key-in::before { background: var(--in); } .key-out::before { background: var(--out); }
.key-in { margin-left: 14px; }
svg.bars { height: 8px; margin-top: 6px; min-width: 60px; }
.problem { border-color: var(--bad); margin-bottom: 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
.alone, .row > div > section:first-child { margin-bottom: 14px; }
footer { color: var(--faint); margin-top: 4px; } a { color: inherit; }
@media (max-width: 900px) { .row, .row.two, .row.half { grid-template-columns: 1fr 1fr; }
  .row.two > *, .row.half > * { grid-column: 1 / -1; } }
"""

POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: this style sheet, and nothing else."""
