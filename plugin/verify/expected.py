"""What a question's answer has to be: the reference's choice, and scores and weights in float64 with the rounding that
a device may have in float32.

The scores of a device may be off by SCORE_ULPS units in the last place of float32, for the exponential and the
division; those of a softmax by one more for each doubling of the experts in its sum, and by the rounding of
x - max(x), which the exponential makes larger. Below float32's smallest normal number a device may answer 0.
Everything else follows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy

from ascend_moe_gating.plugin import reference
from ascend_moe_gating.plugin.verify.question import GATING, Question
from ascend_moe_gating.plugin.verify.ulp import SMALLEST_NORMAL, Array, ulp

SCORE_ULPS = 4.0


class Scores(NamedTuple):
    """float64 [tokens, experts], and how far a device may be from them."""

    exact: Array
    tolerance: Array


class Expected(NamedTuple):
    """Rows are tokens, of all batches. `ids` is the reference's choice, `choice` what it orders, bias included."""

    ids: Array
    scores: Scores
    choice: Scores
    values: Array  # [tokens, experts, 1 or 2]: experts of equal values tie
    k_group: int
    group_count: int
    group_select_mode: int
    divided: bool
    scale: float
    eps: float
    logits_too: bool  # the scores of what is chosen are a softmax of those logits alone


def expected(question: Question) -> Expected:
    """For questions with at least one token and expert."""
    x = question.x.float().contiguous().numpy().reshape(-1, question.x.shape[-1])  # sums depend on strides
    with numpy.errstate(all="ignore"):
        if question.operator == GATING:
            return _of_gating(question, x)
        return _of_softmax(question, x)


def _of_gating(question: Question, x: Array) -> Expected:
    tensors = {name: tensor.numpy() for name, tensor in question.tensors.items() if name in ("input_ids", "tid2eid")}
    bias = question.tensors.get("bias")
    bias32 = None if bias is None else bias.float().numpy()
    numbers = dict(question.numbers)
    _, ids, _ = reference.moe_gating_top_k(x, numbers.pop("k"), bias=bias32, **tensors, **numbers)
    call = question.call
    scores = scores_of(x, call.norm_type)
    choice, values = scores, x[:, :, None].astype(numpy.float64)
    if bias32 is not None:
        biased = scores.exact + bias32
        choice = Scores(biased, scores.tolerance + ulp(biased) / 2)
        values = numpy.stack(numpy.broadcast_arrays(values[:, :, 0], bias32.astype(numpy.float64)), 2)
    k_group, group_count = call.k_group, call.group_count
    if not k_group < group_count < x.shape[1]:  # then no group is dropped
        k_group = group_count = 1
    return Expected(
        ids, scores, choice, values, k_group, group_count, call.group_select_mode,
        reference.divides(call.norm_type, call.renorm),
        float(numpy.float32(call.routed_scaling_factor)), float(numpy.float32(call.eps)), False,
    )  # fmt: skip


def _of_softmax(question: Question, x: Array) -> Expected:
    """Finished tokens too have weights, and so experts that were chosen."""
    renorm = bool(question.numbers.get("renorm"))
    _, ids, _ = reference.moe_gating_top_k_softmax_v2(x, k=question.number("k"), renorm=int(renorm))
    scores = scores_of(x, 0)
    choice = Scores(x.astype(numpy.float64), numpy.zeros_like(x, numpy.float64)) if renorm else scores
    return Expected(ids, scores, choice, x[:, :, None].astype(numpy.float64), 1, 1, 0, False, 1.0, 0.0, renorm)


def scores_of(x: Array, norm_type: int) -> Scores:
    """Of float32 logits."""
    exact = reference.normalize(x.astype(numpy.float64), norm_type)
    tolerance = numpy.maximum(SCORE_ULPS * ulp(exact), SMALLEST_NORMAL)
    if norm_type == 0:
        apart = (x.max(axis=1, keepdims=True) - x.astype(numpy.float64)) * 2.0**-24
        tolerance = tolerance + math.ceil(math.log2(x.shape[1])) * ulp(exact) + exact * numpy.where(exact > 0, apart, 0)
    return Scores(exact, numpy.where(numpy.isfinite(x) & numpy.isfinite(exact), tolerance, 0))


def weights(expected: Expected, x: Array, ids: Array) -> Scores:
    """What y has to be for these experts, before it is rounded to the dtype of x. Infinite tolerance: it is not
    determined, as where a sum of float32 may be 0.
    """
    with numpy.errstate(all="ignore"):
        scores = expected.scores
        if expected.logits_too:
            scores, ids = (
                scores_of(numpy.take_along_axis(x, ids, 1), 0),
                numpy.broadcast_to(numpy.arange(ids.shape[1]), ids.shape),
            )
        exact = reference.weigh(scores.exact, ids, expected.divided, expected.scale, expected.eps)
        tolerance = numpy.take_along_axis(scores.tolerance, ids, 1)
        if expected.divided:
            chosen = numpy.take_along_axis(scores.exact, ids, 1)
            total = chosen.sum(1, keepdims=True) + expected.eps
            total_tolerance = tolerance.sum(1, keepdims=True)
            tolerance = tolerance / total + chosen / total * (total_tolerance / total)
            tolerance = numpy.where(total > 4 * total_tolerance, tolerance, numpy.inf)
        tolerance = tolerance * abs(expected.scale) + (2 + math.ceil(math.log2(ids.shape[1]))) * ulp(exact)
        return Scores(exact, numpy.where(numpy.isnan(tolerance), 0, tolerance))


def by_own_scores(right: Expected, question: Question, scores: Array) -> Expected:
    """The same where the choice has to follow from scores of float32 that the device itself has returned."""
    bias = question.tensors.get("bias")
    choice = (scores if bias is None else scores + bias.float().numpy()).astype(numpy.float64)
    return right._replace(choice=Scores(choice, numpy.zeros_like(choice)), values=choice[:, :, None])
