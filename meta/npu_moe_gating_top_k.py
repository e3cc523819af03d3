"""Shape inference of npu_moe_gating_top_k: fake and meta tensors, symbolic sizes included."""

from __future__ import annotations

import torch

from ascend_moe_gating.plugin.constraints import check


def npu_moe_gating_top_k(
    x: torch.Tensor,
    k: int,
    *,
    bias: torch.Tensor | None = None,
    input_ids: torch.Tensor | None = None,
    tid2eid: torch.Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results' shapes and dtypes; norm_out has its full shape with and without out_flag.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints C1 to C18.
    """
    check(
        x,
        k,
        bias,
        k_group,
        group_count,
        group_select_mode,
        renorm,
        norm_type,
        out_flag,
        routed_scaling_factor,
        eps,
        input_ids,
        tid2eid,
    )
    tokens, experts = x.shape
    return (
        x.new_empty((tokens, k)),
        x.new_empty((tokens, k), dtype=torch.int32),
        x.new_empty((tokens, experts), dtype=torch.float32),
    )
