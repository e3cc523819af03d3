"""A run: the processes that it takes, and the report that their events make, whatever becomes of them."""

from __future__ import annotations

import dataclasses
import functools
import signal
from collections import Counter
from types import FrameType
from typing import Any

from ascend_moe_gating.plugin.verify.apart import can_be_apart, run_apart
from ascend_moe_gating.plugin.verify.progress import Progress
from ascend_moe_gating.plugin.verify.report import Report
from ascend_moe_gating.plugin.verify.worker import CannotRun, Wanted, work

_MOST_LOST = 3  # checks of a path that end their process, before the rest of it is left

_TO_START = 300.0  # seconds: imports may be slow


class Terminated(BaseException):
    """SIGTERM has come."""


class Session:
    """Makes the checks that are wanted, and fills the report.

    Args:
        limit: Seconds that one check may take.
    """

    def __init__(self, wanted: Wanted, report: Report, progress: Progress, limit: float) -> None:
        self.report = report
        self._wanted, self._progress, self._limit = wanted, progress, limit
        self._vectors: list[str] = []
        self._cannot = ""
        self._planned_before = 0  # checks of earlier processes
        self._planned = False
        self._check: dict[str, Any] = {}
        self._begins: dict[str, int] = {}  # the first check of each path
        self._end = 0  # one behind the last check
        self._lost: Counter[str] = Counter()  # by path
        self._left = False  # whether checks were left out for that

    def run(self) -> None:
        """Until the end, or an interruption; the report says which.

        Raises:
            CannotRun: there is nothing to verify.
        """
        before = signal.signal(signal.SIGTERM, _terminate)
        state = "an error of verify itself ended the run"
        try:
            self._run_all()
            state = "ended early: checks that ended their process" if self._left else "complete"
        except KeyboardInterrupt:
            state = "interrupted by Ctrl-C (SIGINT)"
        except Terminated:
            state = "interrupted by SIGTERM"
        finally:
            signal.signal(signal.SIGTERM, before)
            self._progress.clear()
            if state != "complete" and self._check:
                state += f", in {self._check['path']}: {self._check['group']}"
            self.report.end(state)

    def _run_all(self) -> None:
        self._run_one(self._wanted)
        for vector in self._vectors:
            if not can_be_apart():
                self.report.leave_out(f"CPU kernel, {vector}", "this process has torch already, and one version of it")
                continue
            self._run_one(dataclasses.replace(self._wanted, vector=vector))

    def _run_one(self, wanted: Wanted) -> None:
        """In a process, and a next one behind each check that ends it."""
        start, self._planned, self._planned_before = 0, False, self.report.planned
        while True:
            self._check = {}
            if not can_be_apart():
                work(wanted, start, self._take)
                return
            ended = run_apart(functools.partial(_tell_or_work, wanted, start), self._take, self._patience)
            if self._cannot:
                raise CannotRun(self._cannot)
            if not ended:
                return
            if not self._check:
                if not self.report.done:
                    raise CannotRun(f"the process {ended}")
                self._leave("the checks behind the lost one", f"the process {ended}", 1)
                return
            start = self._lose(ended)
            if start >= self._end:
                return

    def _patience(self) -> float:
        return self._limit if self._check else max(self._limit, _TO_START)

    def _lose(self, ended: str) -> int:
        """Note that the check which had begun ended its process. Returns the next, of another path if need be."""
        path, index = self._check["path"], int(self._check["index"])
        how, _, words = ended.partition("\n")
        self.report.lose(path, self._check["group"], self._check.get("call", ""), how, words)
        self._lost[path] += 1
        if self._lost[path] < _MOST_LOST:
            return index + 1
        end = min((begin for begin in self._begins.values() if begin > index), default=self._end)
        self._leave(
            f"{path}: the checks behind the last lost one", f"{_MOST_LOST} of them ended their process", end - index - 1
        )
        return end

    def _leave(self, what: str, why: str, checks: int) -> None:
        if checks:
            self._left = True
            self.report.leave_out(what, why, checks)

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "cannot":
            self._cannot = event["text"]
        elif kind == "environment":
            self._take_environment(event)
        elif kind == "plan" and not self._planned:
            self._planned = True
            self._begins, self._end = event["begins"], event["checks"]
            self.report.planned = self._planned_before + event["checks"]
            for what, why in event["not_run"]:
                self.report.leave_out(what, why)
        elif kind == "begin":
            self._check = event
            self._progress.show(self.report.done, self.report.planned, f"{event['path']}: {event['group']}")
        elif kind == "asks":
            self._check["call"] = event["call"]
        elif kind == "done":
            self.report.add(self._check["path"], self._check["group"], event["outcome"], event["seconds"])
            self._check = {}

    def _take_environment(self, event: dict[str, Any]) -> None:
        if not self.report.environment:
            self.report.environment = event["rows"]
            self.report.device, self.report.stand_in = event["device"], event["stand_in"]
            self._vectors = event["vectors"]


def _tell_or_work(wanted: Wanted, start: int, emit: Any) -> None:
    try:
        work(wanted, start, emit)
    except CannotRun as reason:
        emit({"event": "cannot", "text": str(reason)})


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
