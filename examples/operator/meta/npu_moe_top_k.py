"""Shape inference of npu_moe_top_k."""

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_top_k import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_top_k(call):
    check(call)
    return empty_results(call)


def empty_results(call):
    kept = (call.x.shape[0], call.k)
    return call.x.new_empty(kept), call.x.new_empty(kept, dtype=torch.int64)
