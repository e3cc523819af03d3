"""python -m tests.soak: random calls until so many rows have been through, and a report. `make soak SOAK="..."`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from ascend_moe_gating import simulator

simulator.load()

from tqdm import tqdm  # noqa: E402

from tests.soak import public, ways  # noqa: E402
from tests.soak.calls import WAYS, Call, draw  # noqa: E402

RUN = {
    "kernel": ways.run_kernel,
    "kernel, hash routing": ways.run_routed,
    "kernel, gradient": ways.run_gradient,
    "cpu": public.run_cpu,
    "cpu, softmax": public.run_softmax,
    "cpu, softmax_v2": public.run_softmax_v2,
    "npu": public.run_npu,
    "npu, softmax_v2": lambda call, errors: public.run_softmax_v2(call, errors, "npu"),
    "graph": public.run_graph,
}
assert list(RUN) == list(WAYS)


class Report:
    """What has been run, and what was wrong."""

    def __init__(self, seed: int) -> None:
        self.seed, self.started = seed, time.monotonic()
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in ("rows", "calls", "values", "dtypes", "layouts", "experts")
        }
        self.errors: ways.Errors = {}
        self.mismatches: list[dict[str, Any]] = []

    @property
    def rows(self) -> int:
        return self.counts["rows"].total()

    def run(self, number: int) -> Call:
        """Run one call, and note what it was and whether it was right."""
        call = draw(self.seed, number)
        try:
            RUN[call.way](call, self.errors)
        except Exception as error:
            command = f'make soak SOAK="--seed {self.seed} --call {number}"'
            lines = [line for line in str(error).splitlines() if line.strip()]
            trace = traceback.format_exc(limit=-3)
            self.mismatches.append(
                {"call": call.describe(), "error": f"{type(error).__name__}: {' '.join(lines[:6])}", "command": command,
                 "traceback": trace}
            )  # fmt: skip
        tokens, experts = call.x.shape
        self.counts["rows"][call.way] += tokens
        self.counts["calls"][call.way] += 1
        self.counts["values"][call.values] += tokens
        self.counts["dtypes"][call.dtype] += tokens
        self.counts["layouts"][call.layout] += tokens
        self.counts["experts"][f"up to {next(m for m in (16, 64, 256, 512, 2048) if experts <= m)}"] += tokens
        return call

    def as_dict(self, ended: str) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "ended": ended,
            "seconds": round(time.monotonic() - self.started, 1),
            "rows": self.rows,
            "calls": self.counts["calls"].total(),
            "kernel versions": list(ways.versions()),
            **{f"{name} by": dict(self.counts[name]) for name in ("rows", "calls")},
            **{f"rows by {name}": dict(self.counts[name]) for name in ("values", "dtypes", "layouts", "experts")},
            "largest errors in ULP": {name: round(value, 2) for name, value in sorted(self.errors.items())},
            "mismatches": self.mismatches,
        }


def text_of(report: dict[str, Any]) -> str:
    """The report as one reads it in a terminal."""
    lines = [
        f"{report['rows']:,} rows in {report['calls']:,} calls, {report['seconds']:.0f} s, seed {report['seed']}; "
        f"{report['ended']}; the kernel as {', '.join(report['kernel versions'])}"
    ]
    for name, calls in report["calls by"].items():
        lines.append(f"  {name:22}{calls:8,} calls {report['rows by'][name]:12,} rows")
    lines += [f"  {value:6.2f} ULP  {name}" for name, value in report["largest errors in ULP"].items()]
    for mismatch in report["mismatches"][:20]:
        lines += [f"wrong: {mismatch['call']}", f"  {mismatch['error'][:500]}", f"  {mismatch['command']}"]
    lines.append(f"{len(report['mismatches'])} mismatches")
    return "\n".join(lines)


def soak(report: Report, rows: int, minutes: float) -> str:
    """Run calls 0, 1, ... until there are enough rows, or the time is over, or somebody interrupts; which it was."""
    number = 0
    often = 1 if sys.stderr.isatty() else 60  # seconds; a log wants few lines
    with tqdm(total=rows, unit="row", unit_scale=True, smoothing=0.05, mininterval=often, maxinterval=often) as bar:
        try:
            while report.rows < rows:
                if time.monotonic() - report.started > 60 * minutes:
                    return f"time was over after {minutes:g} minutes"
                bar.set_postfix(call=number, wrong=len(report.mismatches), refresh=False)
                bar.update(len(report.run(number).x))
                number += 1
        except KeyboardInterrupt:
            return f"interrupted in call {number}"
    return "all rows"


def main(arguments: list[str] | None = None) -> int:
    """How many mismatches there were, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rows", type=float, default=1e7, help="rows (tokens) to be run, 1e7 without it")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="and then it ends all the same")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--call", type=int, help="run this call of the seed alone")
    parser.add_argument("--output", type=Path, default=Path("build/soak.json"), help="the report as JSON")
    options = parser.parse_args(arguments)
    report = Report(options.seed)
    if options.call is not None:
        call = report.run(options.call)
        print(call.describe())
        print("".join(m["traceback"] for m in report.mismatches) or "right")
        return min(1, len(report.mismatches))
    for interruption in (signal.SIGTERM, signal.SIGINT):  # a time limit's, and one that a shell lets its jobs ignore
        signal.signal(interruption, signal.default_int_handler)
    ended = soak(report, int(options.rows), options.minutes)
    whole = report.as_dict(ended)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(whole, indent=1))
    print(f"{text_of(whole)}, all of it in {options.output}")
    return min(1, len(report.mismatches))


if __name__ == "__main__":
    sys.exit(main())
