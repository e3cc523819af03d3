"""The GE converter of npu_moe_gating_top_k: one FX node becomes one MoeGatingTopK node."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

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

    The node takes x, bias, input_ids and tid2eid in this order, as torchair's own converter gives them to it.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints C1 to C18. Shape inference says so earlier
            where torch allows the plugin's own; here it holds for every torch.
        NotImplementedError: hash routing was asked for, and the installed torchair's node has none.
    """
    from torchair._ge_concrete_graph import ge_apis as ge

    def meta(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.meta

    check(
        x.meta,
        k,
        meta(bias),
        k_group,
        group_count,
        group_select_mode,
        renorm,
        norm_type,
        out_flag,
        routed_scaling_factor,
        eps,
        meta(input_ids),
        meta(tid2eid),
    )
    hash_routing = {"input_ids": input_ids, "tid2eid": tid2eid}
    accepted = inspect.signature(ge.MoeGatingTopK).parameters
    if "input_ids" not in accepted:
        if input_ids is not None or tid2eid is not None:
            raise NotImplementedError("the installed torchair's MoeGatingTopK has no hash routing (input_ids, tid2eid)")
        hash_routing = {}
    return ge.MoeGatingTopK(
        x,
        bias,
        **hash_routing,
        k=k,
        k_group=k_group,
        group_count=group_count,
        group_select_mode=group_select_mode,
        renorm=renorm,
        norm_type=norm_type,
        out_flag=out_flag,
        routed_scaling_factor=routed_scaling_factor,
        eps=eps,
    )
