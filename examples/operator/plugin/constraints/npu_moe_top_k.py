"""What `npu_moe_top_k` is given and accepts. The labels K1 and K2 are this operator's."""

from ascend_moe_gating.plugin.constraints.rules import Constraint
from ascend_moe_gating.plugin.constraints.signature import Signature
from ascend_moe_gating.plugin.constraints.softmax import checker

SIGNATURE = Signature(
    "npu_moe_top_k(Tensor x, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor y, Tensor expert_idx)",
    labels={"x": "K1", "k": "K2"},
)
CONSTRAINTS = (
    Constraint(
        "K1", ValueError, lambda c: c.x.dim() != 2, lambda c: f"x must have 2 dimensions, got {list(c.x.shape)}"
    ),
    Constraint(
        "K2",
        ValueError,
        lambda c: not 1 <= c.k <= c.x.shape[1],
        lambda c: f"k must be between 1 and {c.x.shape[1]} (= experts), got {c.k}",
    ),
)
NEEDS = ()
check = checker(SIGNATURE, CONSTRAINTS)
CHECKS, REFUSALS = (check,), ()
