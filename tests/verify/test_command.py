"""The command as a user runs it: what a good run says, arguments, faults, interruptions, and what is left out."""

import getpass
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT, start
from tests.verify.conftest import files, read, verify

PATHS = (
    "public function", "torch_npu's own call", "direct aclnn call", "static graph", "dynamic graph", "captured graph",
)  # fmt: skip


@pytest.mark.stand_in
def test_a_quick_run_on_the_stand_in_is_all_as_expected(right_run):
    assert right_run.code == 0, right_run.out + right_run.err
    report = right_run.json
    assert (report["verdict"], report["state"], report["exit_code"]) == ("all as expected", "complete", 0)
    assert report["done"] == report["planned"] > 1000
    assert (report["device"], report["stand_in"], report["mode"]) == ("npu", True, "quick")
    assert report["environment"]["CANN"].startswith(
        "CANN 9.2.0 on Ascend910B1, played by the host stand-in: not an NPU"
    )
    assert "ALL AS EXPECTED" in right_run.out
    assert "not an NPU" in right_run.out


@pytest.mark.stand_in
def test_it_says_what_it_did_on_each_path(right_run):
    tallies = {(t["path"], t["group"]): t for t in right_run.json["tallies"]}
    assert {path for path, _ in tallies} == set(PATHS)
    groups = ("constraints", "cases", "crossed", "strides", "many tokens", "softmax", "softmax_v2", "repetition")
    for path in PATHS[:3]:
        for group in groups:
            assert tallies[path, group]["checks"] > 0, (path, group)
    for path in PATHS[3:]:
        assert tallies[path, "crossed"]["rows"] > 50
        assert tallies[path, "other operators"]["checks"] > 1
    assert tallies["torch_npu's own call", "needs"]["refused_as_expected"] > 100
    assert tallies["public function", "gradients"]["rows"] > 50
    times = {(time["path"], time["tokens"]) for time in right_run.json["times"]}
    assert times == {(path, tokens) for path in PATHS for tokens in (1, 1024)}
    results = {(a["path"], a["result"], a["dtype"]) for a in right_run.json["accuracy"]}
    assert {("public function", "y", dtype) for dtype in ("float32", "float16", "bfloat16")} <= results
    assert {("public function", name, "float32") for name in ("norm_out", "softmax_result")} <= results
    for accuracy in right_run.json["accuracy"]:
        assert len(accuracy["counts"]) == len(right_run.json["ulp_edges"]) - 1
        if accuracy["dtype"] != "float32":
            assert accuracy["largest"] < 0.51  # rounded once, to nearest


@pytest.mark.stand_in
def test_what_was_not_run_has_its_reason(right_run):
    left = {row["what"]: row["why"] for row in right_run.json["not_run"]}
    assert left["torch_npu's own call: cases"] == "CANN divides by the number of tokens, which is 0"
    assert all(left.values())
    refused = {r["expected"] for r in right_run.json["refusals"] if r["as_expected"]}
    assert any(need.startswith("norm_type=2 needs CANN 9.1 on 950") for need in refused)
    assert all(r["words"] for r in right_run.json["refusals"])


@pytest.mark.stand_in
def test_the_report_is_small_and_names_nobodys_machine(right_run):
    texts = [json.dumps(right_run.json), right_run.html]
    for text in texts:
        assert len(text) < 400_000
        assert str(ROOT) not in text
        assert not re.search(r"/(tmp|home|root|usr|work)/", text)
        assert getpass.getuser() == "root" or getpass.getuser() not in text


def test_on_the_cpu_each_vector_version_is_a_path(tmp_path):
    run = verify(tmp_path, "--device", "cpu", "--quick", "--path", "eager")
    assert run.code == 0, run.out + run.err
    from ascend_moe_gating.plugin.cpu.kernel import versions

    paths = {tally["path"] for tally in run.json["tallies"]}
    assert paths == {f"public function, {version}" for version in versions()}
    assert (run.json["device"], run.json["stand_in"]) == ("cpu", False)
    labels = {"constraints": 55, "crossed": 90}
    for tally in run.json["tallies"]:
        assert tally["checks"] >= labels.get(tally["group"], 1)


