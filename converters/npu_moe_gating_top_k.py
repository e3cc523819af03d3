"""The GE converter of npu_moe_gating_top_k: one FX node becomes one MoeGatingTopK node."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ascend_moe_gating.converters.refusals import say_needs
from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k import NEEDS, SIGNATURE, check

if TYPE_CHECKING:
    from torchair.ge import Tensor


@SIGNATURE.converter
def npu_moe_gating_top_k(call: Any) -> tuple[Tensor, Tensor, Tensor]:
    """npu::npu_moe_gating_top_k as the node MoeGatingTopK; a bias of None is an unfed optional input.

    The node's inputs and attributes have the names of the parameters.

    Where the CANN that is present does not take the call, its refusal of the graph says what is needed.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints C1 to C18. Shape inference says so earlier, but
            for what a pass has changed since.
        NotImplementedError: hash routing was asked for, and the installed torchair's node has none.
    """
    from torchair._ge_concrete_graph import ge_apis as ge

    described = SIGNATURE.described(call)
    check(described)
    given = call._asdict()
    if "input_ids" not in inspect.signature(ge.MoeGatingTopK).parameters:
        if call.input_ids is not None or call.tid2eid is not None:
            raise NotImplementedError("the installed torchair's MoeGatingTopK has no hash routing (input_ids, tid2eid)")
        del given["input_ids"], given["tid2eid"]
    return say_needs(ge.MoeGatingTopK(given.pop("x"), given.pop("bias"), **given), described, NEEDS)
