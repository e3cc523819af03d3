"""The report in a few lines, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ascend_moe_gating.plugin.verify.report import MODES, Report

_SHOWN = 6  # of each kind


def summary(report: Report) -> str:
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    environment = report.environment
    stand_in = " (the host stand-in for CANN: not an NPU)" if report.stand_in else ""
    yield f"{report.device}{stand_in}, {environment.get('CANN') or environment.get('CPU kernel', '')}"
    yield f"torch {environment.get('torch')}, torch_npu {environment.get('torch_npu')}, {MODES[report.mode]}"
    yield ""
    yield f"{'path':28} {'checks':>7} {'rows':>8} {'wrong':>7} {'near-ties':>10} {'refused':>8} {'surprises':>10}"
    for path in dict.fromkeys(tally.path for tally in report.tallies):
        rows = [tally for tally in report.tallies if tally.path == path]
        numbers = [
            sum(getattr(t, n) for t in rows)
            for n in ("checks", "rows", "wrong", "near_ties", "refused_as_expected", "surprises")
        ]
        yield "{:28} {:7} {:8} {:7} {:10} {:8} {:10}".format(path, *numbers)
    yield from _findings(report)
    yield ""
    for time in report.times:
        if time["tokens"] == 1:
            yield f"one token, {time['path']}: {time['median']:.1f} us"
    yield ""
    yield f"{report.verdict.upper()}: {report.done} of {report.planned} checks, {report.seconds:.0f} s, {report.state}"
    for left in report.not_run[:_SHOWN]:
        yield f"not run: {left['what']} ({left['why'].splitlines()[0]})"
    if len(report.not_run) > _SHOWN:
        yield f"not run: {len(report.not_run) - _SHOWN} kinds of checks more, with their reasons in the report"


def _findings(report: Report) -> Iterator[str]:
    wrong = [m for m in report.mismatches if not m["near_tie"]]
    said = [f"{m['path']}, {m['group']}, {m['result']}: {m['says']}\n    {m['call']}" for m in wrong]
    yield from _some("WRONG", list(dict.fromkeys(said)))
    surprises = [r for r in report.refusals if not r["as_expected"]]
    yield from _some("REFUSED, but expected to be taken", [_said(r) for r in surprises if r["refused"]])
    yield from _some("TAKEN, but expected to be refused", [_said(r) for r in surprises if not r["refused"]])
    yield from _some(
        "LOST", [f"{lost['path']}, {lost['group']}: {lost['how']}\n    {lost['call']}" for lost in report.lost]
    )


def _said(refusal: dict[str, object]) -> str:
    expected = "" if refusal["refused"] else f": {refusal['expected']}"
    words = f"\n    {str(refusal['words']).splitlines()[0]}" if refusal["words"] else ""
    return f"{refusal['path']}, {refusal['count']} times{expected}\n    {refusal['call']}{words}"


def _some(title: str, found: list[str]) -> Iterator[str]:
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {one}" for one in found[:_SHOWN])
        if len(found) > _SHOWN:
            yield "  and more, in the report"