# Arguments, and what is missing.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "gpu"], "invalid choice: 'gpu'"),
        (["--limit", "0"], "must be a number of seconds above 0, got 0"),
        (["--limit", "soon"], "argument --limit"),
        (["--stand-in", "--device", "cpu"], "--stand-in plays an NPU: it can't go with --device cpu"),
        (["--json", "/no/such/folder/report.json"], "the report can't be written"),
        (["--html", "."], "the report can't be written"),
        (["more"], "unrecognized arguments: more"),
    ],
)
def test_wrong_arguments(arguments, says, tmp_path):
    result = start(["-m", "ascend_moe_gating", "verify", *files(tmp_path), *arguments])
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
    assert not list(tmp_path.iterdir())


def test_help_says_what_the_exit_codes_are():
    result = start(["-m", "ascend_moe_gating", "verify", "--help"])
    assert result.returncode == 0
    assert "0 all is as expected; 1 something differs" in result.stdout
    assert "2 it could not run" in result.stdout


@pytest.mark.stand_in
def test_without_a_cann_an_npu_can_not_be_verified_and_it_says_how_to_go_on(tmp_path):
    run = verify(tmp_path, "--device", "npu", "--quick")
    assert run.code == 2
    for words in ("libhccl.so", "source its set_env.sh", "--device cpu", "--stand-in"):
        assert words in run.err
        assert words in run.json["state"]
    assert run.json["verdict"] == "could not run"


# Interruptions.


# A shell that puts a process into the background lets it ignore Ctrl-C.
HEARING = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[:1] = ["ascend_moe_gating"]
runpy.run_module("ascend_moe_gating", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_writes_its_report(number, tmp_path):
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-c", HEARING, "verify", "--device", "cpu", "--path", "python", *files(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its_end, text=True)
    os.close(its_end)
    shown = b""
    while not (numbers := re.findall(rb"(\d+) of \d+ checks", shown)) or int(numbers[-1]) < 60:
        shown += os.read(terminal, 1000)  # the bar on a terminal says how far it is
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    os.close(terminal)
    run = read(tmp_path, process.returncode, out, "")
    assert b"[#" in shown
    assert run.code == 1
    signal_says = {signal.SIGINT: "Ctrl-C (SIGINT)", signal.SIGTERM: "SIGTERM"}[number]
    assert run.json["state"].startswith(f"interrupted by {signal_says}, in kernel by Python, ")
    assert 50 < run.json["done"] < run.json["planned"]
    assert (run.json["verdict"], run.json["tallies"][0]["group"]) == ("as expected so far", "constraints")
    assert f"interrupted by {signal_says}" in run.html
    assert f"interrupted by {signal_says}" in out
    assert not Path(f"/proc/{child}").exists()


# Faults of a device.

FAULT = """
import sys
from ascend_moe_gating import simulator
simulator.load()
from ascend_moe_gating.plugin.verify.command import main
with simulator.fault({fault}):
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.stand_in
def test_a_device_that_hangs_is_left_and_the_next_check_goes_on(tmp_path):
    code = FAULT.format(fault="'aclnnMoeGatingTopKSoftmax', when='hang', occurrence=9")
    result = start(["-c", code, *files(tmp_path), "--stand-in", "--quick", "--path", "aclnn", "--limit", "4"])
    run = read(tmp_path, result.returncode, result.stdout, result.stderr)
    assert run.code == 1
    (lost,) = run.json["lost"]
    assert (lost["path"], lost["group"]) == ("direct aclnn call", "softmax")
    assert lost["how"] == "gave no sign of life for 4 s"
    assert lost["call"].startswith("npu_moe_gating_top_k_softmax(x: ")
    assert (run.json["state"], run.json["done"]) == ("complete", run.json["planned"])
    for text in (run.out, run.html):
        assert "gave no sign of life for 4 s" in text
        assert lost["call"][:40] in text
