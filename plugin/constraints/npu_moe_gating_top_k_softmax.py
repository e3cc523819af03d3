"""What `npu_moe_gating_top_k_softmax` is given and accepts: its signature, and the one table from which every check and
every message comes. The labels T1 to T5 are this operator's.
"""

from __future__ import annotations

from typing import Any

from ascend_moe_gating.plugin.constraints import rules
from ascend_moe_gating.plugin.constraints.needs import A2_A3, Need
from ascend_moe_gating.plugin.constraints.signature import Signature
from ascend_moe_gating.plugin.constraints.softmax import FUNCTIONS, rules_of

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


def check(call: tuple[Any, ...]) -> None:
    """Raise the error of the first constraint that a call breaks, a Call or its values in the same order; sizes may be
    symbolic.

    Raises:
        TypeError: a wrong Python type or dtype.
        ValueError: a wrong shape, device or number.
    """
    rules.check_types(call, _PARAMETERS)
    rules.check_constraints(SIGNATURE.in_numbers(call), CONSTRAINTS)


_PARAMETERS = SIGNATURE.parameters
# For make_known_to_dynamo.
CHECKS, REFUSALS = (check, *FUNCTIONS), ()
