"""A question to a device: a call of one operator, its tensors on the CPU. Paths answer it, and the answer is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints import (
    npu_moe_gating_top_k,
    npu_moe_gating_top_k_softmax,
    npu_moe_gating_top_k_softmax_v2,
)
from ascend_moe_gating.plugin.constraints.needs import missing
from ascend_moe_gating.plugin.constraints.rules import name_of

GATING, SOFTMAX, SOFTMAX_V2 = OPERATORS = (
    "npu_moe_gating_top_k",
    "npu_moe_gating_top_k_softmax",
    "npu_moe_gating_top_k_softmax_v2",
)
CONSTRAINTS: dict[str, Any] = {
    GATING: npu_moe_gating_top_k,
    SOFTMAX: npu_moe_gating_top_k_softmax,
    SOFTMAX_V2: npu_moe_gating_top_k_softmax_v2,
}


@dataclass(frozen=True)
class Question:
    """`tensors` are those of the operator's schema that are given, `numbers` its other arguments."""

    operator: str
    tensors: dict[str, torch.Tensor]
    numbers: dict[str, Any]
    note: str = ""  # what the values and strides are

    @property
    def x(self) -> torch.Tensor:
        return self.tensors["x"]

    @property
    def call(self) -> Any:
        return CONSTRAINTS[self.operator].Call(**self.tensors, **self.numbers)

    @property
    def writes_scores(self) -> bool:
        """Whether the third result is specified, of the operators that give scores there."""
        if self.operator == GATING:
            return bool(self.numbers.get("out_flag"))
        return bool(self.numbers.get("output_softmax")) and not self.numbers.get("renorm")

    def lacking(self) -> str:
        """What of it the CANN that is present is known not to take, in words, or nothing."""
        return missing(self.call, CONSTRAINTS[self.operator].NEEDS)

    def number(self, name: str) -> Any:
        return getattr(self.call, name)

    def __str__(self) -> str:
        return f"{written(self.operator, self.tensors, self.numbers)}{self.note and f'; {self.note}'}"


def written(operator: str, tensors: dict[str, Any], numbers: dict[str, Any]) -> str:
    """A call as one would write it, with the dtype and shape of each tensor."""
    x, *others = tensors.items()
    given = [_shown(*x)]
    given += [f"{name}={value}" for name, value in numbers.items()]
    given += [_shown(*other) for other in others]
    return f"{operator}({', '.join(given)})"


def _shown(name: str, value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"{name}={value}"
    return f"{name}: {name_of(value.dtype)}{list(value.shape)}"
