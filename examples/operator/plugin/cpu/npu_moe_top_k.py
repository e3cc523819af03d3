"""npu_moe_top_k on CPU tensors, of torch's own operations."""

from ascend_moe_gating.plugin.constraints.npu_moe_top_k import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_top_k(call):
    check(call)
    return tuple(call.x.topk(*call[1:]))
