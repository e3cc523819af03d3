"""How the page looks, light and dark, wide and narrow."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #f5f7fa; --ink: #1b2430; --soft: #566272; --line: #d5dce5;
  --good: #17764a; --bad: #bb2d24; --doubt: #8a5a00; --bar: #2f6fd0; --far: #d9822b; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --card: #1b2129; --ink: #e4e9f0; --soft: #9aa7b8;
  --line: #323c49; --good: #5cc592; --bad: #ff8379; --doubt: #e3b35a; --bar: #6ea3f2; --far: #f0a35c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .4rem 0; max-width: 62rem; }
.soft { color: var(--soft); }
.verdict { display: inline-block; font-weight: 650; padding: .15rem .7rem; border-radius: 99px;
  border: 1.5px solid currentColor; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
.banner { border: 1.5px solid var(--doubt); border-radius: 8px; padding: .6rem .9rem; margin: 1rem 0;
  background: var(--card); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
thead th { background: var(--card); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.small { display: block; font-size: .82rem; color: var(--soft); }
.small.bad { color: var(--bad); font-weight: 600; } .small.doubt { color: var(--doubt); }
code { font: .86em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
.card { border: 1px solid var(--line); border-left: 4px solid var(--bad); border-radius: 8px;
  padding: .7rem .9rem; margin: .8rem 0; }
.card.near { border-left-color: var(--doubt); }
.card > p:first-child { margin-top: 0; }
.card td, .card thead th:not(:first-child) { text-align: right; }
@media (max-width: 40rem) { .facts tr > * { display: block; white-space: normal; overflow-wrap: anywhere; }
  .facts th { border: 0; padding-bottom: 0; } }
td.here { color: var(--bad); font-weight: 650; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .8rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: .6rem .7rem .4rem; }
figcaption { font-size: .86rem; } svg { display: block; width: 100%; height: auto; margin-top: .3rem; }
svg .bar { fill: var(--bar); } svg .far { fill: var(--far); } svg .axis { stroke: var(--line); }
svg text { fill: var(--soft); font: 9px system-ui, "DejaVu Sans", sans-serif; }
svg .count { text-anchor: middle; fill: var(--ink); }
.meter { height: .5rem; border-radius: 3px; background: var(--bar); min-width: 2px; margin-top: .45rem; }
"""
