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
    lost = [(one["call"], one["how"]) for one in report["lost"]]
    assert lost == [("call 1", "ended by SIGABRT"), ("call 4", "gave no sign of life for 0.5 s")]
    assert "the last words of 1" in report["lost"][0]["words"]
    assert (report["done"], report["planned"], report["state"], report["exit_code"]) == (6, 6, "complete", 1)
    (tally,) = report["tallies"]
    assert (tally["checks"], tally["rows"], tally["lost"]) == (6, 8, 2)
    assert report["not_run"] == [{"what": "a path", "why": "it is not there", "count": 1}]


def test_too_many_crashes_end_the_run():
    report = session(50, list(range(50)), [], 20)
    assert report["state"].startswith("ended early: 7 checks ended their process")
    assert (report["done"], report["planned"], report["exit_code"]) == (7, 50, 1)


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
