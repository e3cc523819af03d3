"""The judge: what is right passes, each kind of mistake is seen and shown, and near-ties are told from mistakes."""

import numpy
import pytest
import torch

from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.verify import asked, crossed
from ascend_moe_gating.plugin.verify.expected import expected
from ascend_moe_gating.plugin.verify.judge import judge
from ascend_moe_gating.plugin.verify.near_ties import possible
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, SOFTMAX_V2, Question
from ascend_moe_gating.plugin.verify.ulp import Distances, rounded, ulp

F32 = torch.float32


def answer(question, **instead):
    """The reference's answer, with other arguments perhaps."""
    tensors = {
        n: t.float().contiguous().numpy() if n in ("x", "bias") else t.numpy() for n, t in question.tensors.items()
    }
    function = getattr(reference, question.operator.removeprefix("npu_"))
    y, ids, third = function(**{**tensors, **question.numbers, **instead})
    third_dtype = torch.int32 if question.operator == SOFTMAX else F32
    results = (y, question.x.dtype), (ids, torch.int32), (third, third_dtype)
    return tuple(torch.from_numpy(numpy.ascontiguousarray(value)).to(dtype) for value, dtype in results)


def asked_for(x, k=2, bias=None, dtype=F32, **numbers):
    tensors = {"x": torch.tensor(x).to(dtype)}
    if bias is not None:
        tensors["bias"] = torch.tensor(bias).to(dtype)
    return Question(GATING, tensors, {"k": k, **numbers})


def test_the_references_answers_are_right_in_all_that_is_asked():
    tables = [crossed.questions(1), crossed.strided(1), asked.named(False), asked.routed(False)]
    tables += [asked.softmaxes(SOFTMAX, False), asked.softmaxes(SOFTMAX_V2, False)]
    questions = [later() for table in tables for later in table]
    for question in questions:
        if question.x.numel():
            outcome = judge(question, answer(question))
            assert (outcome.wrong, outcome.near_ties) == (0, 0), (str(question), outcome.mismatches)
    assert len(questions) > 200


