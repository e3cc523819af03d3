"""The operator's identity: its name and its signature, written once. Tests hold every other copy to it."""

NAMESPACE = "npu"
NAME = "npu_moe_gating_top_k"
SCHEMA = (
    f"{NAME}(Tensor x, int k, *, Tensor? bias=None, int k_group=1, int group_count=1, int group_select_mode=0, "
    "int renorm=0, int norm_type=0, bool out_flag=False, float routed_scaling_factor=1.0, float eps=1e-20) "
    "-> (Tensor y, Tensor expert_idx, Tensor norm_out)"
)
