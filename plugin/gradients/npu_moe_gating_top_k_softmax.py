"""The gradient of npu_moe_gating_top_k_softmax: of y."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.gradients import equations
from ascend_moe_gating.plugin.gradients.autograd import Formula
from ascend_moe_gating.plugin.gradients.npu_moe_gating_top_k_softmax_v2 import choose, rows

_PLAIN = equations.Weighing()


def _weigh(call: Any, experts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y, _ = equations.weigh(rows(call.x), rows(experts), _PLAIN)
    return (y.reshape(experts.shape),)


def _gradient(call: Any, experts: torch.Tensor, grad_y: torch.Tensor, *_: None) -> torch.Tensor:
    return equations.gradient(rows(call.x), rows(experts), rows(grad_y), None, _PLAIN).reshape(call.x.shape)


npu_moe_gating_top_k_softmax = Formula(choose, lambda call: (True, False, False), _weigh, _gradient)
