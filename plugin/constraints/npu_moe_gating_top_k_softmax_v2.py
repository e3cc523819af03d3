"""What `npu_moe_gating_top_k_softmax_v2` is given and accepts: its signature, and the one table from which every check
and every message comes.

The labels S1 to S7 are this operator's. S7, that all parameters behind x are keywords, is the public function's.
"""

from __future__ import annotations

from ascend_moe_gating.plugin.constraints.rules import Constraint
from ascend_moe_gating.plugin.constraints.signature import Signature
from ascend_moe_gating.plugin.constraints.softmax import FUNCTIONS, checker, rules_of

SIGNATURE = Signature(
    "npu_moe_gating_top_k_softmax_v2(Tensor x, *, int k=1, Tensor? finished=None, int? renorm=0, "
    "bool? output_softmax=False) -> (Tensor y, Tensor expert_idx, Tensor softmax_result)",
    labels={"x": "S1", "k": "S5", "finished": "S4", "renorm": "S6"},
)
Call = SIGNATURE.Call

CONSTRAINTS = (
    *rules_of("S"),
    Constraint(
        "S6",
        ValueError,
        lambda c: c.renorm not in (None, 0, 1),
        lambda c: f"renorm must be 0 (softmax, then choice) or 1 (choice, then softmax), got {c.renorm}",
    ),
)

check = checker(SIGNATURE, CONSTRAINTS)

NEEDS = ()  # every published CANN takes what breaks no rule
# For make_known_to_dynamo.
CHECKS, REFUSALS = (check, *FUNCTIONS), ()
