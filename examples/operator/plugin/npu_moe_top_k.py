"""The public function."""

import torch
from torch.compiler import is_dynamo_compiling

from ascend_moe_gating.plugin.constraints.npu_moe_top_k import check
from ascend_moe_gating.plugin.gradients.autograd import with_gradients_if_wanted


def npu_moe_top_k(x, k, dim=-1, largest=True, sorted=True):
    """The k largest logits of each token [tokens, k] in the dtype of x, and their experts [tokens, k] int64."""
    operator = torch.ops.npu.npu_moe_top_k.default
    if is_dynamo_compiling():  # shape inference holds the call to the constraints
        return operator(x, k, dim, largest, sorted)
    check((x, k, dim, largest, sorted))
    with with_gradients_if_wanted(x):
        return operator(x, k, dim, largest, sorted)
