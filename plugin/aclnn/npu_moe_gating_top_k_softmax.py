"""npu_moe_gating_top_k_softmax on NPU tensors by a direct call of aclnnMoeGatingTopKSoftmax.

It serves whoever sets ASCEND_MOE_GATING_ACLNN=1.
"""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.meta.npu_moe_gating_top_k_softmax import empty_results
from ascend_moe_gating.plugin.aclnn import cann
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import NEEDS, SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k_softmax(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The NPU kernel, asynchronous on the current stream of x's device.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints T1 to T5.
        RuntimeError: a CANN entry point failed; the message names it, its status, CANN's own words, and what the call
            needs if this CANN does not take it.
    """
    check(call)
    results = empty_results(call)
    cann.call("aclnnMoeGatingTopKSoftmax", SIGNATURE, call, results, needs=NEEDS)
    return results
