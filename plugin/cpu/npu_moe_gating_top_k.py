"""npu_moe_gating_top_k on CPU tensors through Python: allocate the results, run the compiled kernel.

For a torch without the C interface that shim.h needs; where it has one, dispatch.cpp does the same.
"""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.meta.npu_moe_gating_top_k import empty_results
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE, VALUES_LABEL, check
from ascend_moe_gating.plugin.cpu import kernel

DTYPES = {torch.float32: kernel.FLOAT32, torch.float16: kernel.FLOAT16, torch.bfloat16: kernel.BFLOAT16}


@SIGNATURE.implementation
def npu_moe_gating_top_k(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The CPU kernel; memory of norm_out is not touched without out_flag.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints C1 to C19.
    """
    check(call)
    y, expert_idx, norm_out = empty_results(call)
    x, bias, input_ids, tid2eid = SIGNATURE.tensors(call).values()
    numbers = SIGNATURE.numbers(call)
    arguments = kernel.Arguments(
        x=x.data_ptr(),
        x_row_stride=x.stride(0),
        x_column_stride=x.stride(1),
        bias=None if bias is None else bias.data_ptr(),
        bias_stride=0 if bias is None else bias.stride(0),
        tokens=x.shape[0],
        experts=x.shape[1],
        dtype=DTYPES[x.dtype],
        y=y.data_ptr(),
        expert_idx=expert_idx.data_ptr(),
        norm_out=norm_out.data_ptr() if numbers.pop("out_flag") else None,
        **numbers,
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
