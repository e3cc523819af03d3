"""What `make fuzz` makes of what libFuzzer writes; the fuzzers themselves take minutes to build."""

import sys

import pytest

from tests.fuzz import __main__ as driver

QUIET = """#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 60Mb
#4096\tNEW    cov: 1234 ft: 2000 corp: 78/9b lim: 4 exec/s: 500 rss: 70Mb L: 1/1 MS: 1 ChangeBit-
#90000\tDONE   cov: 1300 ft: 2100 corp: 99/9b lim: 4 exec/s: 900 rss: 70Mb
"""
LOUD = (
    QUIET
    + """/work/x.cpp:3:4: runtime error: signed integer overflow
artifact_prefix='./'; Test unit written to /tmp/crash-1
SUMMARY: UndefinedBehaviorSanitizer: undefined-behavior
"""
)


@pytest.fixture
def written(monkeypatch):
    """Fuzzers that write this, and end with this status; nothing is built."""

    def set_to(text, status):
        program = f"import sys; sys.stdout.write({text!r}); sys.exit({status})"
        monkeypatch.setattr(driver, "build", lambda: None)
        monkeypatch.setattr(driver.Run, "command", lambda run, options: [sys.executable, "-c", program, *options])

    return set_to


def test_nothing_found(written, capsys):
    written(QUIET, 0)
    assert driver.main([]) == 0
    output = capsys.readouterr().out
    assert output.startswith("graph: 2 executions, 0/s, 10 edges, 1 inputs kept\nkernel ")  # a log gets few lines
    assert output.count("90,000 executions    1,300 edges     99 inputs   nothing found\n") == 1 + len(driver.HERE)


def test_each_pulse_of_a_long_run_is_shown_when_it_is_due(capsys):
    run = driver.Run("graph")
    for line in QUIET.splitlines():
        run.due = 0.0
        run.take(line)
    assert "graph: 4,096 executions, 500/s, 1,234 edges, 78 inputs kept\n" in capsys.readouterr().out


def test_what_is_found_is_told_with_the_command_that_repeats_it(written, capsys):
    written(LOUD, 77)
    assert driver.main([]) == 1
    report = capsys.readouterr().out.split("\n\n")[-1]
    assert "runtime error: signed integer overflow" in report
    assert "again: ASCEND_MOE_GATING_SIMULATOR_MEMORY=262144 " in report
    assert f"{driver.BUILD}/fuzz_graph /tmp/crash-1" in report
    assert f"ASCEND_MOE_GATING_VECTOR={driver.HERE[-1]} {driver.BUILD}/fuzz_kernel /tmp/crash-1" in report


def test_without_clang_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="apt-get install clang libclang-rt-14-dev"):
        driver.build()
