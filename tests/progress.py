"""How far the tests are: one line, with `-p tests.progress`, in place of a dot for each test.

A terminal has it at the bottom; a log gets one for every twentieth of the tests. What fails is named when it fails.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

import pytest


class Progress:
    """Counts the tests that have ended; `total` is known when they are collected."""

    def __init__(self, output: TextIO, clock=time.monotonic) -> None:
        self.output, self.clock = output, clock
        self.total = self.done = self.failed = self.lines = 0
        self.begin = clock()

    def line(self) -> str:
        gone = self.clock() - self.begin
        to_go = gone / self.done * (self.total - self.done)
        failed = f"{self.failed or 'none'} failed"
        percent = self.done * 100 // self.total
        counted = f"[{percent:3}%] {self.done} of {self.total} tests in {_minutes(gone)}, {failed}"
        return counted if self.done == self.total else f"{counted}, about {_minutes(to_go)} to go"

    def ended(self, failed: bool, name: str) -> None:
        """Of a test: say so, if it failed; the line where it is due."""
        if failed:
            self.failed += 1
            self._write(f"FAILED {name}\n")
        self.done += 1
        if self.output.isatty():
            self._write(self.line() + ("\n" if self.done == self.total else ""))
        elif self.done * 20 // self.total > self.lines:
            self.lines = self.done * 20 // self.total
            self._write(self.line() + "\n")

    def _write(self, text: str) -> None:
        self.output.write(f"\r\033[K{text}" if self.output.isatty() else text)
        self.output.flush()


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class _Hooks:
    """What pytest calls, in the process that the workers of pytest-xdist report to, or in the only one."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.broken: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.progress.total = len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.progress.total = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        if hasattr(report, "wasxfail") or not isinstance(report, pytest.TestReport):
            return None
        if report.failed:
            return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")
        return ("", "", "") if report.passed and report.when != "call" else (report.outcome, "", report.outcome.upper())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.broken.add(report.nodeid)
        if report.when == "teardown":
            self.progress.ended(report.nodeid in self.broken, report.nodeid)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Hooks(Progress(sys.stderr)), "progress of the tests")
