"""The GE converter of npu_moe_gating_top_k_softmax_v2: one FX node becomes one MoeGatingTopKSoftmaxV2 node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ascend_moe_gating.plugin.constraints.npu_moe_gating_top_k_softmax_v2 import SIGNATURE, check

if TYPE_CHECKING:
    from torchair.ge import Tensor


@SIGNATURE.converter
def npu_moe_gating_top_k_softmax_v2(call: Any) -> tuple[Tensor, Tensor, Tensor]:
    """npu::npu_moe_gating_top_k_softmax_v2 as the node MoeGatingTopKSoftmaxV2.

    torchair's own converter makes the node of the first version, which does not take these arguments: TypeError.

    Raises:
        ValueError, TypeError: the call breaks one of the constraints S1 to S6.
        NotImplementedError: the installed torchair has nothing to make the node with.
    """
    check(SIGNATURE.described(call))
    return _node_function()(
        call.x,
        call.finished,
        k=call.k,
        renorm=call.renorm or 0,
        output_softmax_result_flag=bool(call.output_softmax),
    )


@functools.cache
def _node_function() -> Callable[..., Any]:
    """Makes the node as torchair's own functions do, for its dumps as well.

    ge.MoeGatingTopKSoftmaxV2 exists and cannot be called: its wrapper wants `finished` by position, its signature by
    keyword; and it writes the attribute output_softmax_result_flag under a name that CANN's node does not have.
    """
    try:
        from torchair._ge_concrete_graph.compat_ir import IrDef, ge_op
        from torchair.ge import attr
        from torchair.ge._ge_graph import auto_convert_to_tensor
    except ImportError as error:
        raise NotImplementedError(
            f"the installed torchair cannot make a MoeGatingTopKSoftmaxV2 node: {error}"
        ) from None

    ir = (
        IrDef("MoeGatingTopKSoftmaxV2")
        .input("x", "DT_FLOAT, DT_FLOAT16, DT_BF16")
        .optional_input("finished", "DT_BOOL")
        .required_attr("k", attr.Int)
        .attr("renorm", attr.Int(0))
        .attr("output_softmax_result_flag", attr.Bool(False))
        .output("y", "DT_FLOAT, DT_FLOAT16, DT_BF16")
        .output("expert_idx", "DT_INT32")
        .output("softmax_result", "DT_FLOAT")
    )

    @auto_convert_to_tensor([False, False], [False, True])
    def MoeGatingTopKSoftmaxV2(  # the name is the node's in dumps
        x: Tensor, finished: Tensor | None, *, k: int, renorm: int, output_softmax_result_flag: bool
    ) -> Any:
        return ge_op(
            op_type="MoeGatingTopKSoftmaxV2",
            inputs={"x": x, "finished": finished},
            attrs={
                "k": attr.Int(k),
                "renorm": attr.Int(renorm),
                "output_softmax_result_flag": attr.Bool(output_softmax_result_flag),
            },
            outputs=["y", "expert_idx", "softmax_result"],
            ir=ir,
        )

    return MoeGatingTopKSoftmaxV2
