"""Shape inference of npu_moe_gating_top_k: fake and meta tensors, symbolic sizes included."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results' shapes and dtypes.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints C1 to C18.
    """
    check(call)
    return empty_results(call)


def empty_results(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results of a checked call, to be written; norm_out has its full shape with and without out_flag."""
    x, (tokens, experts) = call.x, call.x.shape
    return (
        x.new_empty((tokens, call.k)),
        x.new_empty((tokens, call.k), dtype=torch.int32),
        x.new_empty((tokens, experts), dtype=torch.float32),
    )