def test_every_axis_is_met_in_a_quick_run():
    questions = [later() for later in crossed.questions(1)]
    numbers = [question.numbers for question in questions]
    assert {(n["norm_type"], n.get("renorm", 0)) for n in numbers} == {(0, 0), (1, 0), (0, 1), (2, 0), (1, 1)}
    for name, values in (("eps", {1e-20, 0.25, 1e-3, 0.0}), ("routed_scaling_factor", set(crossed.SCALES))):
        assert {n[name] for n in numbers} == values
    sizes = {question.x.shape[1] for question in questions}
    assert {1, 2, 2048} <= sizes
    assert any(1024 < size < 2048 for size in sizes)
    grouped = [q for q in questions if "group_count" in q.numbers]
    odd_and_mode = {(q.x.shape[1] // q.numbers["group_count"] % 2, q.numbers["group_select_mode"]) for q in grouped}
    assert odd_and_mode == {(0, 0), (0, 1), (1, 0), (1, 1)}
    groups = {(q.numbers["group_count"], q.x.shape[1] // q.numbers["group_count"]) for q in grouped}
    assert groups == set(crossed.GROUPS)
    every = [later() for later in crossed.questions(2)]
    assert {q.x.shape[1] for q in every if "group_count" not in q.numbers} == set(crossed.EXPERTS)


def test_questions_are_the_same_every_time():
    for first, second in zip(crossed.questions(1)[::7], crossed.questions(1)[::7], strict=True):
        one, other = first(), second()
        assert str(one) == str(other)
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor.nan_to_num(7), other.tensors[name].nan_to_num(7))


def test_a_dropped_group_that_counts_as_0_instead_of_minus_infinity():
    x = numpy.random.default_rng(0).normal(size=(20, 32)).astype(numpy.float32)
    question = asked_for(x, 8, bias=numpy.full(32, -3, numpy.float32), k_group=1, group_count=4, norm_type=1)
    y, ids, norm_out = answer(question)
    wrong = torch.arange(8).expand(20, 8).int()
    outcome = judge(question, (y, torch.where(ids >= 8, wrong, ids), norm_out))
    assert outcome.wrong > 10


@pytest.mark.parametrize("dtype", [F32, torch.float16, torch.bfloat16])
def test_a_weight_that_is_one_step_off_is_wrong_in_a_half_and_many_steps_in_float32(dtype):
    x = numpy.random.default_rng(1).normal(size=(5, 16)).astype(numpy.float32)
    question = asked_for(x, 4, dtype=dtype, norm_type=1)
    y, ids, norm_out = answer(question)
    for steps, allowed in ((1, dtype == F32), (60, False)):
        integers = y.view(torch.int32 if dtype == F32 else torch.int16).clone()
        integers[3, 2] += steps
        outcome = judge(question, (integers.view(dtype), ids, norm_out))
        assert (outcome.wrong == 0) == allowed
        if not allowed:
            (mismatch,) = outcome.mismatches
            assert (mismatch.result, mismatch.row) == ("y", 3)
            assert "1 of 4 weights are wrong, first in place 2" in mismatch.says


def test_of_equal_logits_only_the_lower_index_may_come_first():
    question = asked_for([[1.0, 3.0, 3.0, 0.0]], 1)
    y, ids, norm_out = answer(question)
    outcome = judge(question, (y, ids + 1, norm_out))
    assert (outcome.wrong, outcome.near_ties) == (1, 0)
    (mismatch,) = outcome.mismatches
    assert mismatch.says.startswith("of experts with the same logit and bias")
    shown = [(e.expert, e.logit, e.expected_place, e.place) for e in mismatch.experts]
    assert shown == [(1, 3.0, 0, -1), (2, 3.0, -1, 0)]


def near(x, swapped, **numbers):
    question = asked_for(x, 2, norm_type=1, **numbers)
    y, ids, norm_out = answer(question)
    if not swapped:
        return judge(question, (y, ids, norm_out))
    return judge(question, (y.flip(1), ids.flip(1), norm_out))


@pytest.mark.parametrize(("steps", "wrong", "near_ties"), [(1, 0, 1), (3, 0, 1), (100, 1, 0)])
def test_neighbouring_logits_may_be_ordered_otherwise_and_others_may_not(steps, wrong, near_ties):
    high = numpy.float32(1) + numpy.float32(2.0**-23 * steps)
    outcome = near([[0.0, 1.0, float(high)]], swapped=True)
    assert (outcome.wrong, outcome.near_ties) == (wrong, near_ties)


def test_a_device_that_returns_its_scores_has_no_excuse():
    high = float(numpy.float32(1) + numpy.float32(2.0**-21))
    outcome = near([[0.0, 1.0, high]], swapped=True, out_flag=True)
    assert outcome.wrong == 1
    assert "against the scores that it returns" in outcome.mismatches[0].says


def test_a_near_tie_of_groups():
    x = [[2.0, 0.0, 0.5, float(numpy.float32(2) + numpy.float32(2.0**-22)), 1.0, 0.6]]
    question = asked_for(x, 2, k_group=1, group_count=2, norm_type=1)
    assert answer(question)[1].tolist() == [[3, 4]]
    right = expected(question)
    assert possible(right, 0, numpy.array([0, 2]))
    assert not possible(right, 0, numpy.array([0, 1]))
    assert not possible(right, 0, numpy.array([3, 0]))


@pytest.mark.parametrize(
    ("ids", "fine"),
    [([2, 0, 3, 1], True), ([2, 0, 1, 3], True), ([2, 1, 0, 3], False), ([1, 2, 0, 3], False), ([0, 2, 3, 1], False)],
)
def test_nan_comes_behind_the_numbers_and_may_tie_with_minus_infinity(ids, fine):
    question = asked_for([[1.0, float("nan"), 2.0, -float("inf")]], 4, norm_type=1, bias=[0, 0, 0, -float("inf")])
    y, _, norm_out = answer(question)
    chosen = torch.tensor([ids], dtype=torch.int32)
    outcome = judge(question, (torch.full_like(y, float("nan")), chosen, norm_out))
    assert (outcome.wrong == 0) == fine, outcome.mismatches


def test_experts_that_do_not_exist_and_experts_twice():
    question = asked_for([[1.0, 2.0, 3.0]], 2)
    y, _, norm_out = answer(question)
    for ids, says in (([2, 3], "do not exist"), ([-1, 2], "do not exist"), ([2, 2], "twice")):
        outcome = judge(question, (y, torch.tensor([ids], dtype=torch.int32), norm_out))
        assert outcome.wrong == 1
        assert says in outcome.mismatches[0].says


def test_the_form_of_results():
    question = asked_for([[1.0, 2.0, 3.0]] * 2, 2, out_flag=True)
    y, ids, norm_out = answer(question)
    for results, says in (
        ((y[:1], ids, norm_out), "y: must be float32[2, 2], got float32[1, 2]"),
        ((y, ids.long(), norm_out), "expert_idx: must be int32[2, 2], got int64[2, 2]"),
        ((y.T.contiguous().T, ids, norm_out), "y: must be contiguous, got strides [1, 2]"),
    ):
        (mismatch,) = judge(question, results).mismatches
        assert f"{mismatch.result}: {mismatch.says}" == says


def test_row_idx_and_finished_tokens():
    tensors = {"x": torch.randn(3, 8), "finished": torch.tensor([True, False, False])}
    question = Question(SOFTMAX, tensors, {"k": 2})
    y, ids, row_idx = answer(question)
    assert judge(question, (y, ids, row_idx)).wrong == 0
    assert judge(question, (y, ids, row_idx + 1)).wrong == 3
    ids[0] = 7
    assert judge(question, (y, ids, row_idx)).wrong == 1


def test_ulp():
    values = numpy.array([1.0, 1.5, 2.0, 0.9, 0.0, 1e-45, numpy.inf])
    assert ulp(values).tolist() == [2.0**-23, 2.0**-23, 2.0**-22, 2.0**-24, 2.0**-149, 2.0**-149, 0.0]
    assert ulp(numpy.array([1.0, 6e-8]), torch.float16).tolist() == [2.0**-10, 2.0**-24]
    assert rounded(numpy.array([1.00390625, 1.01171875]), torch.bfloat16).tolist() == [1.0, 1.015625]
    distances = Distances()
    distances.add(numpy.array([0.2, 0.5, 5.0, 1e9]))
    assert (distances.number, distances.counts[0], distances.counts[1], distances.counts[-1]) == (4, 1, 1, 1)
    assert (distances.largest, distances.mean) == (1e9, pytest.approx(2.5e8, rel=1e-6))
