"""The GE converter of npu_moe_gating_top_k: one FX node becomes one MoeGatingTopK node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ascend_moe_gating.plugin.constraints import check

if TYPE_CHECKING:
    from torchair.ge import Tensor


def npu_moe_gating_top_k(
    x: Tensor,
    k: int,
    *,
    bias: Tensor | None = None,
    input_ids: Tensor | None = None,
    tid2eid: Tensor | None = None,
    k_group: int = 1,
    group_count: int = 1,
    group_select_mode: int = 0,
    renorm: int = 0,
    norm_type: int = 0,
    out_flag: bool = False,
    routed_scaling_factor: float = 1.0,
    eps: float = 1e-20,
    meta_outputs: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """npu::npu_moe_gating_top_k as the node MoeGatingTopK; a bias of None is an unfed optional input.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints C1 to C12. Shape inference says so earlier
            where torch allows the plugin's own; here it holds for every torch.
    """
    from torchair._ge_concrete_graph.compat_ir import ge_op
    from torchair.ge import attr

    check(
        x.meta,
        k,
        None if bias is None else bias.meta,
        k_group,
        group_count,
        group_select_mode,
        renorm,
        norm_type,
        out_flag,
        routed_scaling_factor,
        eps,
    )
    inputs = {"x": x, "bias": bias}
    if input_ids is not None:
        inputs |= {"input_ids": input_ids, "tid2eid": tid2eid}
    return ge_op(
        "MoeGatingTopK",
        inputs=inputs,
        attrs={
            "k": attr.Int(k),
            "k_group": attr.Int(k_group),
            "group_count": attr.Int(group_count),
            "group_select_mode": attr.Int(group_select_mode),
            "renorm": attr.Int(renorm),
            "norm_type": attr.Int(norm_type),
            "out_flag": attr.Bool(out_flag),
            "routed_scaling_factor": attr.Float(routed_scaling_factor),
            "eps": attr.Float(eps),
        },
        outputs=["y", "expert_idx", "out"],
    )


def register() -> None:
    """Make this the operator's converter; torchair must be imported, its own converters included."""
    from torchair import register_fx_node_ge_converter

    register_fx_node_ge_converter(torch.ops.npu.npu_moe_gating_top_k.default)(npu_moe_gating_top_k)
