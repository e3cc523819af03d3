"""`python -m ascend_moe_gating verify`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ascend_moe_gating.plugin.verify.page import page
from ascend_moe_gating.plugin.verify.progress import Progress
from ascend_moe_gating.plugin.verify.report import Report
from ascend_moe_gating.plugin.verify.session import Session
from ascend_moe_gating.plugin.verify.terminal import summary
from ascend_moe_gating.plugin.verify.worker import CannotRun, Wanted

_NAME = "moe-gating-verify"
_PATHS = ("eager", "ops", "aclnn", "static", "dynamic", "captured", "python")
_ABOUT = """\
Hold the operators to their definition on the device that is there: every constraint, what CANN takes and refuses, every
mode crossed with dtypes and sizes, ties, special values, strides and gradients, by each path that a call can take.
The report is one HTML page and the same as JSON. It names no path, user or host of this machine."""
_CODES = """\
exit code: 0 all is as expected; 1 something differs, or the run ended early (the report says how far it came);
2 it could not run, or an argument is wrong. Checks run in a process of their own, unless this one has torch already."""


def main(arguments: Sequence[str]) -> int:
    """Verify, and write the report whatever happens. Returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.stand_in and given.device == "cpu":
        parser.error("--stand-in plays an NPU: it can't go with --device cpu")
    wanted = Wanted(given.device or ("npu" if given.stand_in else ""), given.stand_in, given.quick, tuple(given.path))
    report = Report(mode="quick" if given.quick else "full")
    try:
        _demand_writable(given.json, given.html)
    except OSError as error:
        print(f"verify: the report can't be written: {error.strerror}: {error.filename}", file=sys.stderr)
        return 2
    try:
        Session(wanted, report, Progress(), given.limit).run()
    except CannotRun as reason:
        report.end(str(reason))
    finally:
        _write(report, given.json, given.html)
    if report.done:
        print(summary(report))
    else:
        print(f"verify: no check was made: {report.state}", file=sys.stderr)
    print(f"report: {given.html} and {given.json}")
    return report.exit_code


def _write(report: Report, json_path: Path, html_path: Path) -> None:
    json_path.write_text(json.dumps(report.as_json(), indent=1, allow_nan=False) + "\n")
    html_path.write_text(page(report), encoding="utf-8")


def _demand_writable(*files: Path) -> None:
    """Before minutes are spent: an existing report stays as it is until the new one is there."""
    for file in files:
        if not os.access(file if file.exists() else file.parent, os.W_OK) or file.is_dir():
            raise PermissionError(13, "no file can be written there", str(file))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ascend_moe_gating verify", description=_ABOUT, epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--device", choices=("npu", "cpu"), help="default: npu where there is one, else cpu")
    parser.add_argument(
        "--stand-in", action="store_true", help="an NPU played by the host stand-in for CANN: to try this command"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="each kind of check, few of each, in about half a minute; all of them find more, in minutes",
    )
    parser.add_argument(
        "--path", choices=_PATHS, action="append", default=[], help="only this way of calling; may be repeated"
    )
    parser.add_argument("--json", type=Path, default=Path(f"{_NAME}.json"), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--html", type=Path, default=Path(f"{_NAME}.html"), metavar="FILE", help="default: %(default)s")
    parser.add_argument(
        "--limit", type=_seconds, default=180.0, metavar="SECONDS",
        help="a check that takes longer counts as hanging and is ended (default: %(default)g)",
    )  # fmt: skip
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text}")
    return value
