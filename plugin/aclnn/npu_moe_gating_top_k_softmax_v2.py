"""npu_moe_gating_top_k_softmax_v2 on NPU tensors by a direct call of aclnnMoeGatingTopKSoftmaxV2.

It serves wheels of torch_npu without the operator, up to 2.6, and whoever sets ASCEND_MOE_GATING_ACLNN=1.
"""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.meta.npu_moe_gating_top_k_softmax_v2 import empty_results
from ascend_moe_gating.plugin.aclnn import cann
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k_softmax_v2(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The NPU kernel, asynchronous on the current stream of x's device.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints S1 to S6.
        NotImplementedError: this CANN has no aclnnMoeGatingTopKSoftmaxV2.
        RuntimeError: a CANN entry point failed; the message names it, its status and CANN's own words.
    """
    check(call)
    results = empty_results(call)
    given = call._replace(renorm=call.renorm or 0, output_softmax=bool(call.output_softmax))
    cann.call("aclnnMoeGatingTopKSoftmaxV2", SIGNATURE, given, results)
    return results
