"""The operator's identity: its name and its signature, written once. Tests hold every other copy to it.

Older versions of torch_npu define the operator without input_ids and tid2eid; such a definition is used as it is.
"""

NAMESPACE = "npu"
NAME = "npu_moe_gating_top_k"
SCHEMA = (
    f"{NAME}(Tensor x, int k, *, Tensor? bias=None, Tensor? input_ids=None, Tensor? tid2eid=None, int k_group=1, "
    "int group_count=1, int group_select_mode=0, int renorm=0, int norm_type=0, bool out_flag=False, "
    "float routed_scaling_factor=1.0, float eps=1e-20) "
    "-> (Tensor y, Tensor expert_idx, Tensor norm_out)"
)

# Of each operator that another package has defined: the parameters that its definition lacks. Registration fills it in.
absent: dict[str, tuple[str, ...]] = {}
