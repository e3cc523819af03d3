"""Judges an answer: which rows are wrong, and which only order near-ties otherwise."""

from __future__ import annotations

from typing import Any

import numpy
import torch

from ascend_moe_gating.plugin.constraints.rules import name_of
from ascend_moe_gating.plugin.verify.choice import NEAR, UNDETERMINED, sorted_by_kind
from ascend_moe_gating.plugin.verify.expected import Expected, by_own_scores, expected, weights
from ascend_moe_gating.plugin.verify.outcome import MISMATCHES_OF_A_CHECK, Accuracy, Mismatch, Outcome
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, Question
from ascend_moe_gating.plugin.verify.rows import described
from ascend_moe_gating.plugin.verify.ulp import Array, Distances, rounded, ulp

RESULTS = {GATING: ("y", "expert_idx", "norm_out"), SOFTMAX: ("y", "expert_idx", "row_idx")}
_V2_RESULTS = ("y", "expert_idx", "softmax_result")
_SENSIBLE = 64  # ULP: what is less certain says nothing about accuracy


class _Judged:
    """An answer while it is looked at, result by result."""

    def __init__(self, question: Question, results: tuple[torch.Tensor, ...]) -> None:
        self.question, self.call = question, str(question)
        self.names = RESULTS.get(question.operator, _V2_RESULTS)
        self.results = results
        self.outcome = Outcome(rows=question.x[..., 0].numel())
        self.wrong = numpy.zeros(self.outcome.rows, bool)
        self.near = numpy.zeros(self.outcome.rows, bool)

    def note(self, result: str, rows: Array, says: Any, near_tie: bool = False, **shown: Any) -> None:
        """Count these rows, and show the first of them; `says` is a function of the row."""
        (self.near if near_tie else self.wrong)[rows] = True
        for row in rows[: MISMATCHES_OF_A_CHECK if result == "expert_idx" else 1]:
            experts = described(self.question, int(row), **shown) if shown else []
            self.outcome.mismatches.append(Mismatch(self.call, result, says(row), near_tie, int(row), experts))

    def measure(self, result: str, dtype: torch.dtype, actual: Array, exact: Array, tolerance: Array) -> None:
        unit = ulp(exact, dtype)
        clear = numpy.isfinite(actual) & (unit > 0) & (tolerance < _SENSIBLE * ulp(exact))
        distances = Distances()
        distances.add(numpy.abs(actual - exact)[clear] / unit[clear])
        if distances.number:
            plain = Accuracy(result, name_of(dtype), distances.counts, distances.largest, distances.total)
            self.outcome.accuracies.append(plain)


def judge(question: Question, results: tuple[torch.Tensor, ...]) -> Outcome:
    """Results on the CPU, as they came from a device."""
    judged = _Judged(question, results)
    if wrong_form := _form(question, judged.names, results):
        return judged.outcome.fails(judged.call, *wrong_form)
    if question.x.numel() == 0:
        judged.outcome.rows = 1  # that it was answered, in the right form
        return judged.outcome
    right = expected(question)
    ids = results[1].numpy().reshape(right.ids.shape)
    with numpy.errstate(all="ignore"):
        third = results[2].numpy()
        if question.operator == SOFTMAX:
            _judge_row_numbers(judged, third.reshape(right.ids.shape))
        elif third.size and question.writes_scores:
            _judge_scores(judged, right, third.reshape(right.scores.exact.shape))
        own = None
        if question.operator == GATING and question.writes_scores:
            own = by_own_scores(right, question, third)
        chosen = _judge_choice(judged, right, ids, own)
        _judge_weights(judged, right, results[0].double().numpy().reshape(ids.shape), chosen)
    outcome = judged.outcome
    outcome.wrong, outcome.near_ties = int(judged.wrong.sum()), int((judged.near & ~judged.wrong).sum())
    return outcome


def _form(question: Question, names: tuple[str, ...], results: tuple[torch.Tensor, ...]) -> tuple[str, str] | None:
    """The result whose shape, dtype or strides are wrong, and how."""
    x, k = question.x, question.number("k")
    numbers = question.numbers
    third = (*x.shape[:-1], k if question.operator == SOFTMAX else x.shape[-1])
    if question.operator not in RESULTS and (numbers.get("renorm") or not numbers.get("output_softmax")):
        third = (0,)
    integers = torch.int32 if question.operator == SOFTMAX else torch.float32
    wanted = [((*x.shape[:-1], k), x.dtype), ((*x.shape[:-1], k), torch.int32), (third, integers)]
    for name, result, (shape, dtype) in zip(names, results, wanted, strict=True):
        if (tuple(result.shape), result.dtype) != (tuple(shape), dtype):
            return name, f"must be {name_of(dtype)}{list(shape)}, got {name_of(result.dtype)}{list(result.shape)}"
        if not result.is_contiguous():
            return name, f"must be contiguous, got strides {list(result.stride())}"
    return None


