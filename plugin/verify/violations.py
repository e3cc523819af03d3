"""One or more broken calls per constraint, each with the message that a user reads."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Violation:
    label: str
    error: type[Exception]
    message: str
    shape: tuple[int, ...] = (4, 256)
    dtype: torch.dtype = torch.float32
    k: object = 8
    bias: object = None
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self, device: str = "cpu") -> tuple[torch.Tensor, Any, dict[str, Any]]:
        x = torch.zeros(self.shape, dtype=self.dtype).to(device)
        options = {"bias": self.bias, **self.options}
        return (
            x,
            self.k,
            {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in options.items()},
        )


def _grouped(count: int, **more: Any) -> dict[str, Any]:
    return {"group_count": count, **more}


def _routed(
    ids: tuple[int, ...] = (4,),
    table: tuple[int, ...] = (10, 8),
    ids_dtype: torch.dtype = torch.int64,
    table_dtype: torch.dtype = torch.int32,
    **more: Any,
) -> dict[str, Any]:
    return {"input_ids": torch.zeros(ids, dtype=ids_dtype), "tid2eid": torch.zeros(table, dtype=table_dtype), **more}


VIOLATIONS = (
    Violation("C1", ValueError, "x must have 2 dimensions (tokens, experts), got shape [256]", (256,)),
    Violation("C1", ValueError, "x must have 2 dimensions (tokens, experts), got shape [2, 2, 256]", (2, 2, 256)),
    Violation("C2", TypeError, "x must be float32, bfloat16 or float16, got int32", dtype=torch.int32),
    Violation("C3", ValueError, "x must have between 1 and 2048 experts (its last dimension), got 2049", (1, 2049)),
    Violation("C3", ValueError, "x must have between 1 and 2048 experts (its last dimension), got 0", (4, 0)),
    Violation(
        "C4", ValueError, "bias must have one dimension of 256 experts as x has, got shape [8]", bias=torch.zeros(8)
    ),
    Violation(
        "C4",
        ValueError,
        "bias must have one dimension of 256 experts as x has, got shape [1, 256]",
        bias=torch.zeros(1, 256),
    ),
    Violation(
        "C4", TypeError, "bias must have the dtype of x, float32, got float16", bias=torch.zeros(256).to(torch.float16)
    ),
    Violation("C4", TypeError, "bias must be a Tensor or None, got 0.5 of type float", bias=0.5),
    Violation("C4", TypeError, "bias must be a Tensor or None, got [0.5, 2] of type list", bias=[0.5, 2]),
    Violation("C4", TypeError, "bias must be a Tensor or None, got (0.5, [1.5]) of type tuple", bias=(0.5, [1.5])),
    Violation(
        "C5", ValueError, "group_count must be at least 1 and divide the 256 experts, got 7", options=_grouped(7)
    ),
    Violation(
        "C5", ValueError, "group_count must be at least 1 and divide the 256 experts, got 0", options=_grouped(0)
    ),
    Violation(
        "C6",
        ValueError,
        "x must have at least 2 experts for group_select_mode 1 (sum of the two largest), got 1",
        (4, 1),
        k=1,
        options={"group_select_mode": 1},
    ),
    Violation(
        "C7",
        ValueError,
        "group_count times the experts of a group rounded up to a multiple of 32 must be at most 2048 "
        "where groups are dropped, got 86 * 32 = 2752",
        (4, 258),
        k=1,
        options=_grouped(86),
    ),
    Violation(
        "C8",
        ValueError,
        "k_group must be between 1 and 8 (= group_count), got 9",
        options=_grouped(8, k_group=9),
    ),
    Violation("C8", ValueError, "k_group must be between 1 and 1 (= group_count), got 0", options={"k_group": 0}),
    Violation(
        "C9",
        ValueError,
        "k must be between 1 and 128 (= k_group * experts / group_count), got 200",
        k=200,
        options=_grouped(8, k_group=4),
    ),
    Violation("C9", ValueError, "k must be between 1 and 256 (= k_group * experts / group_count), got 0", k=0),
    Violation("C9", ValueError, "k must be between 1 and 256 (= k_group * experts / group_count), got -1", k=-1),
    Violation("C9", TypeError, "k must be an int, got 8.0 of type float", k=8.0),
    Violation(
        "C10",
        ValueError,
        "group_select_mode must be 0 (maximum) or 1 (sum of the two largest), got 2",
        options={"group_select_mode": 2},
    ),
    Violation(
        "C11",
        ValueError,
        "renorm must be 0 or 1 (a softmax's weights are divided by their sum too), got 2",
        options={"renorm": 2},
    ),
    Violation("C11", ValueError, "(a softmax's weights are divided by their sum too), got -1", options={"renorm": -1}),
    Violation(
        "C12",
        ValueError,
        "norm_type must be 0 (softmax), 1 (sigmoid) or 2 (sqrt of softplus), got 3",
        options={"norm_type": 3},
    ),
    Violation(
        "C14",
        ValueError,
        "input_ids and tid2eid must be given together, got only input_ids",
        options=_routed(tid2eid=None),
    ),
    Violation(
        "C14",
        ValueError,
        "input_ids and tid2eid must be given together, got only tid2eid",
        options=_routed(input_ids=None),
    ),
    Violation(
        "C15",
        ValueError,
        "input_ids must have one dimension of 4 tokens as x has, got shape [5]",
        options=_routed(ids=(5,)),
    ),
    Violation(
        "C15",
        ValueError,
        "input_ids must have one dimension of 4 tokens as x has, got shape [4, 1]",
        options=_routed(ids=(4, 1)),
    ),
    Violation("C15", TypeError, "input_ids must be int64 or int32, got int16", options=_routed(ids_dtype=torch.int16)),
    Violation(
        "C16", ValueError, "tid2eid must have 2 dimensions (ids, 8 = k), got shape [8]", options=_routed(table=(8,))
    ),
    Violation(
        "C16",
        ValueError,
        "tid2eid must have 2 dimensions (ids, 8 = k), got shape [10, 7]",
        options=_routed(table=(10, 7)),
    ),
    Violation(
        "C16", TypeError, "tid2eid must be int64 or int32, got float32", options=_routed(table_dtype=torch.float32)
    ),
    Violation(
        "C18",
        ValueError,
        "k_group must be 8 (= group_count) with input_ids and tid2eid, got 4",
        options=_routed(group_count=8, k_group=4),
    ),
)
