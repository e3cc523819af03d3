"""The gradient of npu_moe_gating_top_k_softmax_v2: of y, and of softmax_result where it is asked for."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.gradients import equations
from ascend_moe_gating.plugin.gradients.autograd import Formula, Run


def choose(run: Run, call: Any) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Finished tokens have weights, and so experts that were chosen: which ones only a call without them says."""
    results = run(call._replace(finished=None))
    y, experts, last = results
    if call.finished is None:
        return results, experts
    return (y, experts.masked_fill(call.finished.unsqueeze(-1), call.x.shape[-1]), last), experts


def _gives_softmax(call: Any) -> bool:
    return bool(call.output_softmax) and not call.renorm


def _smooth(call: Any) -> tuple[bool, ...]:
    return True, False, _gives_softmax(call)


def _weigh(call: Any, experts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y, softmax_result = equations.weigh(rows(call.x), rows(experts), _weighing(call))
    y = y.reshape(experts.shape)
    return (y, softmax_result.reshape(call.x.shape)) if _gives_softmax(call) else (y,)


def _gradient(
    call: Any, experts: torch.Tensor, grad_y: torch.Tensor | None, _: None, grad_softmax: torch.Tensor | None
) -> torch.Tensor:
    grad_y, grad_softmax = (None if grad is None else rows(grad) for grad in (grad_y, grad_softmax))
    return equations.gradient(rows(call.x), rows(experts), grad_y, grad_softmax, _weighing(call)).reshape(call.x.shape)


def _weighing(call: Any) -> equations.Weighing:
    """A softmax of the chosen logits is their scores, divided by their sum."""
    return equations.Weighing(renorm=call.renorm or 0, eps=0.0)


def rows(tensor: torch.Tensor) -> torch.Tensor:
    """With one dimension for all tokens."""
    return tensor.reshape(-1, tensor.shape[-1])


npu_moe_gating_top_k_softmax_v2 = Formula(choose, _smooth, _weigh, _gradient)
