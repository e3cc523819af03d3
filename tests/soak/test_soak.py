"""A small soak: nothing is wrong; what is wrong is found, and its command repeats it; interrupted, it reports too."""

import json
import re
import shlex

import numpy as np
import pytest

from ascend_moe_gating.plugin.cpu import kernel as compiled_kernel
from tests.soak import __main__ as soak
from tests.soak import calls, public, ways

EAGER = [way for way in calls.WAYS if way != "graph"]  # a graph takes a second to compile


@pytest.fixture
def small(monkeypatch):
    """Calls of few logits, so that there are many; each way as often as any other."""
    monkeypatch.setattr(calls, "ELEMENTS", 3000)
    monkeypatch.setattr(calls, "WAYS", dict.fromkeys(EAGER, 1))


def run(tmp_path, *arguments):
    status = soak.main([*arguments, "--output", str(tmp_path / "soak.json")])
    return status, json.loads((tmp_path / "soak.json").read_text())


def test_some_thousand_rows_are_right(small, tmp_path, capsys):
    status, report = run(tmp_path, "--rows", "8e3", "--seed", "3")
    assert (status, report["mismatches"], report["ended"]) == (0, [], "all rows")
    assert report["rows"] >= 8000
    assert sum(report["rows by"].values()) == sum(report["rows by values"].values()) == report["rows"]
    assert set(report["calls by"]) == set(EAGER)
    assert set(report["rows by values"]) == set(calls.VALUES)
    assert set(report["rows by layouts"]) == set(calls.LAYOUTS)
    assert all(0 <= error < 5 for error in report["largest errors in ULP"].values())
    assert len(report["largest errors in ULP"]) % len(report["kernel versions"]) == 0
    assert "0 mismatches" in capsys.readouterr().out


def test_graphs_are_right(monkeypatch):
    monkeypatch.setattr(calls, "WAYS", {"graph": 1})
    monkeypatch.setattr(calls, "GRAPHS", 1)
    report = soak.Report(0)
    for number in range(4):
        report.run(number)
    assert report.mismatches == []
    assert (len(public._GRAPHS), report.counts["calls"]["graph"]) == (1, 4)


def swapped_in_one_version(run_it):
    """The kernel, but in portable code the first two experts of the first row are swapped."""

    def run(args, threads):
        run_it(args, threads)
        wrong = isinstance(args, compiled_kernel.Arguments) and args.k > 1 and args.tokens > 0
        if wrong and compiled_kernel.library() is ways.versions()["portable"]:
            experts = (ways.ctypes.c_int32 * 2).from_address(args.expert_idx)
            experts[0], experts[1] = experts[1], experts[0]

    return run


def test_a_wrong_kernel_is_found_and_repeated_by_its_command(small, tmp_path, monkeypatch, capsys):
    wrong = swapped_in_one_version(compiled_kernel.run)
    monkeypatch.setattr("tests.kernels.kernel_calls.run", wrong)
    status, report = run(tmp_path, "--rows", "8e3", "--seed", "4")
    assert status == 1
    assert all(found["call"].startswith("kernel: ") for found in report["mismatches"])
    assert all("portable" in found["traceback"] for found in report["mismatches"])
    command = report["mismatches"][0]["command"]
    arguments = shlex.split(re.fullmatch(r'make soak SOAK="(.*)"', command)[1])
    capsys.readouterr()
    assert soak.main(arguments) == 1
    assert report["mismatches"][0]["call"] in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(calls, "ELEMENTS", 3000)
    monkeypatch.setattr(calls, "WAYS", dict.fromkeys(EAGER, 1))
    assert soak.main(arguments) == 0
    assert capsys.readouterr().out.endswith("right\n")


@pytest.mark.parametrize(
    ("way", "name", "break_it"),
    [
        ("cpu", "npu_moe_gating_top_k", lambda y, experts, scores: (y * 1.001, experts, scores)),
        ("npu", "npu_moe_gating_top_k", lambda y, experts, scores: (y, experts.flip(1), scores)),
        ("cpu, softmax", "npu_moe_gating_top_k_softmax", lambda y, experts, rows: (y, experts, rows + 1)),
        ("cpu, softmax_v2", "npu_moe_gating_top_k_softmax_v2", lambda y, experts, scores: (y.sqrt(), experts, scores)),
    ],
)
def test_each_way_finds_what_is_wrong(small, monkeypatch, way, name, break_it):
    monkeypatch.setattr(calls, "WAYS", {way: 1})
    right = getattr(public, name)
    monkeypatch.setattr(public, name, lambda *a, **k: break_it(*right(*a, **k)))
    report = soak.Report(0)
    for number in range(20):
        report.run(number)
    assert report.mismatches


@pytest.mark.parametrize("way", ["kernel, gradient", "kernel, hash routing"])
def test_the_kernels_other_calls_find_what_is_wrong(small, monkeypatch, way):
    monkeypatch.setattr(calls, "WAYS", {way: 1})
    right = compiled_kernel.run

    def wrong(args, threads):
        args.routed_scaling_factor *= 1.1
        right(args, threads)

    monkeypatch.setattr(compiled_kernel, "run", wrong)
    report = soak.Report(0)
    for number in range(10):
        report.run(number)
    assert report.mismatches


def test_a_call_depends_on_the_seed_and_its_number_alone():
    first, again, other = calls.draw(5, 17), calls.draw(5, 17), calls.draw(6, 17)
    assert first.describe() == again.describe() != other.describe()
    np.testing.assert_array_equal(first.x, again.x)
    assert first.rng.random() == again.rng.random()


def test_interrupted_it_reports_too(small, tmp_path, monkeypatch):
    draw = calls.draw

    def interrupted(seed, number):
        if number == 3:
            raise KeyboardInterrupt
        return draw(seed, number)

    monkeypatch.setattr(soak, "draw", interrupted)
    _, report = run(tmp_path, "--rows", "1e6")
    assert (report["calls"], report["ended"]) == (3, "interrupted in call 3")


def test_the_calls_reach_what_they_promise():
    """Shapes alone, of a hundred thousand rows."""
    drawn = [calls.draw(0, number) for number in range(150)]
    assert max(call.x.shape[1] for call in drawn) > 1500
    assert max(call.x.shape[0] for call in drawn) > 20_000
    assert {call.dtype for call in drawn} == {"float32", "float16", "bfloat16"}
