"""The command that tests pairs of torch and torch_npu: what it counts, and what it makes of it."""

import json
import os
import subprocess
import sys

import pytest

from tests import pairs
from tests.programs import ROOT

RESULT = {
    "pair": "2.10.0+2.10.0.post4",
    "python": "3.11",
    "passed": 3,
    "skipped": 2,
    "failed": 1,
    "reasons": {"the installed torch_npu lacks hash routing": 2},
}
REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"/><testcase name="c"><properties/></testcase>
<testcase name="d"><skipped message="the installed torch_npu lacks hash routing"/></testcase>
<testcase name="e"><skipped message="the installed torch_npu lacks hash routing"/></testcase>
<testcase name="f"><failure message="no"/></testcase>
</testsuite></testsuites>"""


def run_with(monkeypatch, tmp_path, report):
    """The result of a run whose environment is there already and whose tests write this report."""

    def start(command, **options):
        if report is not None:
            (tmp_path / "report.xml").write_text(report)

    monkeypatch.setattr(pairs, "set_up", lambda pair, folder: sys.executable)
    monkeypatch.setattr(pairs.subprocess, "run", start)
    return pairs.run(RESULT["pair"], tmp_path, [])


def test_what_is_skipped_is_counted_by_its_reason(monkeypatch, tmp_path):
    assert run_with(monkeypatch, tmp_path, REPORT) == {**RESULT, "python": pairs.PYTHON}


def test_a_run_without_a_report_has_failed(monkeypatch, tmp_path):
    assert run_with(monkeypatch, tmp_path, None)["failed"] == 1


def test_results_replace_those_of_the_same_pair(monkeypatch, tmp_path):
    page = tmp_path / "supported.md"
    page.write_text(f"before\n{pairs.BEGIN}old\n{pairs.END}after\n")
    monkeypatch.setattr(pairs, "PAGE", page)
    monkeypatch.setattr(pairs, "RESULTS", tmp_path / "pairs.json")
    old, other = {**RESULT, "pair": "2.9.0+2.9.0.post9"}, {**RESULT, "python": "3.13"}
    pairs.write([other, RESULT, old])
    new = {**RESULT, "failed": 0}
    pairs.write([new])
    assert json.loads(pairs.RESULTS.read_text()) == [old, new, other]
    table = pairs.table([old, new, other])
    assert page.read_text() == f"before\n{pairs.BEGIN}{table}{pairs.END}after\n"


def test_the_pages_table_is_that_of_the_last_results():
    results = json.loads(pairs.RESULTS.read_text())
    assert pairs.BEGIN + pairs.table(results) + pairs.END in pairs.PAGE.read_text()


@pytest.mark.parametrize("pair", ["2.10.0", "2.10+2.10.post4", "2.10.0+", "torch+torch_npu"])
def test_what_is_no_pair_is_refused(pair):
    result = subprocess.run([sys.executable, "-m", "tests.pairs", pair], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert f"a pair must be torch+torch_npu, as 2.10.0+2.10.0.post4, got {pair}" in result.stderr


@pytest.mark.needs("a compiler")
def test_keys_of_the_allocator_that_torch_has_too_are_forgotten(tmp_path):
    """By a Python that aborts as that of such a pair does; then the present torch_npu loads with what was put there."""
    python = tmp_path / "python"
    aborts = 'case "$2" in *sysconfig*) dirname "$0";; *) echo "Duplicated key \'a\' found" >&2; exit 134;; esac'
    python.write_text(f"#!/bin/sh\n{aborts}\n")
    python.chmod(0o755)
    pairs.remedy_keys(python)
    assert (tmp_path / "allocator_keys.pth").read_text() == "import allocator_keys\n"
    program = "import allocator_keys; from ascend_moe_gating import simulator; simulator.load(); import torch_npu"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)


def test_a_pair_that_loads_is_left_alone(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    pairs.remedy_keys(python)
    assert list(tmp_path.iterdir()) == [python]
