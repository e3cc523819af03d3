"""Checks as they are made here, on the stand-in as another CANN, with faults, and with an older torch_npu."""

import json
from dataclasses import asdict

import pytest

from ascend_moe_gating import simulator
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.verify.checks import Device, check_answer
from ascend_moe_gating.plugin.verify.crossed import questions
from ascend_moe_gating.plugin.verify.outcome import Outcome
from ascend_moe_gating.plugin.verify.page import page
from ascend_moe_gating.plugin.verify.paths import NPU_PATHS, Path
from ascend_moe_gating.plugin.verify.plan import Plan
from ascend_moe_gating.plugin.verify.report import Report
from tests.programs import on_stand_in

pytestmark = pytest.mark.stand_in
PATHS = {path.key: path for path in NPU_PATHS}


def made(key, *groups, path=None):
    """The report of these groups of a quick run of one path."""
    report = Report(mode="quick", device="npu", stand_in=True)
    plan = Plan(Device("npu"), [path or PATHS[key]], quick=True)
    for what, why in plan.not_run:
        report.leave_out(what, why)
    for check in plan.checks:
        if check.group in groups:
            report.add(check.path, check.group, asdict(check.run(lambda words: None)), 0.0)
    report.end("complete")
    return report


def surprises(report):
    return [refusal for refusal in report.refusals if not refusal["as_expected"]]


@pytest.mark.parametrize(
    ("cann", "soc", "need"),
    [
        ("8.3", "Ascend910B1", "a group of 1 or 2 experts needs CANN 8.5"),
        ("8.5.0", "Ascend910_9391", "renorm=1 needs CANN 9.0"),
        ("newest", "Ascend950PR_9579", "x with more than 2048 experts needs CANN 8.0 on Atlas A2 and A3"),
    ],
)
def test_another_cann_refuses_more_and_that_is_expected(cann, soc, need):
    with simulator.release(cann, soc):
        report = made("aclnn", "cases", "crossed", "repetition", "softmax")
    assert report.verdict == "all as expected", (report.mismatches, surprises(report))
    assert any(need in refusal["expected"] for refusal in report.refusals)


def test_where_norm_type_2_is_taken_it_is_judged():
    with simulator.release(soc="Ascend950PR_9579"):
        report = made("eager", "crossed")
    assert report.exit_code == 0
    assert not any("norm_type=2" in refusal["expected"] for refusal in report.refusals)
    assert report.total("rows") > made("eager", "crossed").total("rows") + 500


def test_a_cann_that_takes_what_the_tables_say_it_does_not(monkeypatch):
    need = "renorm=1 needs a CANN of 2030"
    monkeypatch.setattr("ascend_moe_gating.plugin.verify.question.missing", lambda call, needs: need)
    report = made("eager", "softmax")
    assert report.exit_code == 1
    (taken,) = surprises(report)
    assert (taken["refused"], taken["expected"], taken["count"] > 8) == (False, need, True)
    assert f"Taken, but expected to be refused: {taken['count']}" in page(report)


def test_a_cann_that_refuses_what_it_should_take_is_quoted():
    with simulator.fault("aclnnMoeGatingTopKGetWorkspaceSize", 561103, occurrence=0):
        report = made("aclnn", "cases")
    assert report.exit_code == 1
    (refusal,) = surprises(report)
    assert (refusal["expected"], refusal["refused"], refusal["count"] > 20) == ("to be taken", True, True)
    assert "aclnnMoeGatingTopKGetWorkspaceSize returned 561103" in refusal["words"]
    assert "aclnnMoeGatingTopKGetWorkspaceSize returned 561103" in page(report)


def test_a_run_that_fails_on_the_device_is_quoted():
    with simulator.fault("aclnnMoeGatingTopK", 507015, when="run", occurrence=3):
        report = made("eager", "cases")
    (refusal,) = surprises(report)
    assert (refusal["count"], refusal["refused"]) == (1, True)
    assert report.exit_code == 1


