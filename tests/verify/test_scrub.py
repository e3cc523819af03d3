"""What a report takes out of texts that it did not write: paths, and names of users and hosts."""

import getpass
import socket
from dataclasses import asdict

import pytest

from ascend_moe_gating.plugin.verify.outcome import Mismatch, Outcome, Refusal
from ascend_moe_gating.plugin.verify.report import Report
from ascend_moe_gating.plugin.verify.scrub import scrub


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("/usr/local/Ascend/lib64/libhccl.so: cannot open", ".../libhccl.so: cannot open"),
        ('File "/home/jane/work/gate.py", line 3', 'File ".../gate.py", line 3'),
        ("in ~/models/v3/config.json.", "in .../config.json."),
        ("k_group * experts / group_count, 4 us/token, and/or", "k_group * experts / group_count, 4 us/token, and/or"),
        ("(/opt/a/b.so)", "(.../b.so)"),
    ],
)
def test_paths(text, scrubbed):
    assert scrub(text) == scrubbed


def test_names_of_users_and_hosts(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(socket, "gethostname", lambda: "node17")
    assert scrub("jane on node17: janet, node170") == "... on ...: janet, node170"
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    assert scrub("the root of softplus") == "the root of softplus"


def test_all_that_a_report_quotes_is_scrubbed():
    path = "/home/jane/secret/x.py"
    report = Report(device="npu")
    outcome = Outcome(
        rows=1, wrong=1, mismatches=[Mismatch("f(x)", "error", f"said {path}")], refusal=Refusal("f(x)", "", True, path)
    )
    report.add("a path", "a group", asdict(outcome), 0.0)
    report.lose("a path", "a group", "f(x)", "ended by SIGSEGV", f"at {path}")
    report.leave_out("a path", f"no {path}")
    report.end(f"interrupted in {path}")
    assert "jane" not in str(report.as_json())
    assert str(report.as_json()).count(".../x.py") == 5
