"""The tables of calls as questions."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch

from ascend_moe_gating.plugin.verify import cases, routing_cases, softmax_cases
from ascend_moe_gating.plugin.verify.cases import DTYPES
from ascend_moe_gating.plugin.verify.crossed import Later
from ascend_moe_gating.plugin.verify.question import GATING, SOFTMAX, SOFTMAX_V2, Question
from ascend_moe_gating.plugin.verify.values import LAYOUTS, logits, seeded

_SOFTMAX_KINDS = ("normal", "ties", "equal", "far", "large", "denormal", "-inf")


def named(every_dtype: bool) -> list[Later]:
    """The calls of models, and those at the ends of what is allowed; in every dtype, or in turns."""
    return _later(_named, cases.CASES, every_dtype)


def routed(every_dtype: bool) -> list[Later]:
    """Hash routing."""
    return [*_later(_routed, routing_cases.CASES, every_dtype), *_later(_routed, _MOST_ROUTED, every_dtype)]


_MOST_ROUTED = (routing_cases.Case("more experts than the 950 takes", 3, 128, 65, 9),)


def softmaxes(operator: str, every_dtype: bool) -> list[Later]:
    """Of either operator of a softmax: the cases, and all kinds of finite logits, ties and -inf."""
    table = [case for case in softmax_cases.CASES if operator == SOFTMAX_V2 or not case.options]
    table.append(softmax_cases.Case("more experts than the 950 takes of the first operator", (2, 2049), 4))
    asked = _later(functools.partial(_softmax, operator), table, every_dtype)
    renorms = (0,) if operator == SOFTMAX else (0, 1)
    for turn, (kind, renorm) in enumerate(itertools.product(_SOFTMAX_KINDS, renorms)):
        for dtype in DTYPES if every_dtype else (DTYPES[turn % 3],):
            asked.append(functools.partial(_softmax_of, operator, kind, renorm, turn, dtype))
    return asked


def smooth_softmaxes() -> list[Later]:
    """For gradients: without batches, as the written-out weights have none."""
    table = [case for case in softmax_cases.CASES if len(case.shape) == 2 and case.shape[0] and not case.finished]
    of_first = [case for case in table if not case.options]
    return [
        *_later(functools.partial(_softmax, SOFTMAX), of_first, False),
        *_later(functools.partial(_softmax, SOFTMAX_V2), table, False),
    ]


def _later(make: Any, table: Any, every_dtype: bool) -> list[Later]:
    return [
        functools.partial(make, case, dtype)
        for turn, case in enumerate(table)
        for dtype in (DTYPES if every_dtype else (DTYPES[turn % 3],))
    ]


def _given(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _named(case: cases.Case, dtype: torch.dtype) -> Question:
    x, bias = case.inputs(dtype)
    return Question(GATING, _given(x=x, bias=bias), {"k": case.k, **case.options}, f"case: {case.name}")


def _routed(case: routing_cases.Case, dtype: torch.dtype) -> Question:
    x, bias = case.inputs(dtype)
    ids, table = case.routing()
    tensors = _given(x=x, bias=bias, input_ids=ids, tid2eid=table)
    return Question(GATING, tensors, {"k": case.k, **case.options}, f"case: {case.name}")


def _softmax(operator: str, case: softmax_cases.Case, dtype: torch.dtype) -> Question:
    x, finished = case.inputs(dtype)
    return Question(operator, _given(x=x, finished=finished), {"k": case.k, **case.options}, f"case: {case.name}")


def _softmax_of(operator: str, kind: str, renorm: int, turn: int, dtype: torch.dtype) -> Question:
    experts, k = ((64, 6), (257, 8), (5, 5), (1100, 40))[turn % 4]
    rng = seeded(operator, kind, renorm, turn, str(dtype))
    layout = tuple(LAYOUTS)[turn % len(LAYOUTS)]
    x = LAYOUTS[layout](torch.from_numpy(logits(kind, 37, experts, rng)).to(dtype))
    options = {"renorm": renorm, "output_softmax": True} if operator == SOFTMAX_V2 else {}
    tensors = _given(x=x, finished=torch.from_numpy(rng.random(37) < 0.2) if turn % 2 else None)
    return Question(operator, tensors, {"k": k, **options}, f"logits: {kind}, x is {layout}")
