"""A run: the processes that it takes, and the report that their events make, whatever becomes of them."""

from __future__ import annotations

import dataclasses
import functools
import signal
from types import FrameType
from typing import Any

from ascend_moe_gating.plugin.verify.apart import can_be_apart, run_apart
from ascend_moe_gating.plugin.verify.progress import Progress
from ascend_moe_gating.plugin.verify.report import Report
from ascend_moe_gating.plugin.verify.worker import CannotRun, Wanted, work

_MOST_LOST = 6  # checks that end the process, before the rest is left

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
        self._lost = 0

    def run(self) -> None:
        """Until the end, or an interruption; the report says which.

        Raises:
            CannotRun: there is nothing to verify.
        """
        before = signal.signal(signal.SIGTERM, _terminate)
        state = "an error of verify itself ended the run"
        try:
            self._run_all()
            state = "complete" if self._lost <= _MOST_LOST else f"ended early: {self._lost} checks ended their process"
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
                self.report.leave_out("the checks behind the lost one", f"the process {ended}")
                self._lost = _MOST_LOST + 1
                return
            start = self._lose(ended)
            if self._lost > _MOST_LOST:
                return

    def _patience(self) -> float:
        return self._limit if self._check else max(self._limit, _TO_START)

    def _lose(self, ended: str) -> int:
        """Note that the check which had begun ended its process. Returns the next one."""
        self._lost += 1
        how, _, words = ended.partition("\n")
        self.report.lose(self._check["path"], self._check["group"], self._check.get("call", ""), how, words)
        return int(self._check["index"]) + 1

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "cannot":
            self._cannot = event["text"]
        elif kind == "environment":
            self._take_environment(event)
        elif kind == "plan" and not self._planned:
            self._planned = True
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