CAPTURES = """
import ascend_moe_gating
from ascend_moe_gating.plugin.verify.paths import captured
ascend_moe_gating.waits = lambda x: (torch.tensor(x.sum().item(), device="npu"),)
for operator in ("waits", "npu_moe_gating_top_k_softmax"):
    try:
        print(captured(operator, {"k": 2} if operator != "waits" else {})({"x": torch.ones(1, 4).npu()})[0].tolist())
    except RuntimeError as error:
        print(str(error).replace("\\n", " "))
"""


@pytest.mark.needs("captured graphs")
def test_a_capture_behind_one_that_failed():
    failed, *then = on_stand_in(CAPTURES).stdout.splitlines()[-2:]
    assert "captur" in failed
    refused = "an earlier capture failed, and this torch_npu refuses every later one in the process"
    assert then in (["[[0.25, 0.25]]"], [refused])


def test_an_older_torch_npu_has_no_hash_routing_and_the_report_says_so(monkeypatch):
    monkeypatch.setattr(SIGNATURE, "absent", ("input_ids", "tid2eid"))
    plan = Plan(Device("npu"), NPU_PATHS, quick=True)
    reasons = {left.what: left.why for left in plan.not_run if left.what.endswith("hash routing")}
    lacks = "the installed torch_npu defines npu_moe_gating_top_k without input_ids and tid2eid"
    assert reasons == {
        f"{PATHS[key].title}: hash routing": lacks for key in ("eager", "ops", "static", "dynamic", "captured")
    }
    routed = {check.path for check in plan.checks if check.group == "hash routing"}
    assert routed == {"direct aclnn call"}
    left_out = {left.what for left in plan.not_run if left.why == "the installed torch_npu has no hash routing"}
    assert {what.partition(": ")[0] for what in left_out} == {PATHS[key].title for key in ("ops", "static", "dynamic")}


def test_a_call_that_writes_to_its_logits_is_wrong():
    def make(operator, numbers):
        right = PATHS["eager"].make(operator, numbers)

        def spoils(tensors):
            results = right(tensors)
            tensors["x"][:1] = 0
            return results

        return spoils

    report = made("", "cases", path=Path("spoils", "spoils its input", make))
    assert "the call has written to x" in report.mismatches[0]["says"]


@pytest.mark.parametrize("group", ["gradients", "constraints"])
def test_a_path_that_forgets_is_found(group):
    """A gradient that is doubled, and a constraint that is not checked."""

    def make(operator, numbers):
        right = PATHS["eager"].make(operator, numbers)
        if group == "constraints":
            return lambda tensors: None
        return lambda tensors: tuple(r * 2 if r.requires_grad else r for r in right(tensors))

    report = made("", group, path=Path("eager", "forgets", make))
    assert report.total("wrong") >= 15, report.tallies
    assert report.exit_code == 1


def test_a_refusal_that_does_not_say_what_is_needed_is_wrong():
    def refuses(operator, numbers):
        def call(tensors):
            raise RuntimeError("561002")

        return call

    path = Path("terse", "terse", refuses)
    question = next(q for q in (later() for later in questions(1)) if q.numbers["norm_type"] == 2)
    outcome = check_answer(Device("npu"), path, lambda question: refuses("", {}), question)
    assert "does not say what is needed: norm_type=2" in outcome.mismatches[0].says


def test_the_json_has_no_number_that_json_does_not_know():
    experts = [{"logit": float("nan"), "score": float("-inf")}]
    report = Report()
    report.add("a", "b", {**asdict(Outcome(rows=1)), "mismatches": [{**MISMATCH, "experts": experts}]}, 0)
    text = json.dumps(report.as_json(), allow_nan=False)
    assert '"logit": "NaN", "score": "-Infinity"' in text


MISMATCH = {"call": "f(x)", "result": "y", "says": "wrong", "near_tie": False, "row": 0}
