"""The public function."""

from __future__ import annotations

import torch
from torch.compiler import is_dynamo_compiling

from ascend_moe_gating.plugin.constraints.needs import missing, with_needs
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import NEEDS, SIGNATURE, check
from ascend_moe_gating.plugin.constraints.rules import check_types, nothing_to_do
from ascend_moe_gating.plugin.gradients.autograd import with_gradients_if_wanted


def npu_moe_gating_top_k_softmax(
    x: torch.Tensor, finished: torch.Tensor | None = None, k: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose the k experts of each token with the largest softmax, and number the results rank by rank.

    The older of two operators: npu_moe_gating_top_k_softmax_v2 renormalizes and returns the softmax. On CPU and NPU
    tensors, in eager mode, under fake tensors and inside torch.compile; in all of them the constraints T1 to T5 are
    checked first. All arithmetic is in float32, the results are contiguous.

    Args:
        x: Router logits [tokens, experts] or [batch, tokens, experts], float16, bfloat16 or float32, any strides; on
            950 at most 2048 experts.
        finished: bool, the shape of x without experts, on the device of x: True for tokens that need no expert.
        k: Experts kept per token, 1 to the experts, at most 1024.

    Returns:
        y [..., k] in the dtype of x, the weights, rounded once; expert_idx [..., k] int32, the experts in descending
        order of their softmax, the lower index first among equals, but the number of experts in all places of a
        finished token, whose y is as that of any other; row_idx [..., k] int32, row + column * rows, with as many rows
        as x has tokens in all.

    Raises:
        ValueError: A shape, device or number breaks a constraint; the message names argument, rule, value and label.
        TypeError: A Python type or dtype does.
        RuntimeError: The device refused the call; the message carries what CANN said, and what it needs to be taken.

    Source: torch_npu's documentation of torch_npu.npu_moe_gating_top_k_softmax; CANN's of aclnnMoeGatingTopKSoftmax.
    """
    call = (x, finished, k)
    operator = torch.ops.npu.npu_moe_gating_top_k_softmax.default
    if is_dynamo_compiling():  # as in npu_moe_gating_top_k, shape inference holds to the other constraints
        check_types(call, SIGNATURE.parameters)
        return operator(x, finished, k)
    check(call)
    if nothing_to_do(x):
        y = x[..., :k].clone()
        return y, torch.empty_like(y, dtype=torch.int32), torch.empty_like(y, dtype=torch.int32)
    try:
        with with_gradients_if_wanted(x):
            return operator(x, finished, k)
    except RuntimeError as error:
        if lacking := missing(SIGNATURE.in_numbers(call), NEEDS):
            raise with_needs(error, lacking) from error
        raise
