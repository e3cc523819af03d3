"""npu_moe_gating_top_k_softmax on CPU tensors, of torch's own operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import SIGNATURE, check
from ascend_moe_gating.plugin.cpu import npu_moe_gating_top_k_softmax_v2 as second


@SIGNATURE.implementation
def npu_moe_gating_top_k_softmax(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The CPU kernel: that of the second version, and where in a list of the experts, rank by rank, each result lies.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints T1 to T5.
    """
    check(call)
    y, expert_idx, _ = second.choose(second.SIGNATURE.Call(call.x, k=call.k, finished=call.finished))
    return y, expert_idx, numbered_rows(expert_idx.shape, expert_idx.device)


def numbered_rows(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """row_idx of this shape, [..., k] int32."""
    columns = torch.arange(math.prod(shape), dtype=torch.int32, device=device).reshape(shape[-1], -1)
    return columns.t().reshape(shape).contiguous()
