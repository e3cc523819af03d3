"""Shape inference of npu_moe_gating_top_k_softmax: fake and meta tensors, symbolic sizes included."""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import SIGNATURE, check


@SIGNATURE.implementation
def npu_moe_gating_top_k_softmax(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results' shapes and dtypes.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints T1 to T5.
    """
    check(call)
    return empty_results(call)


def empty_results(call: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results of a checked call, to be written."""
    x, kept = call.x, (*call.x.shape[:-1], call.k)
    return x.new_empty(kept), x.new_empty(kept, dtype=torch.int32), x.new_empty(kept, dtype=torch.int32)
