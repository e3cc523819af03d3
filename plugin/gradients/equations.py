"""Weights of experts that are chosen already, and their gradient with respect to the logits, in torch's operations.

Logits are x [tokens, experts], the chosen ones experts [tokens, k], any integers, repeated or not. Arithmetic is in
float32, of float64 logits in float64. Every operation is one that torchair converts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ascend_moe_gating.plugin.constraints.norm_types import SIGMOID, SOFTMAX
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import MAX_EXPERTS

_LINEAR = 20.0  # above it softplus(x) is x
_FAR = -17.0  # below it softplus(x) is exp(x) to float32's last bit, and sqrt(softplus(x)) is exp(x / 2)


class Weighing(NamedTuple):
    """How the operator makes weights of scores: its arguments of these names."""

    renorm: int = 0
    norm_type: int = SOFTMAX
    routed_scaling_factor: float = 1.0
    eps: float = 1e-20

    @property
    def divides(self) -> bool:
        return self.renorm != 0 or self.norm_type != SOFTMAX


def scores_of(x: torch.Tensor, norm_type: int) -> torch.Tensor:
    """Step 1, of logits that are wide enough."""
    if norm_type == SOFTMAX:
        return x.softmax(-1)
    if norm_type == SIGMOID:
        return x.sigmoid()
    # Neither branch may overflow: where the other is taken its gradient is multiplied by 0.
    curved = x.clamp(_FAR, _LINEAR).exp().log1p()  # for softplus torchair has no converter
    near = torch.where(x > _LINEAR, x.clamp(min=_LINEAR), curved).sqrt()
    return torch.where(x < _FAR, (x.clamp(max=0) / 2).exp(), near)


def weigh(x: torch.Tensor, experts: torch.Tensor, how: Weighing) -> tuple[torch.Tensor, torch.Tensor]:
    """y and norm_out, as differentiable as torch's operations are."""
    scores = scores_of(_wide(x), how.norm_type)
    chosen = scores.gather(1, experts.long())
    if how.divides:
        chosen = chosen / (chosen.sum(1, keepdim=True) + how.eps)
    return (chosen * how.routed_scaling_factor).to(x.dtype), scores


def gradient(
    x: torch.Tensor,
    experts: torch.Tensor,
    grad_y: torch.Tensor | None,
    grad_scores: torch.Tensor | None,
    how: Weighing,
) -> torch.Tensor:
    """The gradient with respect to x of y and norm_out; None stands for a gradient of zeros.

    On the CPU by the compiled kernel, unless this is to be differentiated again, or has more experts than it takes: a
    softmax may.
    """
    kernel_takes = x.dtype != torch.float64 and x.shape[1] <= MAX_EXPERTS
    if x.device.type == "cpu" and kernel_takes and not torch.is_grad_enabled():
        kernel = torch.ops.ascend_moe_gating.npu_moe_gating_top_k_gradient.default
        return kernel(x, experts, grad_y, grad_scores, *how)
    wide, experts = _wide(x), experts.long()
    chosen_x = wide.gather(1, experts)
    scores = scores_of(wide, SOFTMAX) if how.norm_type == SOFTMAX else None
    chosen = scores_of(chosen_x, how.norm_type) if scores is None else scores.gather(1, experts)
    if grad_y is None:
        grad_chosen = torch.zeros_like(chosen)
    else:
        grad_chosen = _wide(grad_y) * how.routed_scaling_factor
        if how.divides:
            total = chosen.sum(1, keepdim=True) + how.eps
            grad_chosen = (grad_chosen - (grad_chosen * chosen).sum(1, keepdim=True) / total) / total
    if scores is not None:
        grad = torch.zeros_like(wide) if grad_scores is None else grad_scores
        grad = grad.scatter_add(1, experts, grad_chosen)
        return (scores * (grad - (scores * grad).sum(1, keepdim=True))).to(x.dtype)
    grad = torch.zeros_like(wide).scatter_add(1, experts, grad_chosen * _slope(chosen_x, chosen, how.norm_type))
    if grad_scores is not None:
        grad = grad + grad_scores * _slope(wide, scores_of(wide, how.norm_type), how.norm_type)
    return grad.to(x.dtype)


def _slope(x: torch.Tensor, score: torch.Tensor, norm_type: int) -> torch.Tensor:
    """The derivative of a score that depends on its own logit alone."""
    if norm_type == SIGMOID:
        return score * (-x).sigmoid()  # 1 - score would be 0 too early
    near = x.sigmoid() / (2 * score.clamp(min=1e-4))
    return torch.where(x < _FAR, score / 2, near)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()
