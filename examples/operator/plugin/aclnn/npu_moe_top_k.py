"""npu_moe_top_k on NPU tensors by a direct call of aclnnTopk."""

from ascend_moe_gating.meta.npu_moe_top_k import empty_results
from ascend_moe_gating.plugin.aclnn import cann
from ascend_moe_gating.plugin.constraints.npu_moe_top_k import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_top_k(call):
    check(call)
    results = empty_results(call)
    cann.call("aclnnTopk", SIGNATURE, call, results)
    return results
