"""A process of its own: what it emits, how its end is told, and what a session makes of it.

Each test is a process without torch: one that has it has threads, and is not divided.
"""

import json

import pytest

from tests.programs import run, start

HEAD = """
import os, signal, sys, time
from ascend_moe_gating.plugin.verify.apart import run_apart

def ended_and_events(work, limit=20.0):
    events = []
    return run_apart(work, events.append, lambda: limit), events
"""


def program(code):
    result = start(["-c", HEAD + code])
    assert result.returncode == 0, result.stderr
    return result


def test_events_arrive_in_order_and_what_is_printed_does_not_reach_the_terminal():
    result = program("""
def work(emit):
    print("from the device library")
    os.write(2, b"from C")
    for number in range(5000):
        emit({"number": number, "text": "x" * 50})

ended, events = ended_and_events(work)
assert ended == ""
assert [event["number"] for event in events] == list(range(5000))
""")
    assert (result.stdout, result.stderr) == ("", "")


def test_a_crash_is_told_with_what_was_printed_last():
    program("""
def work(emit):
    emit({"number": 1})
    print("the last words")
    os.kill(os.getpid(), signal.SIGSEGV)

ended, events = ended_and_events(work)
assert ended.startswith("ended by SIGSEGV"), ended
assert "the last words" in ended
assert events == [{"number": 1}]
""")


def test_an_exception_is_told():
    program("""
def work(emit):
    raise OSError("no such device")

ended, _ = ended_and_events(work)
assert ended.startswith("ended with exit code 1") and "OSError: no such device" in ended, ended
""")


def test_what_hangs_is_ended_even_if_it_does_not_want_to():
    program("""
def work(emit):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    emit({"pid": os.getpid()})
    time.sleep(60)

begun = time.monotonic()
ended, (event,) = ended_and_events(work, limit=0.3)
assert ended.startswith("gave no sign of life for 0.3 s"), ended
assert time.monotonic() - begun < 10
try:
    os.kill(event["pid"], 0)
except ProcessLookupError:
    sys.exit(0)
sys.exit("it lives")
""")


def session(*arguments):
    return json.loads(run_module("tests.verify.fake_session", *map(json.dumps, arguments)))


def run_module(name, *arguments):
    result = start(["-m", name, *arguments])
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_what_is_behind_a_crash_and_a_hanging_check_is_still_made():
    report = session(6, [1], [4], 0.5)
    lost = [(one["path"], one["call"], one["how"]) for one in report["lost"]]
    assert lost == [
        ("a path", "call 1", "ended by SIGABRT"),
        ("the next path", "call 4", "gave no sign of life for 0.5 s"),
    ]
    assert "the last words of 1" in report["lost"][0]["words"]
    assert (report["done"], report["planned"], report["state"], report["exit_code"]) == (6, 6, "complete", 1)
    assert [(t["checks"], t["rows"], t["lost"]) for t in report["tallies"]] == [(3, 4, 1), (3, 4, 1)]
    assert report["not_run"] == [{"what": "a path", "why": "it is not there", "count": 1}]


def test_after_three_crashes_of_a_path_the_next_one_is_tried():
    report = session(20, [0, 2, 4, 5, 6], [], 20)
    assert [one["call"] for one in report["lost"]] == ["call 0", "call 2", "call 4"]
    assert report["state"].startswith("ended early: checks that ended their process")
    assert (report["done"], report["planned"], report["exit_code"]) == (15, 20, 1)
    left = {"what": "a path: the checks behind the last lost one", "why": "3 of them ended their process", "count": 5}
    assert left in report["not_run"]


def test_where_all_crash_the_run_ends():
    report = session(20, list(range(20)), [], 20)
    assert [one["call"] for one in report["lost"]] == [f"call {n}" for n in (0, 1, 2, 10, 11, 12)]
    assert (report["done"], sum(left["count"] for left in report["not_run"])) == (6, 1 + 7 + 7)


@pytest.mark.parametrize(
    ("error", "state"),
    [("CannotRun", "CannotRun: no CANN here"), ("ImportError", "CannotRun: the process ended with exit code 1")],
)
def test_where_nothing_could_be_checked_the_report_says_why(error, state):
    report = session(6, [], [], 20, error, "no CANN here")
    assert report["state"].startswith(state)
    assert "no CANN here" in report["state"]
    assert (report["verdict"], report["exit_code"]) == ("could not run", 2)


def test_the_command_imports_no_torch():
    run("""
        import sys
        import ascend_moe_gating.plugin.verify.command
        assert not {"torch", "torch_npu", "numpy"} & set(sys.modules), sorted(sys.modules)
    """)
