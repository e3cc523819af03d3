"""What is wrong with a choice of experts that is not the reference's, or why it may be right all the same."""

from __future__ import annotations

import numpy

from ascend_moe_gating.plugin.verify.expected import Expected
from ascend_moe_gating.plugin.verify.near_ties import keeps_what_is_promised_of_nan, possible, without_ties
from ascend_moe_gating.plugin.verify.question import Question
from ascend_moe_gating.plugin.verify.ulp import Array

_ANALYSED = 100  # wrong rows of a check: behind them all that differ count as wrong

_NO_EXPERT, _TWICE, _NOT_THESE = "names experts that do not exist", "chooses an expert twice", "must be others"
_OTHERWISE = "chooses or orders other experts, and the scores are further apart than the rounding of float32 may be"
_TIE = "of experts with the same logit and bias (or groups of such) the lower must come first, and does not"
_NAN = "NaN is not behind the numbers, or these are not in order"
NEAR = "orders experts otherwise whose scores are closer than the rounding of float32 may be"
_AGAINST_ITSELF = "orders experts, closer than the rounding of float32 may be, against the scores that it returns"
UNDETERMINED = "of NaN less is promised"
_ORDERS = (_OTHERWISE, _TIE, _NAN, _NO_EXPERT, _TWICE, _NOT_THESE, _AGAINST_ITSELF, NEAR, UNDETERMINED)


def sorted_by_kind(
    question: Question, right: Expected, ids: Array, wanted: Array, own: Expected | None
) -> tuple[dict[str, list[int]], Array]:
    """The rows of other experts than are wanted, by what is said of them, and which experts y is to be judged by.

    Args:
        own: What is expected by the scores that the device itself has returned, if it has: then their rounding is no
            excuse.
    """
    finished = question.tensors.get("finished")
    chosen = right.ids.copy()
    kinds: dict[str, list[int]] = {}
    analysed = 0
    for row in map(int, numpy.flatnonzero((ids != wanted).any(1))):
        kind = _unsound(ids[row], right.scores.exact.shape[1])
        if not kind:
            chosen[row] = ids[row]
        if "input_ids" in question.tensors or (finished is not None and finished.reshape(-1)[row]):
            kind = _NOT_THESE
        elif not kind:
            kind = _analysed(right, ids[row], row, own) if analysed < _ANALYSED else _OTHERWISE
            analysed += kind not in (NEAR, UNDETERMINED)
        kinds.setdefault(kind, []).append(row)
    return {kind: kinds[kind] for kind in _ORDERS if kind in kinds}, chosen


def _unsound(ids: Array, experts: int) -> str:
    if not ((ids >= 0) & (ids < experts)).all():
        return _NO_EXPERT
    return _TWICE if len(set(ids.tolist())) < len(ids) else ""


def _analysed(right: Expected, ids: Array, row: int, own: Expected | None) -> str:
    if numpy.isnan(right.choice.exact[row]).any():
        return UNDETERMINED if keeps_what_is_promised_of_nan(right, row, ids) else _NAN
    if not possible(right, row, ids):
        return _TIE if possible(without_ties(right), row, ids) else _OTHERWISE
    return NEAR if own is None or possible(own, row, ids) else _AGAINST_ITSELF
