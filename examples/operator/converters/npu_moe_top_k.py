"""The GE converter of npu_moe_top_k: one FX node becomes one TopKV2 node, and the Cast of its int32 experts."""

from ascend_moe_gating.plugin.constraints.npu_moe_top_k import SIGNATURE


@SIGNATURE.converter
def npu_moe_top_k(call):
    from torchair._ge_concrete_graph import ge_apis as ge
    from torchair.ge import Const, DataType

    k = Const(call.k, dtype=DataType.DT_INT32)
    y, experts = ge.TopKV2(call.x, k, sorted=call.sorted, dim=call.dim, largest=call.largest)
    return y, ge.Cast(experts, dst_type=DataType.DT_INT64)
