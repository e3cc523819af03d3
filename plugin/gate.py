"""The gate of a Mixture-of-Experts layer as a module: router, then the operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ascend_moe_gating.plugin.npu_moe_gating_top_k import npu_moe_gating_top_k


class MoEGate(nn.Module):
    """Routes hidden states to experts as DeepSeek-V3 does, and the models that vary it.

    The router runs in float32 whatever the hidden states are: in bfloat16 the bias loses most of its values and the
    choice changes.

    Args:
        hidden_size: Width of the hidden states.
        experts: Number of routed experts.
        k: Experts per token.
        bias: Whether there is a score correction bias that steers the choice (a float32 buffer, zero at first).
        k_group, group_count, group_select_mode, norm_type, routed_scaling_factor, eps: as in npu_moe_gating_top_k.

    Raises:
        ValueError: the parameters break one of the constraints of npu_moe_gating_top_k; raised by the first call.
    """

    def __init__(
        self,
        hidden_size: int,
        experts: int,
        k: int,
        *,
        bias: bool = True,
        k_group: int = 1,
        group_count: int = 1,
        group_select_mode: int = 1,
        norm_type: int = 1,
        routed_scaling_factor: float = 1.0,
        eps: float = 1e-20,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, hidden_size, dtype=torch.float32))
        nn.init.normal_(self.weight, std=hidden_size**-0.5)
        self.e_score_correction_bias: torch.Tensor | None
        correction = torch.zeros(experts, dtype=torch.float32) if bias else None
        self.register_buffer("e_score_correction_bias", correction)
        self.k = k
        self.gating: dict[str, Any] = {
            "k_group": k_group,
            "group_count": group_count,
            "group_select_mode": group_select_mode,
            "norm_type": norm_type,
            "routed_scaling_factor": routed_scaling_factor,
            "eps": eps,
        }

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states [..., hidden_size] of any float dtype to weights and experts.

        Returns:
            weights [tokens, k] float32 and expert_idx [tokens, k] int32, where tokens counts all leading dimensions.
        """
        tokens = hidden_states.reshape(-1, hidden_states.shape[-1])
        logits = nn.functional.linear(tokens.float(), self.weight.float())
        bias = None if self.e_score_correction_bias is None else self.e_score_correction_bias.float()
        weights, expert_idx, _ = npu_moe_gating_top_k(logits, self.k, bias=bias, **self.gating)
        return weights, expert_idx

    def extra_repr(self) -> str:
        """The parameters in the order of the constructor."""
        experts, hidden_size = self.weight.shape
        gating = ", ".join(f"{name}={value}" for name, value in self.gating.items())
        return f"hidden_size={hidden_size}, experts={experts}, k={self.k}, {gating}"
