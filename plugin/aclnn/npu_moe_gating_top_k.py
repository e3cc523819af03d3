"""npu_moe_gating_top_k on NPU tensors by a direct call of aclnnMoeGatingTopK, for hash routing of aclnnMoeGatingTopKV2.

torch_npu makes the same call where it has the operator. This one serves wheels without it, and whoever sets
ASCEND_MOE_GATING_ACLNN=1.
"""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.meta.npu_moe_gating_top_k import empty_results
from ascend_moe_gating.plugin.aclnn import cann
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The NPU kernel, asynchronous on the current stream of x's device.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints C1 to C18.
        NotImplementedError: hash routing was asked for, and this CANN is older than aclnnMoeGatingTopKV2.
        RuntimeError: a CANN entry point failed; the message names it, its status, CANN's own words, and what the call
            needs if this CANN does not take it.
    """
    check(call)
    results = empty_results(call)
    if call.input_ids is None:  # the first call is older than hash routing, and every CANN has it
        cann.call("aclnnMoeGatingTopK", SIGNATURE, call, results, ("input_ids", "tid2eid"), NEEDS)
    else:
        cann.call("aclnnMoeGatingTopKV2", SIGNATURE, call, results, needs=NEEDS)
    return results
