"""The line that says how far the tests are."""

import io
import re

import pytest

from tests.programs import ROOT, start
from tests.progress import Progress

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise ValueError

@pytest.mark.parametrize("n", range(36))
def test_one_of_many(n):
    assert n != 7

def test_of_what_is_broken(broken):
    pass

def test_nothing():
    pytest.skip("why")

@pytest.mark.xfail(strict=True)
def test_what_is_known():
    assert False

def test_the_last():
    pass
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_has_what_is_done_what_failed_and_the_time_left():
    output, now = io.StringIO(), [0.0]
    progress = Progress(output, clock=lambda: now[0])
    progress.total = 40
    for _ in range(10):
        now[0] += 6.5
        progress.ended(failed=False, name="a")
    assert output.getvalue().splitlines()[-1] == "[ 25%] 10 of 40 tests in 1:05, none failed, about 3:15 to go"
    assert len(output.getvalue().splitlines()) == 5
    progress.ended(failed=True, name="tests/b.py::test_b")
    assert output.getvalue().splitlines()[-1] == "FAILED tests/b.py::test_b"


def test_a_terminal_has_one_line_that_changes():
    progress = Progress(Terminal(), clock=lambda: 0.0)
    progress.total = 3
    for failed in (False, True, False):
        progress.ended(failed, "b")
    changes = progress.output.getvalue().split("\r\033[K")[1:]
    assert [re.match(r"\[.*?\]|FAILED b\n", change)[0] for change in changes] == [
        "[ 33%]",
        "FAILED b\n",
        "[ 66%]",
        "[100%]",
    ]
    assert progress.output.getvalue().count("\n") == 2


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_what_pytest_runs_is_counted(workers, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    arguments = ["-m", "pytest", "-p", "tests.progress", "--rootdir", tmp_path, *workers, tmp_path]
    ran = start(arguments, PYTHONPATH=str(ROOT), TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    lines = re.findall(r"\[[ \d]{3}%\] .*", ran.stderr)
    assert len(lines) == 20, ran.stdout + ran.stderr
    assert re.fullmatch(r"\[100%\] 40 of 40 tests in \d:\d\d, 2 failed", lines[-1])
    assert len(re.findall(r"^FAILED .*(?:one_of_many\[7\]|of_what_is_broken)$", ran.stderr, re.MULTILINE)) == 2
    assert "1 failed, 36 passed, 1 skipped, 1 xfailed, 1 error" in ran.stdout
    assert ran.returncode == 1
