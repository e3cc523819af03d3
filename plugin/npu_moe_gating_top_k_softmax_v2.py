"""The public function."""

from __future__ import annotations

import inspect

import torch
from torch.compiler import is_dynamo_compiling

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import SIGNATURE, check
from ascend_moe_gating.plugin.constraints.rules import check_keyword_only, check_types, nothing_to_do
from ascend_moe_gating.plugin.gradients.autograd import with_gradients_if_wanted


def npu_moe_gating_top_k_softmax_v2(
    x: torch.Tensor,
    *positional: object,
    k: int = 1,
    finished: torch.Tensor | None = None,
    renorm: int | None = 0,
    output_softmax: bool | None = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose the k experts of each token with the largest softmax, without groups or bias.

    On CPU and NPU tensors, in eager mode, under fake tensors and inside torch.compile; in all of them the constraints
    S1 to S7 are checked first. All arithmetic is in float32, the results are contiguous.

    Args:
        x: Router logits [tokens, experts] or [batch, tokens, experts], float16, bfloat16 or float32, any strides.
        k: Experts kept per token, 1 to the experts, at most 1024.
        finished: bool, the shape of x without experts, on the device of x: True for tokens that need no expert.
        renorm: 0: softmax over all experts, then the choice. 1: the choice, then softmax over the chosen. None is 0.
        output_softmax: Return the softmax over all experts too; without effect where renorm is 1. None is False.

    Returns:
        y [..., k] in the dtype of x, the weights, rounded once; expert_idx [..., k] int32, the experts in descending
        order of their softmax (renorm 0) or logit (renorm 1), the lower index first among equals, but the number of
        experts in all places of a finished token, whose y is as that of any other; softmax_result, float32, of the
        shape of x with renorm 0 and output_softmax, else of shape [0].

    Raises:
        ValueError: A shape, device or number breaks a constraint; the message names argument, rule, value and label.
        TypeError: A Python type or dtype does.
        RuntimeError: The device refused the call; the message carries what CANN said.

    Source: torch_npu's documentation of torch_npu.npu_moe_gating_top_k_softmax_v2; CANN's of
    aclnnMoeGatingTopKSoftmaxV2.
    """
    check_keyword_only(positional, "k", "S7")
    call = (x, k, finished, renorm, output_softmax)
    operator = torch.ops.npu.npu_moe_gating_top_k_softmax_v2.default
    if is_dynamo_compiling():  # as in npu_moe_gating_top_k, shape inference holds to the other constraints
        check_types(call, SIGNATURE.parameters)
        return operator(x, k=k, finished=finished, renorm=renorm, output_softmax=output_softmax)
    check(call)
    if nothing_to_do(x):
        softmax = x.float().clone() if output_softmax and not renorm else x.new_empty(0, dtype=torch.float32)
        y = x[..., :k].clone()
        return y, torch.empty_like(y, dtype=torch.int32), softmax
    with with_gradients_if_wanted(x):
        return operator(x, k=k, finished=finished, renorm=renorm, output_softmax=output_softmax)


# Documentation and editors show the signature of the contract; *positional is there for the message of S7.
_signature = inspect.signature(npu_moe_gating_top_k_softmax_v2)
npu_moe_gating_top_k_softmax_v2.__signature__ = _signature.replace(  # type: ignore[attr-defined]
    parameters=[p for p in _signature.parameters.values() if p.kind is not p.VAR_POSITIONAL]
)
