"""A row that differs, in numbers: the experts around the choice, with logits, biases, scores, places and weights."""

from __future__ import annotations

import numpy

from ascend_moe_gating.plugin.verify.expected import Expected
from ascend_moe_gating.plugin.verify.outcome import Expert
from ascend_moe_gating.plugin.verify.question import Question
from ascend_moe_gating.plugin.verify.ulp import Array

_AROUND = 10  # experts


def described(
    question: Question,
    row: int,
    right: Expected,
    ids: Array,
    wanted: Array,
    exact: Array | None = None,
    y: Array | None = None,
) -> list[Expert]:
    """The experts at and around the first place that differs: of the order, or with y of the weights."""
    experts = right.scores.exact.shape[1]
    places, wanted_places = _places(ids[row], experts), _places(wanted[row], experts)
    differs = ids[row] != wanted[row] if y is None or exact is None else ~numpy.isclose(y[row], exact[row], 1e-6, 0)
    first = int(numpy.argmax(differs))
    begin = max(first - 2, 0)
    named = [*wanted[row, begin : begin + _AROUND // 2], *ids[row, begin : begin + _AROUND // 2]]
    x = question.x.float().numpy().reshape(-1, experts)[row]
    bias = question.tensors.get("bias")
    shown = []
    for expert in list(dict.fromkeys(int(expert) for expert in named if 0 <= expert < experts))[:_AROUND]:
        place = places.get(expert, -1)
        weighed = y is not None and exact is not None and place >= 0
        shown.append(
            Expert(
                expert, float(x[expert]), None if bias is None else float(bias[expert]),
                float(right.scores.exact[row, expert]), float(right.choice.exact[row, expert]),
                wanted_places.get(expert, -1), place,
                float(exact[row, place]) if weighed and exact is not None else None,
                float(y[row, place]) if weighed and y is not None else None,
            )
        )  # fmt: skip
    return shown


def _places(ids: Array, experts: int) -> dict[int, int]:
    """The first place of each expert."""
    return {expert: place for place, expert in reversed(list(enumerate(ids.tolist()))) if 0 <= expert < experts}
