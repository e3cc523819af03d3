"""The GE converter of npu_moe_gating_top_k_softmax: one FX node becomes one MoeGatingTopKSoftmax node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ascend_moe_gating.converters.refusals import say_needs
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax import NEEDS, SIGNATURE, check

if TYPE_CHECKING:
    from torchair.ge import Tensor


@SIGNATURE.converter
def npu_moe_gating_top_k_softmax(call: Any) -> tuple[Tensor, Tensor, Tensor]:
    """npu::npu_moe_gating_top_k_softmax as the node MoeGatingTopKSoftmax.

    Where the CANN that is present does not take the call, its refusal of the graph says what is needed.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints T1 to T5.
    """
    from torchair._ge_concrete_graph import ge_apis as ge

    described = SIGNATURE.described(call)
    check(described)
    return say_needs(ge.MoeGatingTopKSoftmax(call.x, call.finished, k=call.k), described, NEEDS)
