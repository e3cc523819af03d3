"""Shape inference of npu_moe_gating_top_k_softmax_v2: fake and meta tensors, symbolic sizes included."""

from __future__ import annotations

import torch

from ascend_moe_gating.plugin.softmax_v2 import check


def npu_moe_gating_top_k_softmax_v2(
    x: torch.Tensor,
    *,
    k: int = 1,
    finished: torch.Tensor | None = None,
    renorm: int | None = 0,
    output_softmax: bool | None = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The results' shapes and dtypes; torch_npu's own is wrong where x has 3 dimensions and the softmax is asked for.

    Raises:
        ValueError, TypeError: the arguments break one of the constraints S1 to S6.
    """
    check(x, k, finished, renorm, output_softmax)
    kept = (*x.shape[:-1], k)
    return (
        x.new_empty(kept),
        x.new_empty(kept, dtype=torch.int32),
        x.new_empty(x.shape if output_softmax and not renorm else (0,), dtype=torch.float32),
    )
