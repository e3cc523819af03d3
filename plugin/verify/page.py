"""The report as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

from typing import Any

from ascend_moe_gating.plugin.verify import findings
from ascend_moe_gating.plugin.verify.html import cell, details, escape, number, table
from ascend_moe_gating.plugin.verify.outcome import TIMED
from ascend_moe_gating.plugin.verify.report import MODES, Report, Tally
from ascend_moe_gating.plugin.verify.style import STYLE
from ascend_moe_gating.plugin.verify.svg import histogram

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body><main>"""


def page(report: Report) -> str:
    title = f"MoE gating verified on {'the stand-in for an NPU' if report.stand_in else report.device or 'nothing'}"
    return "\n".join(
        [
            _HEAD.format(title=escape(title), style=STYLE),
            f"<h1>{escape(title)}</h1>",
            _verdict(report),
            *([_BANNER] if report.stand_in else []),
            _environment(report),
            _what_was_run(report),
            findings.differences(report),
            findings.refusals(report),
            _accuracy(report),
            _times(report),
            _not_run(report),
            _HOW_TO_READ,
            "</main></body></html>\n",
        ]
    )


_BANNER = """<p class="banner"><strong class="doubt">Not an NPU.</strong> torch_npu and torchair ran on this package's
host stand-in for CANN: what is said here of results, refusals and times is said of it, not of hardware.</p>"""
_HOW_TO_READ = """<h2>How to read it</h2>
<p>Each answer is compared with the definition (<code>plugin/reference.py</code>): the experts exactly and in order, the
scores and weights with a float64 evaluation for the experts that were chosen. A score of float32 may be 4 ULP off, that
of a softmax one more for each doubling of the experts and by the rounding of <code>x - max(x)</code>; weights as far as
that makes them; float16 and bfloat16 must be such a weight, rounded once to nearest even.</p>
<p>A row that orders experts otherwise is a near-tie only where scores within those bounds give that order; experts of
the same logit and bias never are: there the lower index must come first. Where the device has returned its scores, the
order must be that of them. Rows that are not determined: of NaN is promised that it comes behind the numbers and that
experts are distinct; a quotient whose divisor float32 may round to 0 may be anything.</p>"""


def _verdict(report: Report) -> str:
    kind = "good" if report.exit_code == 0 else "bad" if report.differs else "doubt"
    numbers = (
        f"{report.done:,} of {report.planned:,} checks, {report.total('rows'):,} rows: "
        f"{report.total('wrong'):,} wrong, {report.total('near_ties'):,} near-ties in another order; "
        f"{report.total('surprises'):,} calls refused or taken against what was expected, "
        f"{report.total('lost'):,} checks lost"
    )
    return (
        f'<p><span class="verdict {kind}">{escape(report.verdict)}</span> {escape(numbers)}</p>'
        f'<p class="soft">{MODES[report.mode]}, {escape(report.state)}, begun {escape(report.started)}, '
        f"{report.seconds:.0f} s</p>"
    )


def _environment(report: Report) -> str:
    rows = [(escape(name), cell(escape(text))) for name, text in report.environment.items()]
    return f'<h2>What it ran on</h2><div class="facts">{table((), rows)}</div>' if rows else ""


def _what_was_run(report: Report) -> str:
    paths = list(dict.fromkeys(tally.path for tally in report.tallies))
    groups = list(dict.fromkeys(tally.group for tally in report.tallies))
    known = {(tally.path, tally.group): tally for tally in report.tallies}
    rows = [(escape(group), *(_tally(known.get((path, group))) for path in paths)) for group in groups]
    legend = '<p class="soft">Checks, and the rows of tokens that were compared in them.</p>'
    return f"<h2>What was run</h2>{legend}{table(['', *paths], rows)}"


def _tally(tally: Tally | None) -> str:
    if tally is None:
        return cell('<span class="soft">-</span>')
    lines = [f'<span class="{"bad" if tally.differs else "good"}">{tally.checks:,}</span>']
    for value, words, kind in (
        (tally.rows, "rows", ""),
        (tally.wrong, "wrong", "bad"),
        (tally.lost, "lost", "bad"),
        (tally.surprises, "surprises", "bad"),
        (tally.near_ties, "near-ties", "doubt"),
        (tally.refused_as_expected, "refused, as expected", ""),
        (tally.undetermined, "not determined", ""),
    ):
        if value:
            lines.append(f'<span class="small {kind}">{value:,} {words}</span>')
    return cell("".join(lines))


def _accuracy(report: Report) -> str:
    parts = ["<h2>Accuracy</h2>"]
    parts.append(
        '<p class="soft">Distance from the float64 evaluation in units in the last place (ULP) of the dtype: 0.5 is '
        "what correct rounding leaves. The height of a bar is the logarithm of the number of values.</p>"
    )
    for result, dtype in dict.fromkeys((row["result"], row["dtype"]) for row in report.accuracy):
        charts = [_chart(row) for row in report.accuracy if (row["result"], row["dtype"]) == (result, dtype)]
        parts.append(f'<h3>{escape(result)}, {escape(dtype)}</h3><div class="charts">{"".join(charts)}</div>')
    return "".join(parts) if report.accuracy else ""


def _chart(row: dict[str, Any]) -> str:
    values = sum(row["counts"])
    said = f"at most {row['largest']:.3g} ULP, {row['total'] / max(values, 1):.3g} on average, of {values:,} values"
    picture = histogram(row["counts"], escape(f"{row['path']}: {said}"))
    caption = f'<strong>{escape(row["path"])}</strong><span class="small">{said}</span>'
    return f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"


def _times(report: Report) -> str:
    if not report.times:
        return ""
    slowest = {t["tokens"]: max(o["median"] for o in report.times if o["tokens"] == t["tokens"]) for t in report.times}
    rows = [
        (
            escape(time["path"]),
            number(time["tokens"]),
            number(f"{time['median']:,.1f}"),
            number(f"{time['fastest']:,.1f}"),
            number(time["repetitions"]),
            cell(f'<div class="meter" style="width: {100 * time["median"] / slowest[time["tokens"]]:.0f}%"></div>'),
        )
        for time in sorted(report.times, key=lambda time: time["tokens"])
    ]
    heads = ("path", "tokens", "median, us", "fastest, us", "repetitions", "beside the slowest")
    about = f'<p class="soft">One call until its results are there, with synchronisation. {escape(TIMED)}.</p>'
    return f"<h2>Time of a call</h2>{about}{table(heads, rows)}"


def _not_run(report: Report) -> str:
    rows = [(escape(left["what"]), cell(escape(left["why"])), number(left["count"])) for left in report.not_run]
    if not rows:
        return "<h2>What was not run</h2><p>Nothing was left out.</p>"
    listed = table(("what", "why", "times"), rows)
    return f"<h2>What was not run</h2>{listed if len(rows) < 12 else details(f'{len(rows)} kinds of checks', listed)}"
