"""npu_moe_gating_top_k_softmax_v2 on CPU tensors, of torch's own operations."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k_softmax_v2(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The CPU kernel.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints S1 to S6.
    """
    check(call)
    return choose(call)


def choose(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results of a checked call."""
    x, k = call.x, call.k
    scores = x.float() if call.renorm else x.float().softmax(-1)
    ordered = scores.sort(dim=-1, descending=True, stable=True)
    weights, expert_idx = ordered.values[..., :k], ordered.indices[..., :k].int()
    if call.renorm:
        weights = weights.softmax(-1)
    if call.finished is not None:
        expert_idx.masked_fill_(call.finished.unsqueeze(-1), x.shape[-1])
    softmax_result = scores if call.output_softmax and not call.renorm else scores.new_empty(0)
    return weights.to(x.dtype).contiguous(), expert_idx.contiguous(), softmax_result.contiguous()
