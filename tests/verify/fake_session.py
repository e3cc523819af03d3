"""A session whose worker crashes or hangs where it is told to, in a process without torch: it prints the report.

usage: python -m tests.verify.fake_session CHECKS CRASHES HANGS LIMIT [REASON]
"""

import json
import os
import sys
import time

from ascend_moe_gating.plugin.verify import session
from ascend_moe_gating.plugin.verify.outcome import Outcome
from ascend_moe_gating.plugin.verify.progress import Progress
from ascend_moe_gating.plugin.verify.report import Report
from ascend_moe_gating.plugin.verify.worker import CannotRun, Wanted

checks, crashes, hangs, limit, *reason = (json.loads(argument) for argument in sys.argv[1:])


def work(wanted, start, emit):
    if reason:
        raise {"CannotRun": CannotRun, "ImportError": ImportError}[reason[0]](reason[1])
    rows = {"CANN": "none"}
    emit({"event": "environment", "device": "npu", "vectors": [], "stand_in": False, "rows": rows})
    begins = {"a path": 0, "the next path": checks // 2}
    emit({"event": "plan", "checks": checks, "begins": begins, "not_run": [["a path", "it is not there"]]})
    for index in range(start, checks):
        path = "a path" if index < checks // 2 else "the next path"
        emit({"event": "begin", "index": index, "path": path, "group": "a group"})
        emit({"event": "asks", "call": f"call {index}"})
        print("the last words of", index)
        if index in crashes:
            os.abort()
        if index in hangs:
            time.sleep(60)
        emit({"event": "done", "outcome": vars(Outcome(rows=2)), "seconds": 0.1})


session.work = work
report = Report()
try:
    session.Session(Wanted(), report, Progress(quiet=True), limit).run()
except CannotRun as error:
    report.end(f"CannotRun: {error}")
print(json.dumps(report.as_json()))
