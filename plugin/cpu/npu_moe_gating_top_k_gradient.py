"""npu_moe_gating_top_k_gradient, an operator of this package: the compiled backward kernel for CPU tensors.

An operator, so that what traces, counts or fakes tensors sees it.
"""

from __future__ import annotations

import torch

from ascend_moe_gating.plugin.cpu import kernel
from ascend_moe_gating.plugin.cpu.npu_moe_gating_top_k import DTYPES

SCHEMA = (
    "npu_moe_gating_top_k_gradient(Tensor x, Tensor expert_idx, Tensor? grad_y, Tensor? grad_norm_out, int renorm, "
    "int norm_type, float routed_scaling_factor, float eps) -> Tensor"
)


def npu_moe_gating_top_k_gradient(
    x: torch.Tensor,
    expert_idx: torch.Tensor,
    grad_y: torch.Tensor | None,
    grad_norm_out: torch.Tensor | None,
    renorm: int,
    norm_type: int,
    routed_scaling_factor: float,
    eps: float,
) -> torch.Tensor:
    """The gradient with respect to x [tokens, experts], contiguous.

    Args:
        x: Logits of the call.
        expert_idx: [tokens, k] int32, the experts that it chose.
        grad_y: [tokens, k] in the dtype of x, grad_norm_out: [tokens, experts] float32; None for zeros.
        renorm, norm_type, routed_scaling_factor, eps: of the call.

    Raises:
        RuntimeError: expert_idx names an expert that does not exist.
    """
    grad_x = empty_gradient(x)
    kept = [None if t is None else t.contiguous() for t in (expert_idx, grad_y, grad_norm_out)]  # until it has run
    pointers = [None if t is None else t.data_ptr() for t in kept]
    arguments = kernel.GradientArguments(
        x.data_ptr(), *x.stride(), *pointers, grad_x.data_ptr(), *x.shape, expert_idx.shape[1],
        renorm, norm_type, routed_scaling_factor, eps, DTYPES[x.dtype],
    )  # fmt: skip
    kernel.run(arguments, torch.get_num_threads())
    return grad_x


def empty_gradient(x: torch.Tensor, *_: object) -> torch.Tensor:
    """Shape inference, and the result to be written."""
    return torch.empty_like(x, memory_format=torch.contiguous_format)
