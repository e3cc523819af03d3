"""What `npu_moe_gating_top_k_softmax` is given and accepts: its signature, and the one table from which every check and
every message comes. The labels T1 to T5 are this operator's.
"""

from __future__ import annotations

from ascend_moe_gating.plugin.constraints.needs import A2_A3, Need
from ascend_moe_gating.plugin.constraints.signature import Signature
from ascend_moe_gating.plugin.constraints.softmax import FUNCTIONS, checker, rules_of

SIGNATURE = Signature(
    "npu_moe_gating_top_k_softmax(Tensor x, Tensor? finished=None, int k=1) "
    "-> (Tensor y, Tensor expert_idx, Tensor row_idx)",
    labels={"x": "T1", "k": "T5", "finished": "T4"},
)
Call = SIGNATURE.Call

MAX_EXPERTS_950 = 2048

CONSTRAINTS = rules_of("T")
NEEDS = (
    Need(
        "T3", f"x with more than {MAX_EXPERTS_950} experts", lambda c: c.x.shape[-1] > MAX_EXPERTS_950, {A2_A3: (8, 0)}
    ),
)

check = checker(SIGNATURE, CONSTRAINTS)

# For make_known_to_dynamo.
CHECKS, REFUSALS = (check, *FUNCTIONS), ()