def _judge_row_numbers(judged: _Judged, row_idx: Array) -> None:
    right = numpy.arange(row_idx.size).reshape(row_idx.shape[::-1]).T
    rows = numpy.flatnonzero((row_idx != right).any(1))
    judged.note("row_idx", rows, lambda row: f"must be {right[row].tolist()[:8]}, got {row_idx[row].tolist()[:8]}")


def _judge_scores(judged: _Judged, right: Expected, scores: Array) -> None:
    exact, tolerance = right.scores
    result = judged.names[2]
    rows = numpy.flatnonzero(_outside(scores, exact, tolerance, torch.float32).any(1))

    def says(row: int) -> str:
        column = int(numpy.flatnonzero(_outside(scores[row], exact[row], tolerance[row], torch.float32))[0])
        count = int(_outside(scores[row], exact[row], tolerance[row], torch.float32).sum())
        return (
            f"{count} of {scores.shape[1]} scores are wrong, first of expert {column}: {scores[row, column]!s} for "
            f"{exact[row, column]:.9g}{_distance(scores[row, column], exact[row, column])}"
        )

    judged.note(result, rows, says)
    judged.measure(result, torch.float32, scores.astype(numpy.float64), exact, tolerance)


def _judge_choice(judged: _Judged, right: Expected, ids: Array, own: Expected | None) -> Array:
    """Note rows of other experts than the reference's. Returns which experts y is to be judged by."""
    question, experts = judged.question, right.scores.exact.shape[1]
    wanted = right.ids
    if (finished := question.tensors.get("finished")) is not None:
        wanted = numpy.where(finished.numpy().reshape(-1, 1), experts, right.ids)
    kinds, chosen = sorted_by_kind(question, right, ids, wanted, own)
    judged.outcome.undetermined += len(kinds.pop(UNDETERMINED, []))
    for kind, rows in kinds.items():
        judged.note(
            "expert_idx", numpy.array(rows, int), lambda row, kind=kind: kind, kind == NEAR,
            right=right, ids=ids, wanted=wanted,
        )  # fmt: skip
    return chosen


def _judge_weights(judged: _Judged, right: Expected, y: Array, chosen: Array) -> None:
    x = judged.question.x.float().numpy().reshape(-1, judged.question.x.shape[-1])
    dtype = judged.question.x.dtype
    exact, tolerance = weights(right, x, chosen)
    judged.outcome.undetermined += int(numpy.isinf(tolerance).any(1).sum())
    wrong = _outside(y, exact, tolerance, dtype)
    rows = numpy.flatnonzero(wrong.any(1))

    def says(row: int) -> str:
        place = int(numpy.flatnonzero(wrong[row])[0])
        return (
            f"{int(wrong[row].sum())} of {y.shape[1]} weights are wrong, first in place {place}: {y[row, place]:.9g} "
            f"for {exact[row, place]:.9g}{_distance(y[row, place], exact[row, place], dtype)}"
        )

    judged.note("y", rows, says, right=right, ids=chosen, wanted=chosen, exact=exact, y=y)
    judged.measure("y", dtype, y, exact, tolerance)


def _outside(actual: Array, exact: Array, tolerance: Array, dtype: torch.dtype) -> Array:
    """Where a value lies outside of what the tolerance allows, once that is rounded to the dtype."""
    low, high = rounded(exact - tolerance, dtype), rounded(exact + tolerance, dtype)
    inside = (actual >= low) & (actual <= high)
    return ~numpy.where(numpy.isnan(exact), numpy.isnan(actual), inside | numpy.isinf(tolerance))


def _distance(actual: float, exact: float, dtype: torch.dtype = torch.float32) -> str:
    unit = float(ulp(numpy.array(exact), dtype))
    if not unit or not numpy.isfinite(actual):
        return ""
    return f", {abs(float(actual) - exact) / unit:.3g} ULP of {name_of(dtype)} away"
