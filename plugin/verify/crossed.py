"""Calls of npu_moe_gating_top_k: every way to score, to group and to bias, crossed with the dtypes; sizes take turns,
values, strides and the other numbers are drawn.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.rules import name_of
from ascend_moe_gating.plugin.verify.cases import DTYPES
from ascend_moe_gating.plugin.verify.question import GATING, Question
from ascend_moe_gating.plugin.verify.values import BIASES, LAYOUTS, LOGITS, bias_of, logits, seeded

SCORES: tuple[dict[str, Any], ...] = (  # softmax, sigmoid, softmax divided by its sum, sqrt(softplus), ...
    {"norm_type": 0},
    {"norm_type": 1},
    {"norm_type": 0, "renorm": 1},
    {"norm_type": 2},
    {"norm_type": 1, "renorm": 1},
)
EXPERTS = (
    256, 7, 64, 1, 160, 2048, 33, 128, 2, 384, 17, 1025, 3, 512, 100, 2047, 31, 257, 1536, 8, 127, 72, 5, 768, 16, 1280,
    129, 320, 1023, 48, 255, 640, 513, 96, 1999, 192,
)  # fmt: skip
GROUPS = (  # group_count, experts of a group
    (8, 32), (5, 9), (2, 3), (24, 3), (16, 16), (7, 21), (64, 32), (8, 20), (3, 100), (12, 6), (2, 1024), (9, 15),
    (8, 3), (32, 2), (11, 31), (4, 33), (8, 256), (3, 5), (16, 64), (6, 1), (32, 64), (5, 51), (4, 7), (8, 8),
)  # fmt: skip
TOKENS = (17, 33, 1, 64, 7, 65, 2, 130, 16, 257, 3, 40)
SCALES = (1.0, 2.5, 16.0, 0.3)
EPSILONS = (1e-20, 0.25, 1e-3, 0.0)
MANY_TOKENS = ((4096, 256), (2500, 64), (9001, 32), (70001, 8), (20000, 60), (3001, 160))
GROUPINGS = ("none", "maximum", "two largest")
COMBINATIONS = tuple(itertools.product(DTYPES, SCORES, GROUPINGS, (False, True)))
_MIXED = ("rows of every kind", "rows of every finite kind")


Later = Callable[[], Question]  # its tensors are made when it is asked


def questions(each: int) -> list[Later]:
    """For each of the 90 combinations of score, grouping, bias and dtype this many calls."""
    asked: list[Later] = []
    places = {grouping: itertools.count() for grouping in GROUPINGS}
    for dtype, scores, grouping, biased in COMBINATIONS:
        for _ in range(each):
            given = (len(asked), next(places[grouping]), dtype, scores, grouping, biased)
            asked.append(functools.partial(_question, *given))
    return asked


def _question(
    turn: int, place: int, dtype: torch.dtype, scores: dict[str, Any], grouping: str, biased: bool
) -> Question:
    draw = _Draw("question", turn)
    experts, numbers = numbers_of(turn, place, scores, grouping)
    mixed = draw.of((True, True, False))
    kind = draw.of(_MIXED) if mixed else tuple(LOGITS)[turn % len(LOGITS)]
    tokens = draw.of((48, 17, 33, 80)) if mixed and experts <= 512 else draw.of(TOKENS)
    layout = draw.of(tuple(LAYOUTS)) if draw.of((True, False, False)) else "contiguous"
    bias = draw.of(tuple(BIASES)) if biased else None
    return question(tokens, experts, dtype, numbers, kind, layout, bias)


def numbers_of(turn: int, place: int, scores: dict[str, Any], grouping: str) -> tuple[int, dict[str, Any]]:
    """The number of experts, which is that of this place in the tables, and all numbers of a call."""
    draw = _Draw("numbers", turn)
    options: dict[str, Any] = {}
    if grouping == "none":
        experts = most = EXPERTS[place % len(EXPERTS)]
    else:
        count, size = GROUPS[place % len(GROUPS)]
        k_group = max(1, draw.of((count // 2, 1, count - 1, count, (count + 1) // 2)))
        experts, most = count * size, k_group * size
        options = {"k_group": k_group, "group_count": count, "group_select_mode": int(grouping == "two largest")}
    k = max(1, min(most, draw.of((8, 1, 6, most, 3, most // 2, 32, 2))))
    others = {"out_flag": draw.of((True, False)), "routed_scaling_factor": draw.of(SCALES), "eps": draw.of(EPSILONS)}
    return experts, {"k": k, **options, **scores, **others}


class _Draw:
    """Seeded choices."""

    def __init__(self, *words: object) -> None:
        self._rng = seeded(*words)

    def of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._rng.integers(len(choices)))]


def question(
    tokens: int,
    experts: int,
    dtype: torch.dtype,
    numbers: dict[str, Any],
    kind: str = "normal",
    layout: str = "contiguous",
    bias: str | None = None,
) -> Question:
    """One call, whose seed is made of all that is given here."""
    rng = seeded(tokens, experts, name_of(dtype), sorted(numbers.items()), kind, layout, bias)
    x = LAYOUTS[layout](torch.from_numpy(logits(kind, tokens, experts, rng)).to(dtype))
    tensors = {"x": x}
    notes = [f"logits: {kind}"]
    if bias is not None:
        values = torch.from_numpy(bias_of(bias, experts, rng)).to(dtype)
        tensors["bias"] = values if layout == "contiguous" else LAYOUTS["every second column"](values[None])[0]
        notes.append(f"bias: {bias}")
    if layout != "contiguous":
        notes.append(f"x is {layout}")
    return Question(GATING, tensors, numbers, ", ".join(notes))


def smooth() -> list[Later]:
    """For gradients: each combination, with logits from which none is far."""
    return [
        functools.partial(_smooth, turn, dtype, scores, grouping, biased)
        for turn, (dtype, scores, grouping, biased) in enumerate(COMBINATIONS)
    ]


def _smooth(turn: int, dtype: torch.dtype, scores: dict[str, Any], grouping: str, biased: bool) -> Question:
    experts, numbers = numbers_of(turn, turn, scores, grouping)
    return question(9, experts, dtype, numbers, bias="normal" if biased else None)


def strided(some: int) -> list[Later]:
    """Each layout, which ends in another way to read a row, of rows long and short."""
    sizes = ((40, 256, 8), (9, 72, 6), (33, 1100, 5), (65, 17, 3))
    asked: list[Later] = []
    for turn, (layout, dtype, scores) in enumerate(itertools.product(LAYOUTS, DTYPES, SCORES[:2])):
        for tokens, experts, k in sizes[:some]:
            numbers = {"k": k, **scores, "out_flag": turn % 3 != 0}
            bias = (None, "normal")[turn % 2]
            kind = "rows of every finite kind"
            asked.append(functools.partial(question, tokens, experts, dtype, numbers, kind, layout, bias))
    return asked


def many_tokens(some: int) -> list[Later]:
    """So many tokens that they are shared out in several rounds."""
    asked: list[Later] = []
    for turn, (tokens, experts) in enumerate(MANY_TOKENS[:some]):
        for dtype, scores in itertools.product(DTYPES, SCORES[: 1 + (some > 2)]):
            numbers = {"k": min(8, experts // 2), **scores, "out_flag": turn % 2 == 1}
            if turn % 2 == 0:
                numbers |= {"k_group": 2, "group_count": 4, "group_select_mode": 1, "norm_type": 1}
            kind, bias = ("normal", "ties")[turn % 2], (None, "normal")[turn % 2]
            asked.append(functools.partial(question, tokens, experts, dtype, numbers, kind, bias=bias))
    return asked
