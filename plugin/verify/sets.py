"""Sets of questions that one compiled or captured function answers: the same numbers, other tensors."""

from __future__ import annotations

import functools
from typing import Any

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE
from ascend_moe_gating.plugin.verify import asked
from ascend_moe_gating.plugin.verify.crossed import COMBINATIONS, Later, numbers_of, question
from ascend_moe_gating.plugin.verify.question import SOFTMAX, SOFTMAX_V2

_KINDS = ("normal", "rows of every finite kind", "ties", "rows of every kind", "apart")
_DYNAMIC_TOKENS = (5, 33, 2, 4100, 130)


def sets(some: int, dynamic: bool) -> list[list[Later]]:
    """So many sets of npu_moe_gating_top_k, spread over all combinations; of any number of tokens, or of one."""
    step = 37  # shares no factor with the 90 combinations
    chosen: list[list[Later]] = []
    for turn in range(some):
        dtype, scores, grouping, biased = COMBINATIONS[turn * step % len(COMBINATIONS)]
        experts, numbers = numbers_of(turn, turn, scores, grouping)
        tokens = _DYNAMIC_TOKENS if dynamic else ((48, 48), (1, 1), (17, 17), (2500, 2500))[turn % 4]
        chosen.append(
            [
                functools.partial(
                    question, number, _varied(experts, numbers, place) if dynamic else experts, dtype, numbers,
                    _KINDS[(turn + place) % len(_KINDS)], bias=("normal", "ties")[place % 2] if biased else None,
                )
                for place, number in enumerate(tokens)
                if number * experts < 2**21
            ]
        )  # fmt: skip
    return chosen


def _varied(experts: int, numbers: dict[str, Any], place: int) -> int:
    """Another number of experts for the same numbers of a dynamic graph, where there are no groups."""
    grown = experts + 19 * (place % 3)
    return grown if "group_count" not in numbers and experts > 1 and grown <= 2048 else experts


def others(some: int) -> list[list[Later]]:
    """Sets of one question: hash routing where it is there, and the two operators of a softmax."""
    tables = [asked.softmaxes(SOFTMAX, False)[:some], asked.softmaxes(SOFTMAX_V2, False)[1 : 1 + some]]
    if not SIGNATURE.absent:
        tables.append(asked.routed(False)[:some])
    return [[later] for table in tables for later in table]
