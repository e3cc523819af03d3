"""What `npu_moe_gating_top_k_softmax_v2` is given and accepts: its signature, and the one table from which every check
and every message comes.

The labels S1 to S7 are this operator's. S7, that all parameters behind x are keywords, is the public function's.
"""

from __future__ import annotations

from typing import Any

import torch

from ascend_moe_gating.plugin.constraints import rules
from ascend_moe_gating.plugin.constraints.rules import Constraint, name_of, names_of
from ascend_moe_gating.plugin.constraints.signature import Signature

SIGNATURE = Signature(
    "npu_moe_gating_top_k_softmax_v2(Tensor x, *, int k=1, Tensor? finished=None, int? renorm=0, "
    "bool? output_softmax=False) -> (Tensor y, Tensor expert_idx, Tensor softmax_result)",
    labels={"x": "S1", "k": "S5", "finished": "S4", "renorm": "S6"},
)
Call = SIGNATURE.Call

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_K = 1024


def rows(call: Any) -> list[int]:
    return list(call.x.shape[:-1])


def largest_k(call: Any) -> int:
    return min(call.x.shape[-1], MAX_K)


# In this order: a rule may rely on those above it.
CONSTRAINTS = (
    Constraint(
        "S1",
        ValueError,
        lambda c: c.x.dim() not in (2, 3),
        lambda c: f"x must have 2 or 3 dimensions (tokens, experts), got shape {list(c.x.shape)}",
    ),
    Constraint(
        "S2",
        TypeError,
        lambda c: c.x.dtype not in DTYPES,
        lambda c: f"x must be {names_of(DTYPES)}, got {name_of(c.x.dtype)}",
    ),
    Constraint(
        "S3",
        ValueError,
        lambda c: c.x.shape[-1] < 1,
        lambda c: f"x must have at least 1 expert (its last dimension), got {c.x.shape[-1]}",
    ),
    Constraint(
        "S4",
        ValueError,
        lambda c: c.finished is not None and list(c.finished.shape) != rows(c),
        lambda c: f"finished must have the shape of x without experts, {rows(c)}, got shape {list(c.finished.shape)}",
    ),
    Constraint(
        "S4",
        TypeError,
        lambda c: c.finished is not None and c.finished.dtype != torch.bool,
        lambda c: f"finished must be bool, got {name_of(c.finished.dtype)}",
    ),
    Constraint(
        "S4",
        ValueError,
        lambda c: c.finished is not None and c.finished.device != c.x.device,
        lambda c: f"finished must be on the device of x, {c.x.device}, got {c.finished.device}",
    ),
    Constraint(
        "S5",
        ValueError,
        lambda c: not 1 <= c.k <= largest_k(c),
        lambda c: f"k must be between 1 and {largest_k(c)} (= experts, at most {MAX_K}), got {c.k}",
    ),
    Constraint(
        "S6",
        ValueError,
        lambda c: c.renorm not in (None, 0, 1),
        lambda c: f"renorm must be 0 (softmax, then choice) or 1 (choice, then softmax), got {c.renorm}",
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
    rules.check_constraints(Call(*call), CONSTRAINTS)


_PARAMETERS = SIGNATURE.parameters
CHECKS, REFUSALS = (check, rows, largest_k), ()  # for make_known_to_dynamo
