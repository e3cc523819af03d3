"""The gradient of npu_moe_gating_top_k: of y, and with out_flag of norm_out."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.gradients import equations
from ascend_moe_gating.plugin.gradients.autograd import Formula, Run


def _choose(run: Run, call: Any) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    results = run(call)
    return results, results[1]


def _smooth(call: Any) -> tuple[bool, ...]:
    return True, False, bool(call.out_flag)  # without it norm_out is unspecified


def _weigh(call: Any, experts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y, norm_out = equations.weigh(call.x, experts, _weighing(call))
    return (y, norm_out) if call.out_flag else (y,)


def _gradient(
    call: Any, experts: torch.Tensor, grad_y: torch.Tensor | None, _: None, grad_norm_out: torch.Tensor | None
) -> torch.Tensor:
    return equations.gradient(call.x, experts, grad_y, grad_norm_out, _weighing(call))


def _weighing(call: Any) -> equations.Weighing:
    return equations.Weighing(call.renorm, call.norm_type, call.routed_scaling_factor, call.eps)


npu_moe_gating_top_k = Formula(_choose, _smooth, _weigh, _gradient)
