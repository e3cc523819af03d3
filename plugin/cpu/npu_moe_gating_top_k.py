"""The operator on CPU tensors: allocate the results, run the compiled kernel.

For a torch without the C interface that plugin/cpu_dispatch.py needs; where it has one, plugin/cpu.cpp does the same.
"""

from __future__ import annotations

import torch

from ascend_moe_gating.plugin import kernel
from ascend_moe_gating.plugin.constraints import VALUES_LABEL, check

_DTYPES = {torch.float32: kernel.FLOAT32, torch.float16: kernel.FLOAT16, torch.bfloat16: kernel.BFLOAT16}


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
    """The CPU kernel; memory of norm_out is not touched without out_flag.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints C1 to C19.
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
    y = x.new_empty((tokens, k))
    expert_idx = x.new_empty((tokens, k), dtype=torch.int32)
    norm_out = x.new_empty((tokens, experts), dtype=torch.float32)
    arguments = kernel.Arguments(
        x=x.data_ptr(),
        x_row_stride=x.stride(0),
        x_column_stride=x.stride(1),
        bias=None if bias is None else bias.data_ptr(),
        bias_stride=0 if bias is None else bias.stride(0),
        tokens=tokens,
        experts=experts,
        k=k,
        k_group=k_group,
        group_count=group_count,
        group_select_mode=group_select_mode,
        renorm=renorm,
        norm_type=norm_type,
        routed_scaling_factor=routed_scaling_factor,
        eps=eps,
        dtype=_DTYPES[x.dtype],
        y=y.data_ptr(),
        expert_idx=expert_idx.data_ptr(),
        norm_out=norm_out.data_ptr() if out_flag else None,
    )
    if input_ids is not None and tid2eid is not None:
        arguments.input_ids, arguments.input_ids_int64 = input_ids.data_ptr(), input_ids.dtype == torch.int64
        arguments.tid2eid, arguments.tid2eid_int64 = tid2eid.data_ptr(), tid2eid.dtype == torch.int64
        (arguments.input_ids_stride,) = input_ids.stride()
        arguments.tid2eid_row_stride, arguments.tid2eid_column_stride = tid2eid.stride()
        arguments.vocabulary = tid2eid.shape[0]
        if stray := kernel.stray(arguments):
            raise ValueError(f"{stray} ({VALUES_LABEL})")
    kernel.run(arguments, torch.get_num_threads())
    return y, expert_idx, norm_out
